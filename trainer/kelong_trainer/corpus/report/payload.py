"""What the page's script knows of a corpus, as JSON values: recordings, clips, and what a person said before."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from kelong_contract import accounts, codec, corpora

from kelong_trainer.corpus.report import advice, doubt, names
from kelong_trainer.scoring import held_out

DIGITS = 4  # of measures; nobody hears more
MOST_REMARKS = 5  # on one recording; their seconds are all in its sums


def payload(corpus: corpora.Corpus, digest: str, given: Sequence[corpora.Correction] = ()) -> dict[str, Any]:
    """Everything but the sounds. Fields that a clip or a recording lacks are left out, to keep the page small.

    `given` are the lines that the corpus was corrected with.

    Raises Unbalanced for a corpus that does not account for every second.
    """
    speakers = list(corpus.speakers)
    places = {recording.key: index for index, recording in enumerate(corpus.recordings)}
    owners = {recording.key: recording.speaker for recording in corpus.recordings}
    spared = set(corpus.held_out)
    short = advice.short_names(corpus)
    clips = [_clip(clip, places, speakers, clip.sha256 in spared) for clip in corpus.clips]
    clips += [
        _left_out(item, places, speakers.index(owners[item.recording]), short[item.recording])
        for item in corpus.rejections
        if item.sha256
    ]
    clips.sort(key=lambda clip: (clip["recording"], clip["start_s"]))
    return {
        "digest": digest,
        "speakers": speakers,
        "reasons": names.REASONS,
        "recordings": _recordings(corpus, short),
        "clips": clips,
        "doubtful": [clip.sha256 for clip in doubt.least_trusted(corpus)],
        "applied": applied(corpus, given),
    }


def applied(corpus: corpora.Corpus, given: Sequence[corpora.Correction] = ()) -> list[dict[str, Any]]:
    """What was said before, as lines: whoever downloads new ones keeps these.

    Those that were given as they were: one about a clip that is not in this corpus may be about one of the next. What
    else shows in the corpus, which is all that is known of a frozen one, is told from it.
    """
    lines: list[dict[str, Any]] = []
    for clip in corpus.clips:
        values = {"text": clip.text, "keep": True, "speaker": clip.speaker}
        if clip.corrected:
            lines.append({"sha256": clip.sha256, **{name: values[name] for name in clip.corrected}})
    lines += [{"sha256": item.sha256, "keep": False} for item in corpus.rejections if item.reason == "Dropped"]
    by_clip = {line["sha256"]: line for line in lines}
    by_clip |= {line.sha256: codec.encode(line, drop_none=True) for line in given}
    return list(by_clip.values())


def _clip(clip: corpora.Clip, places: Mapping[str, int], speakers: list[str], is_held_out: bool) -> dict[str, Any]:
    return _present(
        sha256=clip.sha256,
        recording=places[clip.recording],
        start_s=clip.start_s,
        end_s=clip.end_s,
        text=clip.text,
        speaker=speakers.index(clip.speaker),
        measures=_measures(doubt.measured(clip)),
        grade=clip.grade,
        findings=[finding.message for finding in clip.findings],
        marks=len(clip.marks),
        corrected=list(clip.corrected),
        heldOut=is_held_out,
    )


def _left_out(item: corpora.Rejection, places: Mapping[str, int], speaker: int, name: str) -> dict[str, Any]:
    return _present(
        sha256=item.sha256,
        recording=places[item.recording],
        start_s=item.start_s,
        end_s=item.end_s,
        text=item.text,
        speaker=speaker,
        measures=_measures(item.measures),
        reason=item.reason,
        message=_shortened(item, name),
    )


def _shortened(item: corpora.Rejection, name: str) -> str:
    """What is said of a stretch, with its recording called as the page calls it."""
    return item.message.replace(item.recording, name)


def _present(**fields: Any) -> dict[str, Any]:
    """The fields that say something; those that a clip always has say it with any value."""
    always = {"sha256", "recording", "start_s", "end_s", "text", "speaker", "measures"}
    return {name: value for name, value in fields.items() if value or name in always}


def _measures(measures: corpora.Measures) -> dict[str, float]:
    known = dataclasses.asdict(measures)
    return {name: round(value, DIGITS) for name, value in known.items() if value is not None}


def _recordings(corpus: corpora.Corpus, short: Mapping[str, str]) -> list[dict[str, Any]]:
    listenings = {listening.key: listening for listening in corpus.listenings}
    kept_s: dict[str, float] = collections.defaultdict(float)
    spared_s: dict[str, float] = collections.defaultdict(float)
    spared = set(corpus.held_out)
    for clip in corpus.clips:
        of = spared_s if clip.sha256 in spared else kept_s
        of[clip.recording] += clip.duration_s
    told: dict[str, list[str]] = collections.defaultdict(list)
    for item in corpus.rejections:
        if not item.sha256 and item.reason != "Silence":
            told[item.recording].append(_shortened(item, short[item.recording]))
    return [
        _recording(recording, account, kept_s[recording.key], spared_s[recording.key], short[recording.key])
        | _heard(recording, listenings.get(recording.key), told[recording.key])
        for recording, account in zip(corpus.recordings, accounts.balance(corpus), strict=True)
    ]


def _recording(
    recording: corpora.Recording, account: accounts.Account, kept_s: float, spared_s: float, name: str
) -> dict[str, Any]:
    """Where its seconds went; of those in clips `spared_s` are held out."""
    left = account.rejected_s | ({held_out.REASON: spared_s} if spared_s else {})
    return {
        "name": name,
        "speaker": recording.speaker,
        "duration_s": recording.duration_s,
        "kept_s": kept_s,
        "left": sorted(left.items(), key=lambda pair: -pair[1]),
    }


def _heard(recording: corpora.Recording, listening: corpora.Listening | None, remarks: list[str]) -> dict[str, Any]:
    """What was found in it, as far as anything was."""
    sound = recording.sound
    more = [f"and {len(remarks) - MOST_REMARKS} more"] * (len(remarks) > MOST_REMARKS)
    found: dict[str, Any] = {"remarks": [*remarks[:MOST_REMARKS], *more]}
    if sound is not None:
        found["format"] = _format(sound)
        found["true_peak_dbfs"] = sound.true_peak_dbfs
        if sound.loudness_lufs is not None:
            found["loudness_lufs"] = sound.loudness_lufs
        if sound.damaged_packets:
            found["remarks"] = [f"damaged packets left out: {sound.damaged_packets}", *found["remarks"]]
    if listening is not None:
        found["noise_floor_dbfs"] = listening.noise_floor_dbfs
    return found


def _format(sound: corpora.Sound) -> str:
    channels = {1: "mono", 2: "stereo"}.get(sound.channels, f"{sound.channels} channels")
    taken = "" if sound.channels == 1 or sound.channel == "mix" else f", channel {sound.channel}"
    return f"{sound.codec}, {sound.rate_hz / 1000:g} kHz, {channels}{taken}"
