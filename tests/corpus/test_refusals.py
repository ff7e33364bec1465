"""Orders that cannot be carried out and data of no use: one sentence each, with a reason a condition can carry."""

import contextlib
import dataclasses
import os
import pathlib
import re
import tempfile

import numpy as np
import pytest
import soundfile
from kelong_contract import codec, corpora, environment, layout, names, orders, store
from kelong_trainer import context, pipeline
from kelong_trainer.corpus.sources import recordings
from kelong_trainer.stages import ingest

PREFIX = "recordings/lab/khazix/"


@pytest.fixture
def place(tmp_path):
    return store.FolderStore(tmp_path / "store")


@pytest.fixture
def recogniser(tmp_path):
    """An address that exists; nothing in these tests gets so far as to load it."""
    (tmp_path / "model").mkdir()
    return f"path:{tmp_path / 'model'}"


def put_noise(place, tmp_path, key, level=0.1):
    soundfile.write(tmp_path / "noise.wav", level * np.random.default_rng(1).standard_normal(48000), 16000)
    place.put_file(key, tmp_path / "noise.wav")


def test_a_dataset_without_files_is_refused(place, trainer, order_of, recogniser):
    place.put(PREFIX + "notes.txt", b"nothing yet")
    with pytest.raises(
        context.BadData, match=r"no recordings under 'recordings/lab/khazix/'.*only 1 file of other kinds"
    ) as error:
        pipeline.prepare(trainer(place, order_of(recogniser)))
    assert error.value.reason == "TooFewClips"


def test_a_dataset_of_useless_files_is_refused_with_examples(place, trainer, order_of, recogniser, tmp_path):
    place.put(PREFIX + "broken.mp3", b"not sound at all")
    put_noise(place, tmp_path, PREFIX + "silent.wav", level=1e-5)
    order = order_of(recogniser)
    with pytest.raises(context.BadData, match=r"of 2 recordings: .*broken\.mp3.*silent\.wav") as error:
        pipeline.prepare(trainer(place, order))
    assert error.value.reason == "TooFewClips"
    key = layout.corpus_report(order.voice.place())
    report = codec.loads(corpora.CorpusReport, place.get(key), "the report")
    assert [(item.reason, item.count) for item in report.dropped] == [("Silent", 1), ("Undecodable", 1)]


def test_a_recording_in_which_nobody_speaks_needs_no_recogniser(place, trainer, order_of, recogniser, tmp_path):
    put_noise(place, tmp_path, PREFIX + "rain.wav")
    with pytest.raises(context.BadData, match=r"nobody speaks in .*rain\.wav"):
        pipeline.prepare(trainer(place, order_of(recogniser)))


def test_a_recording_of_nothing_but_music_is_told_as_music(place, trainer, order_of, recogniser, tmp_path):
    rate_hz = 24_000
    time_s = np.arange(rate_hz) / rate_hz
    chords = [(220.0, 277.2, 329.6), (246.9, 293.7, 370.0), (196.0, 246.9, 293.7)] * 3  # a second each, dying away
    played = [
        sum(np.sin(2 * np.pi * hz * part * time_s) / part for hz in chord for part in (1, 2, 3)) for chord in chords
    ]
    song = np.concatenate([0.05 * chord * np.exp(-time_s) for chord in played])
    soundfile.write(tmp_path / "song.wav", song.astype(np.float32), rate_hz)
    place.put_file(PREFIX + "song.wav", tmp_path / "song.wav")
    order = order_of(recogniser)
    with pytest.raises(context.BadData, match=r"song\.wav is music, and nobody speaks in it"):
        pipeline.prepare(trainer(place, order))
    report = codec.loads(corpora.CorpusReport, place.get(layout.corpus_report(order.voice.place())), "the report")
    assert [(item.reason, item.duration_s) for item in report.dropped] == [("Music", pytest.approx(9.0))]


@pytest.mark.parametrize("address", [None, "none", "path:/no/such/folder", "store:whisper"])
def test_a_missing_recogniser_is_named_before_any_work(place, trainer, order_of, tmp_path, address):
    put_noise(place, tmp_path, PREFIX + "rain.wav")
    with pytest.raises(context.BadOrder, match=r"recogniser|model source") as error:
        pipeline.prepare(trainer(place, order_of(address)))
    assert error.value.reason == "ModelSourceUnavailable"
    assert address is None or address in error.value.message
    assert not list(place.list("voices/"))


