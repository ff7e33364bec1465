"""Times of words by a CTC model: a tiny one with random weights, and paths that are known."""

import json

import numpy as np
import pytest
import torch
import transformers
from kelong_contract.corpora import Word
from kelong_trainer.corpus.words import recogniser, word_times

CHARACTERS = "今天早上我起得很晚差一点就迟到了ok"
VOCABULARY = {"<pad>": 0, "<unk>": 1, "|": 2, **{char: number for number, char in enumerate(CHARACTERS, 3)}}
HOP_S = 0.02


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A Wav2Vec2 model that hears 20 ms a frame, as the large ones do."""
    place = tmp_path_factory.mktemp("aligner")
    torch.manual_seed(5)
    config = transformers.Wav2Vec2Config(
        vocab_size=len(VOCABULARY),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        conv_dim=(16,) * 7,
        num_conv_pos_embeddings=16,
        num_conv_pos_embedding_groups=2,
        pad_token_id=0,
    )
    transformers.Wav2Vec2ForCTC(config).save_pretrained(place)
    transformers.Wav2Vec2FeatureExtractor(do_normalize=True).save_pretrained(place)
    (place / "vocab.json").write_text(json.dumps(VOCABULARY), encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def aligner(folder):
    return word_times.Aligner.load(folder, address="path:tiny", device=torch.device("cpu"))


def said(*texts):
    return [Word(text=text, start_s=0.0, end_s=0.0, probability=0.5) for text in texts]


class Known:
    """Stands in the network's place with scores that put each character at a time of our choice."""

    def __init__(self, config, spikes, frames):
        self.config, self.device = config, torch.device("cpu")
        self._logits = torch.zeros(1, frames, len(VOCABULARY))
        self._logits[:, :, 0] = 5.0
        for frame, char in spikes:
            self._logits[0, frame, VOCABULARY[char]] = 20.0

    def __call__(self, sound):
        return transformers.modeling_outputs.CausalLMOutput(logits=self._logits)


def known(aligner, *spikes, frames=100):
    network = Known(aligner._model.config, [(round(at_s / HOP_S), char) for char, at_s in spikes], frames)
    return word_times.Aligner(network, {c: n for c, n in VOCABULARY.items() if len(c) == 1}, normalises=True)


SILENCE = np.zeros(32000, np.float32)


def test_words_start_where_their_characters_are_heard(aligner):
    heard = known(aligner, ("今", 0.2), ("天", 0.4), ("我", 1.2), ("起", 1.3))
    found = heard.align(SILENCE, said("今天，", "我", "起"))
    assert [word.text for word in found] == ["今天，", "我", "起"]
    assert [word.start_s for word in found] == pytest.approx([0.2, 1.2, 1.3])
    assert found[0].end_s == pytest.approx(0.42 + word_times.LINGERING_S)
    assert found[1].end_s == pytest.approx(1.3), "a word ends where the next one starts"


def test_a_character_twice_in_a_row_is_heard_twice(aligner):
    found = known(aligner, ("天", 0.4), ("天", 0.8)).align(SILENCE, said("天", "天"))
    assert [word.start_s for word in found] == pytest.approx([0.4, 0.8])


def test_words_that_the_model_cannot_spell_lie_between_their_neighbours(aligner):
    found = known(aligner, ("今", 0.2), ("晚", 1.0)).align(SILENCE, said("今", "龘", "晚"))
    assert found[0].end_s <= found[1].start_s <= found[1].end_s <= found[2].start_s == pytest.approx(1.0)


def test_latin_letters_are_spelt_as_the_model_knows_them(aligner):
    (found,) = known(aligner, ("o", 0.5), ("k", 0.6)).align(SILENCE, said("OK"))
    assert found.start_s == pytest.approx(0.5)


def test_a_real_network_keeps_words_in_order_and_inside_the_sound(aligner):
    sound = (0.1 * np.random.default_rng(1).standard_normal(3 * 16000)).astype(np.float32)
    words = said("今天", "早上，", "我", "起得", "很晚。")
    found = aligner.align(sound, words)
    times = [time for word in found for time in (word.start_s, word.end_s)]
    assert [word.text for word in found] == [word.text for word in words]
    assert times == sorted(times) and times[0] >= 0 and times[-1] <= 3.0
    assert aligner.align(sound, words) == found


def test_sound_that_is_too_short_for_the_words_changes_nothing(aligner):
    words = said(*CHARACTERS)
    assert aligner.align(np.zeros(1600, np.float32), words) == tuple(words)


def test_no_words_stay_none(aligner):
    assert aligner.align(SILENCE, []) == ()


def test_a_model_without_chinese_is_refused(folder, tmp_path):
    for file in folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    latin = {symbol if len(symbol) > 1 else chr(97 + number): number for symbol, number in VOCABULARY.items()}
    (tmp_path / "vocab.json").write_text(json.dumps(latin), encoding="utf-8")
    with pytest.raises(recogniser.Unusable, match=r"'path:x' knows no Chinese character; expected a Wav2Vec2 model"):
        word_times.Aligner.load(tmp_path, address="path:x", device=torch.device("cpu"))


def test_a_folder_without_a_model_is_refused(tmp_path):
    with pytest.raises(recogniser.Unusable, match=r"the aligner 'path:x' cannot be loaded") as error:
        word_times.Aligner.load(tmp_path, address="path:x", device=torch.device("cpu"))
    assert error.value.reason == "ModelSourceUnavailable"
