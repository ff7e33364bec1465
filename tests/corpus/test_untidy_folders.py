"""Folders as people have them: files of nobody, copies, names of another system, links, and lists that moved away."""

from __future__ import annotations

import os
import pathlib
import zlib
from collections.abc import Callable

import numpy as np
import pytest
import soundfile
from kelong_contract import accounts, corpora, names, orders, store
from kelong_trainer import context
from kelong_trainer.corpus.sources import duplicates, namesakes, recordings
from kelong_trainer.stages import ingest

RATE_HZ = 16000
SECONDS = 3.0
Taken = Callable[..., corpora.Corpus]


@pytest.fixture
def volume(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    folder = tmp_path / "volume"
    folder.mkdir()
    monkeypatch.setattr(names, "DATASET_MOUNT", str(folder))
    return folder


def put(folder: pathlib.Path, *paths: str) -> None:
    """Noise, another for each name."""
    for name in paths:
        noise = np.random.default_rng(zlib.crc32(os.fsencode(name))).standard_normal(round(SECONDS * RATE_HZ))
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("wb") as file:
            soundfile.write(file, 0.1 * noise, RATE_HZ, format="WAV")


@pytest.fixture
def taken(
    tmp_path: pathlib.Path,
    volume: pathlib.Path,
    trainer: Callable[..., context.RunContext],
    order_of: Callable[..., orders.TrainingOrder],
) -> Taken:
    """`taken(A="a/", manifest=…)` is the volume after the first stage, its speakers with their prefixes."""

    def run(manifest: str | None = None, **prefixes: str) -> corpora.Corpus:
        people = tuple(orders.Speaker(name=name, prefix=prefix) for name, prefix in (prefixes or {"Mei": ""}).items())
        dataset = orders.Dataset(
            type="PersistentVolumeClaim", format="EsdList" if manifest else "AudioFolder", manifest=manifest
        )
        started = trainer(store.FolderStore(tmp_path / "store"), order_of(speakers=people, dataset=dataset))
        ids = {person.name: index for index, person in enumerate(people)}
        return ingest.run(started, recordings.Source(started).listing(), ids)

    return run


def messages(corpus: corpora.Corpus) -> dict[str, str]:
    return {item.recording: item.message for item in corpus.rejections}


def used(corpus: corpora.Corpus) -> dict[str, str]:
    refused = {item.recording for item in corpus.rejections}
    return {item.key: item.text for item in corpus.recordings if item.key not in refused}


def test_files_outside_every_speakers_folder_are_recordings_that_are_told_and_count(
    volume: pathlib.Path, taken: Taken
) -> None:
    put(volume, "a/1.wav", "b/1.wav", "stray.wav", "C/x.wav", "a b/2.wav")
    (volume / "corrections.jsonl").write_bytes(b"")
    (volume / "cover.jpg").write_bytes(b"")
    corpus = taken(A="a/", B="b/")
    assert used(corpus) == {"a/1.wav": "", "b/1.wav": ""}
    assert {item.recording: item.reason for item in corpus.rejections} == dict.fromkeys(
        ("stray.wav", "C/x.wav", "a b/2.wav"), "UnknownSpeaker"
    )
    assert messages(corpus)["stray.wav"] == (
        "stray.wav lies in no speaker's folder (A: a/, B: b/): move it there, or correct the prefix of its speaker"
    )
    assert sum(item.duration_s for item in corpus.recordings) == pytest.approx(5 * SECONDS)
    lost_s = sum(sum(account.rejected_s.values()) for account in accounts.balance(_with_rest_as_silence(corpus)))
    assert lost_s == pytest.approx(5 * SECONDS)
    assert corpus.beside == ("cover.jpg: no recordings by their names, and passed over",)


def _with_rest_as_silence(corpus: corpora.Corpus) -> corpora.Corpus:
    refused = {item.recording for item in corpus.rejections}
    rest = tuple(
        corpora.Rejection(recording=item.key, start_s=0.0, end_s=item.duration_s, reason="Silence", message="")
        for item in corpus.recordings
        if item.key not in refused
    )
    return corpora.Corpus(stage="", speakers={}, recordings=corpus.recordings, rejections=(*corpus.rejections, *rest))


def test_a_prefix_with_a_typing_mistake_is_told_for_each_file(volume: pathlib.Path, taken: Taken) -> None:
    put(volume, "mei/1.wav", "mei/2.wav")
    corpus = taken(Mei="mie/")
    assert not used(corpus)
    assert all("lies in no speaker's folder (Mei: mie/)" in message for message in messages(corpus).values())


def test_a_table_gives_a_stray_file_to_its_speaker(volume: pathlib.Path, taken: Taken) -> None:
    put(volume, "a/1.wav", "b/1.wav", "talks/1.wav")
    (volume / "talks" / "metadata.csv").write_text("file_name,text,speaker\n1.wav,你好。,B\n")
    corpus = taken(A="a/", B="b/")
    assert used(corpus) == {"a/1.wav": "", "b/1.wav": "", "talks/1.wav": "你好。"}
    assert {item.key: item.speaker for item in corpus.recordings}["talks/1.wav"] == "B"


def test_the_sound_of_a_refused_file_is_not_kept(tmp_path: pathlib.Path, volume: pathlib.Path, taken: Taken) -> None:
    put(volume, "a/1.wav", "stray.wav")
    corpus = taken(A="a/")
    digests = {item.key: item.sha256 for item in corpus.recordings}
    kept = {path.name.partition("-")[0] for path in (tmp_path / "work" / "mono").iterdir()}
    assert kept == {digests["a/1.wav"]}


def test_names_that_are_not_utf_8_are_read_as_they_were_meant(volume: pathlib.Path, taken: Taken) -> None:
    put(volume, "plain.wav")
    folder = os.fsencode(volume) + b"/" + "录音".encode("gb18030")
    os.mkdir(folder)
    for name, text in (
        ("早上.wav".encode("gb18030"), None),
        ("早上.txt".encode("gb18030"), "早上好。"),
        (b"\xe9.wav", None),
    ):
        path = pathlib.Path(os.fsdecode(folder + b"/" + name))
        if text:
            path.write_text(text)
        else:
            put(path.parent, path.name)
    corpus = taken()
    assert used(corpus) == {"plain.wav": "", "录音/\\xe9.wav": "", "录音/早上.wav": "早上好。"}
    assert corpus.notes == (
        "录音/\\xe9.wav, 录音/早上.txt, 录音/早上.wav: names that are not UTF-8 on the disk, read as here: rename them",
    )


def test_a_copy_of_a_file_is_refused_and_names_the_first(volume: pathlib.Path, taken: Taken) -> None:
    put(volume, "a.wav", "c.wav")
    for name in ("b.wav", "deep-copy.wav"):
        (volume / name).write_bytes((volume / "a.wav").read_bytes())
    (volume / "deep-copy.txt").write_text("你好。")
    (volume / "silent.wav").write_bytes(b"")
    (volume / "silent-copy.wav").write_bytes(b"")
    corpus = taken()
    assert used(corpus) == {"c.wav": "", "deep-copy.wav": "你好。"}, "of copies the one with a text is worth more"
    assert messages(corpus)["a.wav"] == (
        "a.wav is byte for byte the same as deep-copy.wav: only that is used, remove one of them"
    )
    assert {item.recording: item.reason for item in corpus.rejections} == {
        "a.wav": "Duplicate",
        "b.wav": "Duplicate",
        "silent.wav": "Undecodable",
        "silent-copy.wav": "Undecodable",
    }
    assert {item.recording: item.end_s for item in corpus.rejections}["b.wav"] == pytest.approx(SECONDS)


def test_stretches_of_copies_are_refused_where_they_overlap() -> None:
    def stretch(key: str, start_s: float, end_s: float, sha256: str = "same") -> corpora.Recording:
        part = corpora.Part(key=key, sha256=sha256, start_s=start_s, end_s=end_s)
        return corpora.Recording(
            key=f"{key}#t={start_s},{end_s}", speaker="", size_bytes=1, sha256="", duration_s=end_s - start_s, part=part
        )

    whole = corpora.Recording(key="c", speaker="", size_bytes=1, sha256="whole", duration_s=9.0)
    lying = (stretch("a", 0, 5), stretch("a", 5, 9), stretch("b", 9, 12), stretch("b", 4, 6), stretch("d", 0, 5, "x"))
    assert duplicates.find((*lying, whole)) == {"b#t=4,6": "a#t=0,5"}
    assert duplicates.find((whole, stretch("b", 2, 4, "whole"))) == {"c": "b#t=2,4"}


def test_a_copy_outside_of_every_folder_takes_nothing_from_its_speaker(volume: pathlib.Path, taken: Taken) -> None:
    put(volume, "a/1.wav")
    (volume / "0.wav").write_bytes((volume / "a" / "1.wav").read_bytes())
    assert used(taken(A="a/")) == {"a/1.wav": ""}


def test_transcripts_are_known_by_suffixes_of_any_case(volume: pathlib.Path, taken: Taken) -> None:
    put(volume, "a.wav", "b.WAV", "c.wav")
    (volume / "a.TXT").write_text("你好。")
    (volume / "b.Lab").write_text("再见。")
    (volume / "c.lab").write_text("第二。")
    (volume / "c.Txt").write_text("第一。")
    assert used(taken()) == {"a.wav": "你好。", "b.WAV": "再见。", "c.wav": "第一。"}


def test_links_to_folders_are_told_and_not_followed(tmp_path: pathlib.Path, volume: pathlib.Path, taken: Taken) -> None:
    put(volume, "a.wav")
    put(tmp_path / "elsewhere", "b.wav")
    (volume / "more").symlink_to(tmp_path / "elsewhere")
    corpus = taken()
    assert used(corpus) == {"a.wav": ""}
    assert corpus.notes == ("more: links to folders, which are not followed: put the folders themselves there",)


def test_an_empty_file_is_said_to_be_empty(volume: pathlib.Path, taken: Taken) -> None:
    put(volume, "a.wav")
    (volume / "zero.wav").write_bytes(b"")
    assert messages(taken()) == {"zero.wav": "zero.wav is empty: upload it again"}


def test_of_many_files_that_are_passed_over_a_few_are_named(volume: pathlib.Path, taken: Taken) -> None:
    put(volume, "a.wav")
    for number in range(10):
        (volume / f"{number}.jpg").write_bytes(b"")
    assert taken().beside == ("0.jpg, 1.jpg, 2.jpg and 7 more: no recordings by their names, and passed over",)


def test_a_list_with_paths_of_elsewhere_finds_its_files_by_name(volume: pathlib.Path, taken: Taken) -> None:
    put(volume, "wavs/0.wav", "wavs/1.wav", "wavs/2.wav")
    lines = (
        "./Data/mei/wavs/0.wav|Mei|ZH|零。",
        "D:\\tool\\Data\\mei\\wavs\\1.wav|Mei|ZH|一。",
        "gone/9.wav|Mei|ZH|九。",
    )
    (volume / "esd.list").write_text("\n".join(lines))
    corpus = taken("esd.list", Mei="")
    assert used(corpus) == {"wavs/0.wav": "零。", "wavs/1.wav": "一。"}
    assert {item.recording: item.reason for item in corpus.rejections} == {"gone/9.wav": "Missing"}
    assert corpus.notes == (
        "esd.list names 2 files that are not there and found by name instead, such as './Data/mei/wavs/0.wav' as "
        "wavs/0.wav: correct its paths",
        "wavs/2.wav: not named by the list, and not used",
    )


@pytest.mark.parametrize(
    ("paths", "keys", "taken_keys", "found"),
    [
        (["Data/a/0.wav", "Data/b/0.wav"], ["a/0.wav", "b/0.wav"], [], ["a/0.wav", "b/0.wav"]),
        (["Data/0.wav"], ["a/0.wav", "b/0.wav"], [], [None]),  # which of them?
        (["x/0.wav", "y/0.wav"], ["0.wav"], [], [None, None]),  # whose is it?
        (["x/a/0.wav", "y/b/0.wav"], ["a/0.wav"], [], ["a/0.wav", None]),
        (["x/0.wav"], ["0.wav"], ["0.wav"], [None]),
        (["x/0.wav"], ["10.wav"], [], [None]),
    ],
)
def test_a_path_means_the_one_file_that_fits_it_best(
    paths: list[str], keys: list[str], taken_keys: list[str], found: list[str | None]
) -> None:
    meant = namesakes.find(paths, keys, taken_keys)
    assert [meant.get(path) for path in paths] == found
