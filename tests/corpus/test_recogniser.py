"""What is done around Whisper: simplified characters, passages of long recordings, nothing heard in noise."""

import dataclasses
import types

import numpy as np
import pytest
import soxr
import torch
from kelong_contract import corpora, store
from kelong_demo import files
from kelong_trainer import context, pipeline
from kelong_trainer.corpus.listening import voice_activity
from kelong_trainer.corpus.sound import decoding
from kelong_trainer.corpus.words import hearing, inventions, recogniser


def at_16_khz(path):
    sound = files.read(path)
    return soxr.resample(sound.samples, sound.sample_rate_hz, 16000)


@pytest.fixture(scope="module")
def model(whisper_folder):
    return recogniser.Recogniser.load(whisper_folder, address="path:base", device=torch.device("cpu"), threads=2)


@pytest.mark.parametrize(
    ("written", "wanted"),
    [
        (["我的", "電腦", "突然", "壞了,"], ["我的", "电脑", "突然", "坏了，"]),
        (["頭髮", "發現", "乾", "淨", "幹活"], ["头发", "发现", "干", "净", "干活"]),
        (["睡", "著", "，", "顯", "著", "的", "名", "著"], ["睡", "着", "，", "显", "著", "的", "名", "著"]),
        (["这句", "已经", " GPU", "是", "简体"], ["这句", "已经", " GPU", "是", "简体"]),
    ],
)
def test_words_in_traditional_characters_become_simplified_each_in_its_place(written, wanted):
    words = [types.SimpleNamespace(word=part, start=1.5, end=2.0, probability=0.5) for part in written]
    heard = recogniser.simplified(words, 1.0)
    assert [word.text for word in heard] == wanted
    assert {(word.start_s, word.end_s) for word in heard} == {(0.5, 1.0)}


def test_a_long_recording_is_heard_in_windows_that_end_in_pauses(truth, tmp_path, monkeypatch):
    folder, told = truth
    monkeypatch.setattr(voice_activity, "WINDOW_S", 8.0)
    decoding.decode(folder / "01.wav", tmp_path / "mono.flac")
    found = list(voice_activity.windows(tmp_path / "mono.flac"))
    recording = told.recordings[0]
    assert len(found) >= 3
    assert sum(len(window.samples) for window in found) / 16000 == pytest.approx(recording.duration_s, abs=0.01)
    starts = [window.start_s for window in found]
    assert starts == pytest.approx([sum(len(part.samples) for part in found[:i]) / 16000 for i in range(len(found))])
    for start_s in starts[1:]:
        assert not [item for item in recording.sentences if item.start_s < start_s < item.end_s]
    spoken_s = sum(stretch.end_s - stretch.start_s for window in found for stretch in window.speech)
    whole = voice_activity.find_speech(at_16_khz(folder / "01.wav"))
    assert spoken_s == pytest.approx(sum(item.end_s - item.start_s for item in whole), rel=0.03)


def test_what_is_said_in_passages_is_heard_with_times_and_language(model, truth):
    sound, sentences = at_16_khz(truth[0] / "01.wav"), truth[1].recordings[0].sentences
    spans = [(sentences[0].start_s - 0.2, sentences[2].end_s + 0.2), (sentences[3].start_s - 0.2, sentences[4].end_s)]
    heard = model.hear([sound[round(start_s * 16000) : round(end_s * 16000)] for start_s, end_s in spans])
    for (start_s, end_s), said, found in zip(spans, (sentences[:3], sentences[3:5]), heard, strict=True):
        assert found.language == "zh" and found.mandarin > 0.9 and found.silence < 0.6 and not found.loops
        assert all(0 <= word.start_s <= word.end_s <= end_s - start_s + 0.1 for word in found.words)
        text = "".join(word.text for word in found.words)
        assert abs(len(text.strip("，。？！")) - sum(len(item.text) for item in said)) <= 4, text


def test_nothing_is_believed_that_is_heard_in_noise(model):
    noise = (0.05 * np.random.default_rng(3).standard_normal(6 * 16000)).astype(np.float32)
    (heard,) = model.hear([noise])
    speech = (corpora.Stretch(start_s=0.0, end_s=6.0),)  # even if the detector takes it for speech
    assert inventions.believed(heard.words, speech, heard.silence) == ()


@pytest.mark.parametrize(
    ("text", "echoes"),
    [
        ("以下是普通话的句子。", True),
        ("这位是普通话的", True),
        ("好，以下是普通话的句子。今天我们出去玩", True),
        ("今天早上我起得很晚", False),
        ("他的普通话说得很好，我每天早上都跟着他练习一个小时", False),
        ("", False),
    ],
)
def test_the_prompt_is_known_when_it_comes_back(text, echoes):
    word = corpora.Word(text=text, start_s=0.0, end_s=1.0, probability=1.0)
    assert recogniser.echoes_prompt([word]) is echoes


def test_a_gpu_that_is_not_there_is_an_error_with_a_sentence(whisper_folder):
    with pytest.raises(recogniser.Unusable, match=r"cannot use the GPU.*driver for CUDA 12") as error:
        recogniser.Recogniser.load(whisper_folder, address="path:base", device=torch.device("cuda"), threads=1)
    assert error.value.reason == "GPUUnusable"


def test_a_model_that_is_no_whisper_is_an_error_with_a_sentence(tmp_path):
    for name in ("config.json", "model.bin", "tokenizer.json"):
        (tmp_path / name).write_bytes(b"{}")
    with pytest.raises(recogniser.Unusable, match=r"'path:x' cannot be loaded") as error:
        recogniser.Recogniser.load(tmp_path, address="path:x", device=torch.device("cpu"), threads=1)
    assert error.value.reason == "ModelSourceUnavailable"


def test_a_stop_within_a_long_recording_keeps_the_windows_before_it(
    truth, whisper_folder, stopping_store, trainer, order_of, monkeypatch
):
    folder, told = truth
    monkeypatch.setattr(recogniser, "BATCH", 1)
    monkeypatch.setattr(hearing, "FIRST", dataclasses.replace(hearing.FIRST, longest_s=10.0))
    place = stopping_store("/windows/")
    place.put_file("recordings/lab/khazix/01.wav", folder / "01.wav")
    order = order_of(f"path:{whisper_folder}")
    kept = f"{order.voice.place().prefix}corpus/windows/"
    with pytest.raises(context.Stopped):
        pipeline.prepare(trainer(place, order))
    (first,) = place.list(kept)
    plain = store.FolderStore(place.root)
    corpus = pipeline.prepare(trainer(plain, order))
    assert len(list(plain.list(kept))) > 1 and first in list(plain.list(kept))
    (transcript,) = corpus.transcripts
    for sentence in told.recordings[0].sentences:
        heard = [word for word in transcript.words if sentence.start_s - 0.3 < word.start_s < sentence.end_s]
        syllables = sum(len(word.text.strip("，。？！、")) for word in heard)
        assert abs(syllables - len(sentence.text.translate(str.maketrans("", "", "，。？！、")))) <= 3, sentence
