"""A recording comes to a prepared corpus: the usual voice moves a little, and only what is new is cut and measured."""

from __future__ import annotations

import dataclasses
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

import pytest
import soundfile
from kelong_contract import corpora, store
from kelong_demo import files
from kelong_trainer import context, pipeline
from kelong_trainer.corpus.clips import cutting
from kelong_trainer.corpus.sound import quality
from kelong_trainer.stages import slice as slicing

PREFIX = "recordings/lab/khazix/"
# What listening and transcribing leave: all else is made anew where only this is there.
HEARD = ("files", "ingest", "windows", "listenings", "listen", "transcripts", "transcribe")


@pytest.fixture
def place(prepared: Any, truth: Any, tmp_path: pathlib.Path) -> store.FolderStore:
    """A copy of the store in which the corpus was prepared, with a third recording: the end of the second, faster."""
    at = store.FolderStore(shutil.copytree(prepared.store.root, tmp_path / "copy"))
    sound = files.read(sorted(truth[0].iterdir())[1])
    made = tmp_path / "more.wav"
    soundfile.write(made, sound.samples[-12 * sound.sample_rate_hz :], round(sound.sample_rate_hz * 1.12))
    at.put_file(PREFIX + "more.wav", made)
    return at


def kept(at: store.Store, kind: str) -> set[str]:
    return {item.key for item in at.list(f"voices/lab/khazix/1/corpus/{kind}/")}


def voices(corpus: corpora.Corpus) -> dict[str, tuple[corpora.VoiceStretch, ...]]:
    return {listening.key: listening.voices for listening in corpus.listenings}


def test_the_other_recordings_are_neither_cut_nor_measured_anew(
    prepared: Any,
    place: store.FolderStore,
    trainer: Callable[..., context.RunContext],
    tmp_path: pathlib.Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    cut, measured = [], []
    plan, measure = cutting.plan, quality.measure
    monkeypatch.setattr(cutting, "plan", lambda heard, bounds: cut.append(heard.listening.key) or plan(heard, bounds))
    monkeypatch.setattr(quality, "measure", lambda *given: measured.append(given[2].key) or measure(*given))
    before = {kind: kept(place, kind) for kind in ("stretches", "cuts", "measures")}
    assert all(before.values())
    corpus = pipeline.prepare(trainer(place, prepared.order))
    moved = voices(corpus)
    old = voices(prepared.corpus)
    assert any(old.values()) and all(moved[key] != stretches for key, stretches in old.items() if stretches)
    assert cut == [PREFIX + "more.wav"] and set(measured) == {PREFIX + "more.wav"}
    for kind, keys in before.items():
        assert keys < kept(place, kind)

    similar = {clip.sha256: clip.measures.similarity for clip in prepared.corpus.clips}
    now = {clip.sha256: clip.measures.similarity for clip in corpus.clips}
    assert similar and any(now[sha256] != similarity for sha256, similarity in similar.items())

    folder = shutil.copytree(place.root, tmp_path / "fresh")
    for made in (folder / "voices/lab/khazix/1/corpus").iterdir():
        if made.name not in HEARD:
            shutil.rmtree(made) if made.is_dir() else made.unlink()
    fresh = pipeline.prepare(trainer(store.FolderStore(folder), prepared.order))
    assert len(set(cut)) == 3, "nothing was left to be taken from"
    assert fresh == corpus and fresh.clips


def test_a_recording_is_cut_anew_only_where_another_voice_goes_on(
    prepared: Any,
    tmp_path: pathlib.Path,
    trainer: Callable[..., context.RunContext],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    at = store.FolderStore(shutil.copytree(prepared.store.root, tmp_path / "copy"))
    cut = []
    plan = cutting.plan
    monkeypatch.setattr(cutting, "plan", lambda heard, bounds: cut.append(heard.listening.key) or plan(heard, bounds))
    used = {clip.recording for clip in prepared.corpus.clips}
    heard = dataclasses.replace(
        prepared.corpus,
        clips=(),
        rejections=tuple(item for item in prepared.corpus.rejections if item.recording not in used),
    )
    whose = max(heard.listenings, key=lambda listening: len(listening.voices))
    middle_s = whose.voices[len(whose.voices) // 2].start_s

    def sliced(lower: float) -> corpora.Corpus:
        """The corpus where the second half of a recording is so much less like the speaker."""
        moved = tuple(
            dataclasses.replace(voice, similarity=voice.similarity - (lower if voice.start_s >= middle_s else 0.0))
            for voice in whose.voices
        )
        listenings = tuple(
            dataclasses.replace(item, voices=moved) if item is whose else item for item in heard.listenings
        )
        return slicing.run(trainer(at, prepared.order), dataclasses.replace(heard, listenings=listenings))

    assert sliced(0.0).clips == sliced(0.0007).clips and cut == []
    turned = sliced(0.4)
    assert cut == [whose.key]
    assert sliced(0.4).clips == turned.clips and cut == [whose.key], "kept as well"
    assert sliced(0.0007).clips == sliced(0.0).clips and cut == [whose.key], "and what was there before"
