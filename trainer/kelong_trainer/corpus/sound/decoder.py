"""A process of its own that decodes files for `contained`, so that what is wrong with a file costs this process alone.

`python -m kelong_trainer.corpus.sound.decoder`, started and spoken to by `contained.Decoder`. It is told a path on its
standard input and answers on its standard output with blocks of plain samples; it ends when nobody speaks to it any
more. FFmpeg's decoders are a million lines of C that read what strangers made: here they may crash or hang.

In: OPEN, then the length of a path and the path; NEXT for each block that is wanted; LEAVE to end a file early.
Out: READY once; for each file FACTS (JSON) before the first block, BLOCKs (rate, channels C, samples S, then C x S
32-bit floats), and then END, REFUSED or FAILED (JSON). No pickle, no code, no paths come back.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import resource
import struct
import sys
from typing import BinaryIO, Final

import numpy as np

from kelong_trainer.corpus.sound import media

OPEN, NEXT, LEAVE = b"O", b"N", b"L"
READY, FACTS, BLOCK, END, REFUSED, FAILED = b"R", b"F", b"B", b"E", b"U", b"X"
LENGTH: Final = struct.Struct("<I")
BLOCK_HEAD: Final = struct.Struct("<III")
# A header may ask for any amount of memory: more than this is refused by the allocator, here and not in the pod.
MOST_BYTES: Final = 4 << 30


def main() -> None:
    """Serve until the other end is closed."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_BYTES, MOST_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints is no answer
    with contextlib.suppress(BrokenPipeError):  # whoever asked is gone
        _tell(answers, READY)
        _serve(sys.stdin.buffer, answers)
    os._exit(0)  # nothing is left to be written, nobody to write it to


def _serve(commands: BinaryIO, answers: BinaryIO) -> None:
    while command := commands.read(1):
        if command != OPEN:  # NEXT and LEAVE of a file that had ended before they came
            continue
        [length] = LENGTH.unpack(commands.read(LENGTH.size))
        _answer(pathlib.Path(os.fsdecode(commands.read(length))), commands, answers)


def _answer(path: pathlib.Path, commands: BinaryIO, answers: BinaryIO) -> None:
    """One file, as far as it is wanted."""
    reader = media.Reader(path)
    try:
        is_first = True
        for block in reader.blocks():
            if is_first:
                _tell_json(answers, FACTS, {"codec": reader.codec, "places": reader.places})
                is_first = False
            if commands.read(1) != NEXT:
                break
            answers.write(BLOCK + BLOCK_HEAD.pack(block.rate_hz, *block.samples.shape))
            answers.write(np.ascontiguousarray(block.samples, "<f4").data)
            answers.flush()
    except media.Undecodable as error:
        _tell_json(answers, REFUSED, {"message": str(error)})
    except BrokenPipeError:
        raise
    except OSError as error:
        _tell_json(answers, FAILED, {"errno": error.errno, "message": error.strerror})
    else:
        _tell_json(answers, END, {"damaged": reader.damaged})


def _tell_json(answers: BinaryIO, kind: bytes, document: dict[str, object]) -> None:
    data = json.dumps(document).encode()
    _tell(answers, kind + LENGTH.pack(len(data)) + data)


def _tell(answers: BinaryIO, data: bytes) -> None:
    answers.write(data)
    answers.flush()


if __name__ == "__main__":
    main()
