"""Features come from the folder that was named, one column per phoneme, or not at all."""

import json
import shutil

import numpy as np
import pytest
import safetensors.torch
import torch
import transformers
from kelong_speech import audio, features, sources
from kelong_speech.text import frontend


def test_every_phoneme_gets_the_features_of_its_character(text_encoder_folder):
    encoder = features.TextEncoder.load(text_encoder_folder)
    word2ph = [3, 4, 4, 2, 4, 4, 2, 2]
    found = encoder.encode("你好,世界.", word2ph)
    assert found.shape == (24, sum(word2ph)) and encoder.channels == 24
    starts = np.cumsum([0, *word2ph[:-1]])
    for start, count in zip(starts, word2ph, strict=True):
        assert torch.equal(found[:, start : start + count], found[:, start : start + 1].expand(-1, count))
    per_character = found[:, starts]
    assert torch.allclose(per_character.norm(dim=1), torch.ones(24), atol=1e-5)


def test_the_features_are_those_of_the_third_last_hidden_state(text_encoder_folder):
    encoder = features.TextEncoder.load(text_encoder_folder)
    found = encoder.encode("你好世", [1, 1, 1, 1, 1])
    model = transformers.AutoModel.from_pretrained(text_encoder_folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(text_encoder_folder)
    with torch.no_grad():
        states = model(**tokenizer("你好世", return_tensors="pt"), output_hidden_states=True).hidden_states
    assert len(states) == 5
    expected = torch.nn.functional.normalize(states[2][0], dim=0).T
    assert torch.allclose(found, expected, atol=1e-5)


def test_a_character_outside_the_vocabulary_still_has_its_column(text_encoder_folder):
    encoder = features.TextEncoder.load(text_encoder_folder)
    assert encoder.encode("你龘好", [1, 2, 2, 2, 1]).shape == (24, 8)


def test_latin_words_have_the_features_of_their_pieces_and_spaces_no_column(text_encoder_folder):
    encoder = features.TextEncoder.load(text_encoder_folder)
    spoken, word2ph = "你ok go好xyz", [1, 2, 1, 1, 0, 2, 1, 2, 3, 1, 2, 1]
    assert len(word2ph) == len(spoken) + 2
    found = encoder.encode(spoken, word2ph)
    assert found.shape == (24, sum(word2ph))
    model = transformers.AutoModel.from_pretrained(text_encoder_folder).eval()
    tokenizer = transformers.AutoTokenizer.from_pretrained(text_encoder_folder)
    tokens = tokenizer("你ok go好xyz", return_tensors="pt")
    assert tokenizer.convert_ids_to_tokens(tokens.input_ids[0])[1:-1] == ["你", "ok", "g", "##o", "好", "[UNK]"]
    with torch.no_grad():
        states = model(**tokens, output_hidden_states=True).hidden_states
    by_token = torch.nn.functional.normalize(states[2][0], dim=0)
    # [CLS] 你你 o k (space) gg o 好好 xxx y zz [SEP]
    of_column = [0, 1, 1, 2, 2, 3, 3, 4, 5, 5, 6, 6, 6, 6, 6, 6, 7]
    assert torch.allclose(found, by_token[of_column].T, atol=1e-5)


def test_what_the_front_end_makes_of_latin_words_has_features_that_fit(text_encoder_folder):
    said = frontend.analyse("用GPU和machine learning吧")
    found = features.TextEncoder.load(text_encoder_folder).encode(said.spoken, said.ids().word2ph)
    assert found.shape == (24, len(said.ids().phone_ids))


def test_a_text_beyond_the_positions_is_refused(text_encoder_folder):
    encoder = features.TextEncoder.load(text_encoder_folder)
    with pytest.raises(features.TextTooLong, match="39 characters in one piece, the text encoder takes 38"):
        encoder.encode("好" * 39, [1] * 41)


def test_counts_that_do_not_fit_are_refused(text_encoder_folder):
    with pytest.raises(ValueError, match="2 characters and two edges need 4 counts, not 3"):
        features.TextEncoder.load(text_encoder_folder).encode("你好", [1, 2, 1])


def test_weights_without_pickle_and_with_both_load_alike(text_encoder_folder, tmp_path):
    shutil.copytree(text_encoder_folder, tmp_path / "pickled")
    weights = tmp_path / "pickled" / "model.safetensors"
    torch.save(safetensors.torch.load_file(weights), tmp_path / "pickled" / "pytorch_model.bin")
    weights.unlink()
    found = [
        features.TextEncoder.load(folder).encode("你好", [1, 1, 1, 1])
        for folder in (text_encoder_folder, tmp_path / "pickled")
    ]
    assert torch.equal(found[0], found[1])


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(sources.ModelSourceUnavailable, match=r"nowhere' is not available: the text encoder there"):
        features.TextEncoder.load(tmp_path / "nowhere")


def test_missing_weights_are_named_and_never_drawn(text_encoder_folder, tmp_path):
    shutil.copytree(text_encoder_folder, tmp_path / "holed")
    weights = tmp_path / "holed" / "model.safetensors"
    tensors = safetensors.torch.load_file(weights)
    del tensors["encoder.layer.1.intermediate.dense.weight"]
    safetensors.torch.save_file(tensors, weights, metadata={"format": "pt"})
    with pytest.raises(sources.ModelSourceUnavailable, match=r"its weights lack encoder\.layer\.1\.intermediate"):
        features.TextEncoder.load(tmp_path / "holed")


def test_a_folder_without_a_vocabulary_is_refused(text_encoder_folder, tmp_path):
    shutil.copytree(text_encoder_folder, tmp_path / "mute")
    for name in ("vocab.txt", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / "mute" / name).unlink(missing_ok=True)
    with pytest.raises(sources.ModelSourceUnavailable, match="there is no vocabulary in it"):
        features.TextEncoder.load(tmp_path / "mute")


def test_a_hidden_state_that_does_not_exist_is_refused(text_encoder_folder):
    with pytest.raises(sources.ModelSourceUnavailable, match="it has 5 hidden states, number -9 was asked for"):
        features.TextEncoder.load(text_encoder_folder, hidden_state=-9)


def recording(duration_s, rate_hz=44100):
    samples = np.random.default_rng(7).normal(size=round(duration_s * rate_hz)) * 0.1
    return audio.Speech(samples=samples.astype(np.float32), sample_rate_hz=rate_hz)


@pytest.mark.parametrize("duration_s", [1.0, 12.0])
def test_a_recordings_style_is_the_same_at_every_call(clap_folder, duration_s):
    encoder = features.StyleEncoder.load(clap_folder)
    np.random.seed(1)
    before = np.random.get_state()[1].copy()
    first = encoder.of_audio(recording(duration_s))
    assert np.array_equal(before, np.random.get_state()[1])
    np.random.seed(99)
    assert torch.equal(first, encoder.of_audio(recording(duration_s)))
    assert first.shape == (16,) and float(first.norm()) == pytest.approx(1.0, abs=1e-5)


def test_a_style_encoder_without_its_extractor_is_refused(clap_folder, tmp_path):
    shutil.copytree(clap_folder, tmp_path / "deaf")
    for name in ("preprocessor_config.json", "processor_config.json"):
        (tmp_path / "deaf" / name).unlink(missing_ok=True)
    with pytest.raises(sources.ModelSourceUnavailable, match="style encoder"):
        features.StyleEncoder.load(tmp_path / "deaf")


def test_a_folder_of_another_kind_is_refused(text_encoder_folder, tmp_path):
    shutil.copytree(text_encoder_folder, tmp_path / "odd")
    settings = tmp_path / "odd" / "config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"model_type": "no-such-kind"}))
    with pytest.raises(sources.ModelSourceUnavailable, match="text encoder"):
        features.TextEncoder.load(tmp_path / "odd")
