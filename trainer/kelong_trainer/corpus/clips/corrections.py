"""What a person overruled in a corpus: lines of JSON, each about one clip by the digest of its sound.

Read by the stage `correct`, written by the report's page and by hand. A line that cannot be read is an error that names
it: whoever wrote it meant something. One about a clip that is not there is told and passed over, because clips change
with the settings of slicing and the same file may serve several voices.
"""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Mapping, Sequence

from kelong_contract import codec, corpora
from kelong_speech.text import traditional

_SHA256 = re.compile(r"[0-9a-f]{64}")
_EXAMPLE = '{"sha256": "…", "text": "…", "keep": true, "speaker": "…"}'
NAMED_FAULTS = 20  # of a file that is wrong throughout


class Malformed(Exception):
    """A file of corrections cannot be read; the message names its lines."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Corrections:
    """Corrections by the clip's digest, and what is to be said of them."""

    lines: dict[str, corpora.Correction] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()


def parse(data: bytes, name: str) -> Corrections:
    """The corrections of a file; the last line about a clip counts. Raises Malformed naming every bad line."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Malformed(f"{name} is not UTF-8 text (byte {error.start}); save it as UTF-8") from None
    lines: dict[str, corpora.Correction] = {}
    said_at: dict[str, int] = {}
    faults, notes = [], []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            correction = _correction(line)
        except ValueError as error:
            faults.append(f"line {number}: {error}")
            continue
        if before := said_at.get(correction.sha256):
            notes.append(f"{name}: lines {before} and {number} are about the same clip; line {number} counts")
        said_at[correction.sha256] = number
        lines[correction.sha256] = correction
    if faults:
        more = f"; and {len(faults) - NAMED_FAULTS} more" * (len(faults) > NAMED_FAULTS)
        raise Malformed(f"{name} cannot be read: {'; '.join(faults[:NAMED_FAULTS])}{more}")
    return Corrections(lines=lines, notes=tuple(notes))


def combine(dataset: Corrections, beside: Corrections) -> Corrections:
    """Those that lie in the dataset and those beside the corpus: about the same clip the latter count."""
    both = sorted(set(dataset.lines) & set(beside.lines))
    clips = "1 clip is" if len(both) == 1 else f"{len(both)} clips are"
    note = f"{clips} corrected in the dataset and beside the corpus; what lies beside the corpus counts"
    return Corrections(
        lines={**dataset.lines, **beside.lines},
        notes=(*dataset.notes, *beside.notes, *((note,) if both else ())),
    )


def apply(corpus: corpora.Corpus, given: Corrections, samples_per_s: int) -> corpora.Corpus:
    """The corpus with the corrections in it. `samples_per_s` is the rate of clips.

    Raises Malformed naming every speaker that is not one of the corpus.
    """
    faults = [
        f"the clip {line.sha256[:12]}… is given to '{line.speaker}', expected one of {', '.join(corpus.speakers)}"
        for line in given.lines.values()
        if line.speaker is not None and line.speaker not in corpus.speakers
    ]
    if faults:
        raise Malformed("; ".join(faults[:NAMED_FAULTS]))
    owners = {recording.key: recording.speaker for recording in corpus.recordings}
    places = {recording.key: index for index, recording in enumerate(corpus.recordings)}
    clips: list[corpora.Clip] = []
    rejections: list[corpora.Rejection] = []
    items: tuple[corpora.Clip | corpora.Rejection, ...] = (*corpus.clips, *corpus.rejections)
    for item in items:
        line = given.lines.get(item.sha256) if item.sha256 else None
        outcome = item if line is None else _corrected(item, line, owners, samples_per_s)
        if isinstance(outcome, corpora.Clip):
            clips.append(outcome)
        else:
            rejections.append(outcome)
    clips.sort(key=lambda clip: (places[clip.recording], clip.start_s))
    return dataclasses.replace(corpus, clips=tuple(clips), rejections=tuple(rejections))


def remarks(corpus: corpora.Corpus, given: Corrections) -> tuple[str, ...]:
    """What is to be said of corrections to a corpus that they were not applied to yet: those that do not help."""
    known = {*(clip.sha256 for clip in corpus.clips), *(item.sha256 for item in corpus.rejections)}
    unknown = [sha256 for sha256 in given.lines if sha256 not in known]
    said = [*given.notes, *_passed_over(unknown)]
    for item in corpus.rejections:
        line = given.lines.get(item.sha256) if item.sha256 else None
        if line is None or line.keep is False:
            continue
        start = f"the clip {line.sha256[:12]}… stays left out ({item.reason}): its correction"
        if line.keep is None:
            said.append(f"{start} says nothing of keep")
        elif not (line.text or item.text).strip():
            said.append(f"{start} has no text, and neither has the clip")
    more = [f"and {len(said) - NAMED_FAULTS} more corrections that change nothing"] * (len(said) > NAMED_FAULTS)
    return (*said[:NAMED_FAULTS], *more)


def _passed_over(unknown: Sequence[str]) -> list[str]:
    """One sentence however many they are: other lengths of clips leave no digest as it was."""
    if not unknown:
        return []
    if len(unknown) == 1:
        return [f"no clip has the digest {unknown[0]}: its correction is passed over"]
    return [f"no clip has the digests of {len(unknown)} corrections, such as {unknown[0]}: they are passed over"]


def _corrected(
    item: corpora.Clip | corpora.Rejection,
    line: corpora.Correction,
    owners: Mapping[str, str],
    samples_per_s: int,
) -> corpora.Clip | corpora.Rejection:
    if isinstance(item, corpora.Rejection):
        changed = item if line.text is None else dataclasses.replace(item, text=line.text)
        if line.keep and changed.text.strip():
            return _changed(_as_clip(changed, owners[item.recording], samples_per_s), line)
        return _dropped(changed) if line.keep is False else changed
    if line.keep is False:
        return _dropped(
            corpora.Rejection(
                recording=item.recording,
                start_s=item.start_s,
                end_s=item.end_s,
                reason="Dropped",
                message="",
                sha256=item.sha256,
                text=item.text if line.text is None else line.text,
                measures=item.measures,
            )
        )
    return _changed(item, line)


def _changed(clip: corpora.Clip, line: corpora.Correction) -> corpora.Clip:
    said = {"text": line.text is not None, "keep": line.keep is True, "speaker": line.speaker is not None}
    return dataclasses.replace(
        clip,
        text=clip.text if line.text is None else line.text,
        speaker=clip.speaker if line.speaker is None else line.speaker,
        corrected=tuple(name for name in ("text", "keep", "speaker") if said[name]),
    )


def _as_clip(item: corpora.Rejection, speaker: str, samples_per_s: int) -> corpora.Clip:
    """A clip that was rejected, as one: the grade says that it would not have been one."""
    return corpora.Clip(
        sha256=item.sha256,
        recording=item.recording,
        speaker=speaker,
        start_s=item.start_s,
        end_s=item.end_s,
        samples=round(item.end_s * samples_per_s) - round(item.start_s * samples_per_s),
        text=item.text,
        confidence=item.measures.confidence or 0.0,
        grade="C",
        findings=(corpora.Finding(reason=item.reason, message=item.message),),
        measures=item.measures,
    )


def _dropped(item: corpora.Rejection) -> corpora.Rejection:
    where = f"{item.recording} from {item.start_s:.2f} s to {item.end_s:.2f} s ('{item.text[:40]}')"
    return dataclasses.replace(item, reason="Dropped", message=f"{where}: somebody listened and left it out")


def _correction(line: str) -> corpora.Correction:
    """One line, its text in simplified characters as all labels; raises ValueError that says what is wrong with it."""
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not JSON ({error}), expected {_EXAMPLE}") from None
    try:
        correction = codec.decode(corpora.Correction, document, "it")
    except codec.Malformed as error:
        raise ValueError(f"{', '.join(error.faults)}; expected {_EXAMPLE}") from None
    if any("\ud800" <= sign <= "\udfff" for sign in f"{correction.text}{correction.speaker}"):
        raise ValueError("it holds half of a UTF-16 pair, expected whole characters")
    if not _SHA256.fullmatch(correction.sha256):
        raise ValueError(f"sha256 is '{correction.sha256[:80]}', expected the 64 hexadecimal digits of a clip")
    if correction.text is not None and not correction.text.strip():
        raise ValueError('text is empty, expected what is said; to leave the clip out write "keep": false')
    if correction.text is None and correction.keep is None and correction.speaker is None:
        raise ValueError("it says nothing, expected text, keep or speaker")
    if correction.text is not None:
        correction = dataclasses.replace(correction, text=traditional.simplified(correction.text))
    return correction
