"""What is heard in recordings before anybody asks for words: the stage as the pipeline runs it."""

import numpy as np
import pytest
import soundfile
from kelong_contract import corpora, orders, store
from kelong_demo import files
from kelong_trainer import context
from kelong_trainer.corpus.listening import voice_activity
from kelong_trainer.corpus.sound import noise
from kelong_trainer.corpus.sources import recordings
from kelong_trainer.stages import ingest, listen

PREFIX = "recordings/lab/khazix/"


@pytest.fixture
def place(truth, tmp_path):
    """A store with the two stand-in recordings, another file of the first, and a quiet room."""
    folder, _ = truth
    at = store.FolderStore(tmp_path / "store")
    for path in sorted(folder.iterdir()):
        at.put_file(PREFIX + path.name, path)
    sound = files.read(sorted(folder.iterdir())[0])
    room = np.random.default_rng(1).standard_normal(44100 * 4).astype(np.float32) * 10 ** (-45 / 20)
    soundfile.write(tmp_path / "room.wav", room, 44100)
    soundfile.write(tmp_path / "copy.wav", sound.samples, sound.sample_rate_hz)
    at.put_file(PREFIX + "room.wav", tmp_path / "room.wav")
    return at


def listen_to(process: context.RunContext) -> corpora.Corpus:
    listing = recordings.Source(process).listing()
    return listen.run(process, ingest.run(process, listing, {"Khazix": 0}))


def test_speech_and_the_quiet_between_are_heard_where_they_are(place, truth, order_of, trainer):
    corpus = listen_to(trainer(place, order_of()))
    assert corpus.stage == "listen"
    heard = {listening.key: listening for listening in corpus.listenings}
    for told in truth[1].recordings:
        listening = heard[PREFIX + told.file]
        # The room was made at -60 dBFS up to 12 kHz; its quietest tenth lies a little below.
        assert listening.noise_floor_dbfs == pytest.approx(-60, abs=2)
        spoken_s = sum(item.end_s - item.start_s for item in told.sentences)
        within_s = sum(
            max(0.0, min(item.end_s, stretch.end_s) - max(item.start_s, stretch.start_s))
            for item in told.sentences
            for stretch in listening.speech
        )
        assert within_s / spoken_s > 0.85
        for stretch in listening.speech:
            assert any(item.start_s < stretch.end_s and stretch.start_s < item.end_s for item in told.sentences)
        for breath in told.breaths:
            found = [item for item in listening.breaths if item.start_s < breath.end_s and breath.start_s < item.end_s]
            assert len(found) == 1 and found[0].confidence >= 0.5, breath
        assert len(listening.breaths) == len(told.breaths)
    room = heard[PREFIX + "room.wav"]
    assert room.speech == () and room.noise_floor_dbfs == pytest.approx(-45, abs=1)


def test_what_was_heard_is_kept_by_the_content_of_a_recording(place, truth, stopping_store, order_of, trainer):
    order = order_of()
    stopping = stopping_store("/listenings/")
    with pytest.raises(context.Stopped):
        listen_to(trainer(stopping, order))
    [kept] = stopping.list("voices/lab/khazix/1/corpus/listenings/")
    first = sorted(truth[0].iterdir())[0].name
    (place.root / PREFIX / first).rename(place.root / PREFIX / "again.wav")  # the same sound under another name
    stopping.stopping.clear()
    stopping.word = "nothing"
    corpus = listen_to(trainer(stopping, order))
    assert kept in tuple(stopping.list("voices/lab/khazix/1/corpus/listenings/"))
    assert [item.key for item in corpus.listenings] == [item.key for item in corpus.recordings]
    assert PREFIX + "again.wav" in {item.key for item in corpus.listenings}
    assert len(tuple(stopping.list("voices/lab/khazix/1/corpus/listenings/"))) == 3


def test_a_stop_within_a_long_recording_keeps_the_parts_before_it(
    truth, stopping_store, order_of, trainer, monkeypatch
):
    monkeypatch.setattr(voice_activity, "WINDOW_S", 8.0)
    alone = order_of(dataset=orders.Dataset(type="S3", prefix="recordings/lab/alone/"))
    stopping = stopping_store("/heard/")
    stopping.put_file("recordings/lab/alone/01.wav", truth[0] / "01.wav")
    with pytest.raises(context.Stopped):
        listen_to(trainer(stopping, alone))
    [kept] = stopping.list("voices/lab/khazix/1/corpus/heard/")
    stopping.stopping.clear()
    stopping.word = "nothing"
    [listening] = listen_to(trainer(stopping, alone)).listenings
    parts = tuple(stopping.list("voices/lab/khazix/1/corpus/heard/"))
    assert kept in parts and len(parts) >= 3
    told = truth[1].recordings[0]
    assert len(listening.breaths) == len(told.breaths)
    assert listening.speech[-1].end_s == pytest.approx(told.sentences[-1].end_s, abs=0.3)
    assert listening.voices[-1].end_s == pytest.approx(listening.speech[-1].end_s, abs=1)
    assert all(voice.similarity > 0.75 for voice in listening.voices)


def test_without_an_embedding_nothing_is_said_of_voices_and_a_missing_one_is_a_sentence(
    place, order_of, trainer, tmp_path
):
    def naming(source):
        sources = orders.Sources(speaker_embedding=source)
        return order_of(model=orders.Model(preset="tiny", sources=sources))

    assert not any(listening.voices for listening in listen_to(trainer(place, naming("none"))).listenings)
    with pytest.raises(context.BadOrder, match=r"'path:/nowhere'.*there is no folder") as error:
        listen.facts(trainer(place, naming("path:/nowhere")))
    assert error.value.reason == "ModelSourceUnavailable"


def test_the_floor_of_a_recording_without_pauses_is_its_quietest_tenth():
    floor = noise.Floor()
    floor.add(np.linspace(-70, -20, 1001, dtype=np.float32), [corpora.Stretch(start_s=0, end_s=10.01)])
    assert floor.dbfs() == pytest.approx(-65, abs=0.2)


def test_silence_of_any_kind_has_a_level():
    assert noise.Floor().dbfs() == -120
    assert noise.levels(np.zeros(441, np.float32), 44100).tolist() == [-120]
    assert noise.levels(np.zeros(0, np.float32), 44100).tolist() == []
    assert len(noise.levels(np.ones(500, np.float32), 44100)) == 2
