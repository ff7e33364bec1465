"""A generator is loaded exactly as saved, or refused with every difference."""

import json

import pytest
import safetensors.torch
import torch
from kelong_speech import checkpoint, synthesiser


@pytest.fixture
def saved(tmp_path, small_generator):
    checkpoint.save_generator(tmp_path, small_generator)
    return tmp_path


def test_what_was_saved_is_what_is_loaded(saved, small_generator):
    loaded = checkpoint.load_generator(saved)
    assert loaded.config == small_generator.config
    mine, theirs = small_generator.state_dict(), loaded.state_dict()
    assert list(mine) == list(theirs)
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_loading_leaves_torchs_random_state_alone(saved):
    before = torch.get_rng_state()
    checkpoint.load_generator(saved)
    assert torch.equal(before, torch.get_rng_state())


def test_a_loaded_generator_can_be_trained_on(saved):
    loaded = checkpoint.load_generator(saved)
    assert all(parameter.requires_grad for parameter in loaded.parameters())


def test_every_difference_is_named_in_one_sentence(saved):
    path = saved / checkpoint.GENERATOR_FILE
    tensors = safetensors.torch.load_file(path)
    del tensors["dp.proj.bias"]
    tensors["dp.extra"] = torch.zeros(1)
    tensors["emb_g.weight"] = torch.zeros(3, 64)
    tensors["dp.conv_1.bias"] = tensors["dp.conv_1.bias"].half()
    safetensors.torch.save_file(tensors, path)
    with pytest.raises(checkpoint.UnusableCheckpoint) as refused:
        checkpoint.load_generator(saved)
    sentence = str(refused.value)
    assert "missing dp.proj.bias; unexpected dp.extra" in sentence
    assert "emb_g.weight is float32[3, 64], expected float32[2, 64]" in sentence
    assert "dp.conv_1.bias is float16[64], expected float32[64]" in sentence


def test_a_truncated_file_is_refused(saved):
    path = saved / checkpoint.GENERATOR_FILE
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(checkpoint.UnusableCheckpoint, match=r"generator\.safetensors cannot be read"):
        checkpoint.load_generator(saved)


def test_an_unknown_format_is_refused(saved):
    path = saved / checkpoint.CONFIG_FILE
    path.write_text(json.dumps(json.loads(path.read_text()) | {"format": 7}))
    with pytest.raises(checkpoint.UnusableCheckpoint, match=r"its format is 7"):
        checkpoint.load_generator(saved)


def test_a_file_under_writing_is_never_seen(tmp_path, small_generator):
    checkpoint.save_generator(tmp_path, small_generator)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["config.json", "generator.safetensors"]


def test_two_generators_saved_alike_have_equal_files(tmp_path, small_generator):
    first, _ = checkpoint.save_generator(tmp_path / "a", small_generator)
    again = synthesiser.Synthesiser(small_generator.config)
    again.load_state_dict(small_generator.state_dict())
    second, _ = checkpoint.save_generator(tmp_path / "b", again)
    assert first.read_bytes() == second.read_bytes()
