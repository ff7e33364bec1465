"""Recordings through transcribing and judging with the real recogniser: transcripts that came along, a second look."""

import dataclasses
import io

import opencc
import pytest
import soundfile
from kelong_contract import corpora, layout, orders, store
from kelong_demo import files
from kelong_trainer import context
from kelong_trainer.corpus.sources import recordings
from kelong_trainer.stages import ingest, judge, listen, transcribe

PREFIX = "recordings/lab/khazix/"
STRANGER = "超市门口排着长长的队，不知道在卖什么东西，大家都等得很着急。"


def letters(words):
    return "".join(word.text for word in words).translate(str.maketrans("", "", "，。？！、 "))


def heard(at):
    """The corpus as far as `transcribe`."""
    corpus = ingest.run(at, recordings.Source(at).listing(), {"Khazix": 0})
    return transcribe.run(at, listen.run(at, corpus))


@pytest.fixture
def upload(truth, tmp_path):
    """Two sentences as `own.wav`, two others as `other.wav`, each with a transcript in traditional characters.

    The second is a stranger's.
    """
    place = store.FolderStore(tmp_path / "store")
    sound, sentences = files.read(truth[0] / "01.wav"), truth[1].recordings[0].sentences
    rate_hz = sound.sample_rate_hz
    for name, first, text in (("own", 0, None), ("other", 2, STRANGER)):
        start, end = sentences[first].start_s - 0.15, sentences[first + 1].end_s + 0.15
        made = tmp_path / f"{name}.wav"
        soundfile.write(made, sound.samples[round(start * rate_hz) : round(end * rate_hz)], rate_hz)
        place.put_file(f"{PREFIX}{name}.wav", made)
        said = text or "".join(item.text for item in sentences[first : first + 2])
        place.put(f"{PREFIX}{name}.txt", opencc.OpenCC("s2tw").convert(said).encode())
    return place, sentences


def clip_of(place, recording, text):
    """A whole recording as one clip, as slicing would leave it."""
    samples, rate_hz = soundfile.read(io.BytesIO(place.get(recording.key)), dtype="float32")
    data = io.BytesIO()
    soundfile.write(data, samples, rate_hz, format="FLAC")
    sha256 = store.digest_bytes(data.getvalue())
    place.put(layout.clip(orders.VoiceName(namespace="lab", name="khazix", uid="1").place(), sha256), data.getvalue())
    return corpora.Clip(
        sha256=sha256,
        recording=recording.key,
        speaker="Khazix",
        start_s=0.0,
        end_s=recording.duration_s,
        samples=len(samples),
        text=text,
        confidence=0.9,
    )


def test_a_transcript_that_fits_is_the_label_and_a_strangers_is_not(upload, whisper_folder, trainer, order_of):
    place, sentences = upload
    recogniser = f"path:{whisper_folder}"
    sources = orders.Sources(recogniser=recogniser, second_recogniser=recogniser)
    order = order_of(model=orders.Model(preset="tiny", sources=sources))
    corpus = heard(trainer(place, order))
    by_key = {transcript.key.removeprefix(PREFIX): transcript for transcript in corpus.transcripts}

    own = by_key["own.wav"]
    assert "".join(word.text for word in own.words) == sentences[0].text + sentences[1].text, "in simplified characters"
    assert own.heard and own.second
    assert all(0 <= word.start_s <= word.end_s for word in own.words)
    assert abs(own.words[-1].end_s - (sentences[1].end_s - sentences[0].start_s + 0.15)) < 0.5

    other = by_key["other.wav"]
    assert not other.heard and letters(other.words)[:4] != STRANGER[:4]
    assert abs(len(letters(other.words)) - len(sentences[2].text + sentences[3].text)) <= 6
    (note,) = corpus.notes
    assert "the transcript of recordings/lab/khazix/other.wav is not what is said there" in note

    texts = {"own.wav": sentences[0].text + sentences[1].text, "other.wav": STRANGER}
    clips = tuple(clip_of(place, item, texts[item.key.removeprefix(PREFIX)]) for item in corpus.recordings)
    judged = judge.run(trainer(place, order), dataclasses.replace(corpus, clips=clips))
    (right,), (wrong,) = judged.clips, judged.rejections
    assert right.recording.endswith("own.wav") and right.grade is not None
    assert right.measures.agreement > 0.85 and 0 <= right.measures.reading_tone <= 1
    assert right.measures.dnsmos > 2 and right.measures.snr_db > 20 and 3 < right.measures.syllables_per_s < 7
    assert (wrong.reason, wrong.text) == ("UncertainText", STRANGER) and wrong.measures.agreement < 0.5

    other_order = dataclasses.replace(order, judging=orders.Judging(min_agreement=None))
    kept = {item.key for item in place.list(f"{order.voice.place().prefix}corpus/measures/")}
    again = judge.run(trainer(place, other_order), dataclasses.replace(corpus, clips=clips))
    assert len(again.clips) == 2, "a threshold that is switched off rejects nothing"
    assert {item.key for item in place.list(f"{order.voice.place().prefix}corpus/measures/")} == kept

    # A second look that differs in three syllables tells against what came along, not against what was heard.
    middle = [index for index, word in enumerate(own.words) if letters([word])][8:11]
    second = [dataclasses.replace(word, text="球" * len(letters([word]))) for word in own.words]
    second = tuple(second[index] if index in middle else word for index, word in enumerate(own.words))
    for heard_then, is_kept in ((own.heard, False), ((), True)):
        told = dataclasses.replace(own, second=second, heard=heard_then)
        looked = dataclasses.replace(corpus, clips=(right,), transcripts=(told, other))
        found = judge.run(trainer(place, order), looked)
        (item,) = found.clips or found.rejections
        assert item.measures.least_agreement < 0.4 and item.measures.agreement > 0.8
        assert bool(found.clips) == is_kept


def test_an_aligner_that_is_none_is_refused_before_anything_is_heard(upload, whisper_folder, trainer, order_of):
    sources = orders.Sources(recogniser=f"path:{whisper_folder}", aligner="path:/nowhere/at/all")
    at = trainer(upload[0], order_of(model=orders.Model(preset="tiny", sources=sources)))
    with pytest.raises(context.BadOrder, match="'path:/nowhere/at/all' is not available") as error:
        transcribe.facts(at)
    assert error.value.reason == "ModelSourceUnavailable"
