"""A generator is loaded exactly as saved, or refused with every difference."""

import pytest
import safetensors.torch
import torch
from kelong_contract import layout
from kelong_speech import checkpoint, config


@pytest.fixture
def saved(tmp_path, small_generator, save_generator):
    return save_generator(tmp_path, small_generator)[0]


def load(path):
    return checkpoint.load_weights(path, config.from_json(path.with_name(layout.CONFIG_FILE).read_bytes()))


def test_what_was_saved_is_what_is_loaded(saved, small_generator):
    loaded = load(saved)
    assert loaded.config == small_generator.config
    mine, theirs = small_generator.state_dict(), loaded.state_dict()
    assert list(mine) == list(theirs)
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)


def test_loading_leaves_torchs_random_state_alone(saved):
    before = torch.get_rng_state()
    load(saved)
    assert torch.equal(before, torch.get_rng_state())


def test_a_loaded_generator_can_be_trained_on(saved):
    loaded = load(saved)
    assert all(parameter.requires_grad for parameter in loaded.parameters())


def test_every_difference_is_named_in_one_sentence(saved):
    tensors = safetensors.torch.load_file(saved)
    del tensors["dp.proj.bias"]
    tensors["dp.extra"] = torch.zeros(1)
    tensors["emb_g.weight"] = torch.zeros(3, 64)
    tensors["dp.conv_1.bias"] = tensors["dp.conv_1.bias"].half()
    safetensors.torch.save_file(tensors, saved)
    with pytest.raises(checkpoint.UnusableCheckpoint) as refused:
        load(saved)
    sentence = str(refused.value)
    assert "missing dp.proj.bias; unexpected dp.extra" in sentence
    assert "emb_g.weight is float32[3, 64], expected float32[2, 64]" in sentence
    assert "dp.conv_1.bias is float16[64], expected float32[64]" in sentence


def test_a_truncated_file_is_refused(saved):
    saved.write_bytes(saved.read_bytes()[:-100])
    with pytest.raises(checkpoint.UnusableCheckpoint, match=r"generator\.safetensors cannot be read"):
        load(saved)
