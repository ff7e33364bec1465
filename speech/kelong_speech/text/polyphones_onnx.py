"""g2pW: a BERT that is asked about one character at a time, run by onnxruntime.

Chen et al., "g2pW: A Conditional Weighted Softmax BERT for Polyphone Disambiguation in Mandarin", Interspeech 2022. Its
folder holds what its authors publish (`g2pw.onnx`, `POLYPHONIC_CHARS.txt`, `config.py`) and the `vocab.txt` of the BERT
it was made from (bert-base-chinese). Nothing in it is executed: of config.py only plain assignments are read.
"""

import ast
import hashlib
import pathlib
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Any, Final

import numpy as np
from numpy import typing as npt

from kelong_speech.text import bopomofo, phonemes, pinyin, sentences

_INPUTS: Final = ("input_ids", "token_type_ids", "attention_mask", "phoneme_mask", "char_ids", "position_ids")
_ONNX_NAMES: Final = ("g2pw.onnx", "g2pW.onnx")
_TABLE: Final = "POLYPHONIC_CHARS.txt"
_VOCABULARY: Final = "vocab.txt"
_BATCH: Final = 64  # questions a run
_THREADS: Final = 2
_DEFAULTS: Final[Mapping[str, Any]] = {"window_size": 32, "use_mask": True, "use_char_phoneme": False}


class G2pW:
    """Asks the model about every polyphone of a text, in batches. Safe to use from several threads.

    Shapes: Q questions, N tokens of the longest window, L labels (pronunciations).
    Raises ValueError in a sentence when the folder holds no such model.
    """

    def __init__(self, folder: pathlib.Path) -> None:
        onnx = next((folder / name for name in _ONNX_NAMES if (folder / name).is_file()), folder / _ONNX_NAMES[0])
        contents = {path.name: _read(path) for path in (onnx, folder / _TABLE, folder / _VOCABULARY)}
        config = folder / "config.py"
        settings = {**_DEFAULTS, **(_assignments(config.read_text("utf-8")) if config.is_file() else {})}
        self._half = int(settings["window_size"]) // 2
        self._masks = bool(settings["use_mask"])
        rows = [line.split("\t") for line in contents[_TABLE].decode("utf-8").split("\n") if line.strip()]
        named = [(char, f"{char} {label}" if settings["use_char_phoneme"] else label) for char, label in rows]
        labels = sorted({label for _, label in named})
        self._readings = [bopomofo.syllable(label.split(" ")[-1]) for label in labels]
        self._chars = {char: number for number, char in enumerate(sorted({char for char, _ in named}))}
        numbers = {label: number for number, label in enumerate(labels)}
        self._allowed: dict[str, list[int]] = {}
        for char, label in named:
            if phonemes.is_syllable(self._readings[numbers[label]].spelling):
                self._allowed.setdefault(char, []).append(numbers[label])
        self._tokens = {token: number for number, token in enumerate(contents[_VOCABULARY].decode("utf-8").split("\n"))}
        self._traditional = _traditional() if "為" in self._chars else {}
        self._session = _open(contents[onnx.name], onnx)
        digest = hashlib.sha256(b"\0".join(contents.values()) + repr(sorted(settings.items())).encode())
        self.identity: Final = f"g2pW:{digest.hexdigest()[:16]}"

    def choices(self, text: str) -> list[pinyin.Choice | None]:
        """The likeliest reading of each character that has several; None for the others."""
        found: list[pinyin.Choice | None] = [None] * len(text)
        written = sentences.as_written(text).lower().translate(self._traditional)
        asked = [
            (place, start, end)
            for start, end in sentences.places(written)
            for place in range(start, end)
            if len(self._allowed.get(written[place], ())) > 1
        ]
        for first in range(0, len(asked), _BATCH):
            batch = asked[first : first + _BATCH]
            windows = [
                (written[max(start, place - self._half) : min(end, place + self._half)], min(self._half, place - start))
                for place, start, end in batch
            ]
            for (place, _, _), shares in zip(batch, self._shares(windows), strict=True):
                allowed = self._allowed[written[place]]
                best = allowed[int(shares[allowed].argmax())]
                total = float(shares[allowed].sum())
                found[place] = pinyin.Choice(self._readings[best], float(shares[best]) / total if total else 0.0)
        return found

    def _shares(self, windows: Sequence[tuple[str, int]]) -> npt.NDArray[np.float32]:
        """[Q, L] of the character at each window's place."""
        tokens = [[self._token("[CLS]"), *map(self._token, window), self._token("[SEP]")] for window, _ in windows]
        longest = max(map(len, tokens))
        input_ids = np.array([row + [0] * (longest - len(row)) for row in tokens], np.int64)
        mask = np.array([[1] * len(row) + [0] * (longest - len(row)) for row in tokens], np.int64)
        asked = [window[place] for window, place in windows]
        phoneme_mask = np.full((len(windows), len(self._readings)), 0.0 if self._masks else 1.0, np.float32)
        if self._masks:
            for row, char in zip(phoneme_mask, asked, strict=True):
                row[self._allowed[char]] = 1.0
        values = (
            input_ids,
            np.zeros_like(input_ids),
            mask,
            phoneme_mask,
            np.array([self._chars[char] for char in asked], np.int64),
            np.array([place + 1 for _, place in windows], np.int64),  # the first token stands for the whole
        )
        shares: npt.NDArray[np.float32] = self._session.run(None, dict(zip(_INPUTS, values, strict=True)))[0]
        return shares

    def _token(self, char: str) -> int:
        """One token a character; a letter inside a word is not told from one that begins it."""
        return self._tokens.get(char, self._tokens["[UNK]"])


def _read(path: pathlib.Path) -> bytes:
    if not path.is_file():
        raise ValueError(
            f"The polyphone model's folder has no {path.name}; expected g2pW's {_ONNX_NAMES[0]} and {_TABLE}, and the "
            f"{_VOCABULARY} of bert-base-chinese beside them."
        )
    return path.read_bytes()


def _assignments(source: str) -> dict[str, Any]:
    """The plain values that a Python file of settings gives to names."""
    found = {}
    for statement in ast.parse(source).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
            found.update(
                {target.id: statement.value.value for target in statement.targets if isinstance(target, ast.Name)}
            )
    return {name: value for name, value in found.items() if name in _DEFAULTS}


def _traditional() -> dict[int, str]:
    """g2pW was taught on traditional characters, one for each simplified one."""
    table = resources.files("kelong_speech.text").joinpath("data", "simplified_to_traditional.txt").read_text("utf-8")
    return {ord(line[0]): line[2] for line in table.splitlines()}


def _open(content: bytes, path: pathlib.Path) -> Any:
    try:
        import onnxruntime
    except ImportError:
        raise ValueError(
            "A polyphone model of one's own needs the package onnxruntime; install it, or use 'bundled'."
        ) from None
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = _THREADS
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors share no other ancestor
        first = str(error).splitlines()[0]
        raise ValueError(f"The polyphone model {path.name} cannot be read as an ONNX model: {first}") from error
    has = {given.name for given in session.get_inputs()}
    if has != set(_INPUTS):
        raise ValueError(f"The polyphone model {path.name} takes {sorted(has)}; g2pW takes {sorted(_INPUTS)}.")
    return session