def test_a_folder_that_holds_no_whisper_is_named(place, trainer, order_of, recogniser, truth):
    place.put_file(PREFIX + "01.wav", truth[0] / "01.wav")
    with pytest.raises(context.BadOrder, match=r"lacks config\.json, model\.bin, tokenizer\.json") as error:
        pipeline.prepare(trainer(place, order_of(recogniser)))
    assert error.value.reason == "ModelSourceUnavailable"


def test_the_full_preset_needs_its_encoders(place, trainer, order_of, recogniser):
    model = orders.Model(preset="zh-clap", sources=orders.Sources(recogniser=recogniser))
    with pytest.raises(context.BadOrder, match=r"model\.sources\.textEncoder is not given") as error:
        pipeline.prepare(trainer(place, order_of(model=model)))
    assert error.value.reason == "ModelSourceUnavailable"


def test_two_speakers_with_the_same_recordings_are_refused(place, trainer, order_of, recogniser):
    order = order_of(recogniser, speakers=(orders.Speaker(name="A", prefix="x/"), orders.Speaker(name="B", prefix="x")))
    with pytest.raises(context.BadOrder, match="A and B have the same prefix") as error:
        pipeline.prepare(trainer(place, order))
    assert error.value.reason == "SpeakersOverlap"


def test_a_frozen_corpus_is_used_as_it_is(place, trainer, order_of, recogniser):
    order = order_of(recogniser)
    clip = corpora.Clip(
        sha256="0", recording="a", speaker="Khazix", start_s=0, end_s=2, samples=88200, text="好", confidence=1
    )
    recording = corpora.Recording(key="a", speaker="Khazix", size_bytes=1, sha256="0", duration_s=2)
    frozen = corpora.Corpus(stage="features", speakers={"Khazix": 3}, recordings=(recording,), clips=(clip,))
    place.put(layout.corpus(order.voice.place()), codec.dumps(frozen))
    assert pipeline.prepare(trainer(place, order)) == frozen


def test_a_result_in_the_store_that_cannot_be_read_is_named(place, trainer, order_of, recogniser):
    place.put(PREFIX + "broken.wav", b"not sound")
    order = order_of(recogniser)
    with pytest.raises(context.BadData):
        pipeline.prepare(trainer(place, order))
    voice = order.voice.place()
    kept = [item.key for item in place.list(f"{voice.prefix}corpus/") if item.key.endswith(".json")]
    kept = [key for key in kept if "/corpus/files/" not in key]  # read again only where the stage is run again
    assert {name for name in pipeline.STAGES if any(f"/{name}/" in key for key in kept)} == {
        *pipeline.STAGES[: pipeline.STAGES.index("features")]
    }
    for key in kept:
        good = place.get(key)
        place.put(key, good[:-3])
        with pytest.raises(context.BadData, match=re.escape(f"{key} is not usable: it is not JSON")) as raised:
            pipeline.prepare(trainer(place, order))
        assert raised.value.reason == "BadData" and "delete it" in raised.value.message
        place.put(key, good)


def test_a_speaker_keeps_the_id_once_given(place, trainer, order_of, recogniser, tmp_path):
    def ids(*speakers):
        order = order_of(recogniser, speakers=tuple(orders.Speaker(name=name, prefix=name) for name in speakers))
        with pytest.raises(context.BadData):
            pipeline.prepare(trainer(place, order))
        report = place.get(layout.corpus_report(order.voice.place()))
        return {item.name: item.id for item in codec.loads(corpora.CorpusReport, report, "the report").speakers}

    for name in ("A", "B", "C"):
        place.put(f"{PREFIX}{name}/broken.wav", b"not sound")
    assert ids("A", "B") == {"A": 0, "B": 1}
    assert ids("B", "C", "A") == {"B": 1, "C": 2, "A": 0}
    assert ids("B", "C") == {"B": 1, "C": 2}


def test_a_file_below_two_prefixes_belongs_to_the_longer(place, trainer, order_of):
    place.put(PREFIX + "a.wav", b"1")
    place.put(PREFIX + "guest/b.wav", b"2")
    speakers = (orders.Speaker(name="Host"), orders.Speaker(name="Guest", prefix="guest/"))
    listing = recordings.Source(trainer(place, order_of(speakers=speakers))).listing()
    assert [(item.key.removeprefix(PREFIX), item.speaker) for item in listing.files] == [
        ("a.wav", "Host"),
        ("guest/b.wav", "Guest"),
    ]


def test_a_volume_is_read_where_it_is_mounted(place, trainer, order_of, tmp_path, monkeypatch):
    monkeypatch.setattr(names, "DATASET_MOUNT", str(tmp_path / "volume"))
    (tmp_path / "volume" / "voice").mkdir(parents=True)
    (tmp_path / "volume" / "voice" / "a.wav").write_bytes(b"1")
    order = order_of(dataset=orders.Dataset(type="PersistentVolumeClaim", prefix="voice/"))
    source = recordings.Source(trainer(place, order))
    (listed,) = source.listing().files
    with source.file(listed.key) as path:
        assert path == tmp_path / "volume" / "voice" / "a.wav"


@contextlib.contextmanager
def somebody_else():
    """Not root, whom every file can be read by."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_recording_on_a_volume_that_we_may_not_read_is_refused_until_we_may(trainer, order_of, monkeypatch):
    with tempfile.TemporaryDirectory() as name:  # pytest's folders are closed to others
        folder = pathlib.Path(name)
        folder.chmod(0o777)
        monkeypatch.setattr(names, "DATASET_MOUNT", str(folder / "volume"))
        (folder / "volume").mkdir()
        secret = folder / "volume" / "a.wav"
        secret.write_bytes(b"1")
        secret.chmod(0)
        order = order_of(dataset=orders.Dataset(type="PersistentVolumeClaim"))
        started = trainer(store.FolderStore(folder / "store"), order)
        with somebody_else():
            closed = recordings.Source(started).listing()
            user = os.geteuid()
            corpus = ingest.run(started, closed, {"Khazix": 0})
        secret.chmod(0o644)
        with somebody_else():
            opened = recordings.Source(started).listing()
    [rejection] = corpus.rejections
    assert rejection.reason == "Undecodable"
    assert rejection.message == f"a.wav cannot be read: Permission denied; let user {user} read it"
    # Only the permission has changed, and what was kept of the stage must not be used again.
    assert closed.files == opened.files
    assert ingest.facts(started, closed) != ingest.facts(started, opened)


def test_an_empty_volume_is_called_so(place, trainer, order_of, recogniser, tmp_path, monkeypatch):
    monkeypatch.setattr(names, "DATASET_MOUNT", str(tmp_path / "model"))  # an empty folder
    order = order_of(recogniser, dataset=orders.Dataset(type="PersistentVolumeClaim"))
    with pytest.raises(context.BadData, match="there are no recordings under the volume: upload some"):
        pipeline.prepare(trainer(place, order))


def test_a_bucket_without_keys_is_refused_as_an_order(place, trainer, order_of):
    order = order_of(dataset=orders.Dataset(type="S3", endpoint="http://127.0.0.1:9", bucket="studio"))
    with pytest.raises(context.BadOrder, match=r"KELONG_SOURCE_ACCESS_KEY and .* must be set") as error:
        recordings.Source(trainer(place, order))
    assert error.value.reason == "BadOrder"


def test_a_bucket_with_keys_of_its_own_is_read_with_them(minio_address, bucket_store, place, trainer, order_of):
    bucket_store.put("studio/a.wav", b"1")
    bucket_store.put("elsewhere/b.wav", b"2")
    order = order_of(
        dataset=orders.Dataset(type="S3", prefix="studio/", endpoint=minio_address, bucket=bucket_store.bucket)
    )
    keys = {"KELONG_SOURCE_ACCESS_KEY": "kelong-tests", "KELONG_SOURCE_SECRET_KEY": "kelong-tests-secret"}
    given = environment.read({"KELONG_STORE_URL": "file:///nowhere", **keys})
    source = recordings.Source(dataclasses.replace(trainer(place, order), environment=given))
    (listed,) = source.listing().files
    with source.file(listed.key) as path:
        assert (listed.key, path.read_bytes()) == ("studio/a.wav", b"1")
    assert not path.exists()
