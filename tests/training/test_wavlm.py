"""A WavLM as a critic: real transformers code with a small random model, off unless a source is configured."""

from __future__ import annotations

import dataclasses
import pathlib

import pytest
import torch
import transformers
from kelong_contract import orders
from kelong_speech import sources
from kelong_trainer.training import beginning, state, step, wavlm

RATE_HZ = 44_100
ADDED = ("wavlm_discriminator", "wavlm_feature", "wavlm_adversarial")


@pytest.fixture(scope="module")
def ears(wavlm_folder: pathlib.Path) -> wavlm.Ears:
    return wavlm.Ears.load(wavlm_folder, RATE_HZ, torch.device("cpu"))


def test_all_hidden_states_are_stacked_and_a_gradient_reaches_the_sound(ears: wavlm.Ears) -> None:
    sound = (0.1 * torch.randn(2, 1, 16384, generator=torch.Generator().manual_seed(1))).requires_grad_()
    heard = ears.hear(sound)
    assert (ears.states, ears.channels) == (3, 72)
    assert heard.shape == (2, 72, 18)  # 0.37 s at a frame each 20 ms
    heard.abs().mean().backward()
    assert sound.grad is not None and sound.grad.abs().sum() > 0
    assert torch.allclose(ears.hear(sound.detach()[:1]), heard[:1], atol=1e-4)


def test_it_is_read_from_pickled_weights_with_the_names_of_old(
    wavlm_folder: pathlib.Path, ears: wavlm.Ears, tmp_path: pathlib.Path
) -> None:
    tensors = transformers.WavLMModel.from_pretrained(wavlm_folder).state_dict()
    names = {"parametrizations.weight.original0": "weight_g", "parametrizations.weight.original1": "weight_v"}
    old = {}
    for name, tensor in tensors.items():
        for new, former in names.items():
            name = name.replace(new, former)
        old[name] = tensor
    torch.save(old, tmp_path / "pytorch_model.bin")
    (tmp_path / "config.json").write_bytes((wavlm_folder / "config.json").read_bytes())
    sound = torch.randn(1, 1, 8192, generator=torch.Generator().manual_seed(1))
    again = wavlm.Ears.load(tmp_path, RATE_HZ, torch.device("cpu"))
    assert again.hear(sound).equal(ears.hear(sound))
    assert again.identity == ears.identity


def test_another_one_is_told_from_it(wavlm_folder: pathlib.Path, ears: wavlm.Ears, tmp_path: pathlib.Path) -> None:
    other = transformers.WavLMModel.from_pretrained(wavlm_folder)
    with torch.no_grad():
        other.feature_projection.projection.bias[0] += 1.0
    other.save_pretrained(tmp_path)
    assert wavlm.Ears.load(tmp_path, RATE_HZ, torch.device("cpu")).identity != ears.identity


def test_a_resume_with_another_one_says_so(caplog: pytest.LogCaptureFixture) -> None:
    then = state.Facts(
        step=1,
        epoch=0,
        batch=1,
        batch_frames=3000,
        seed=42,
        learning_rate=2e-4,
        started_at="2026-01-01T00:00:00Z",
        threads=1,
        device="CPU",
        cpu="one",
        torch_version="one",
        wavlm="one",
    )
    beginning.compare(then, then)
    beginning.compare(dataclasses.replace(then, wavlm=None), then)  # a step that was saved without this note
    assert not caplog.records
    beginning.compare(then, dataclasses.replace(then, wavlm="two"))
    assert "model.sources.wavlm is another than before (one, and two now)" in caplog.text


def test_what_is_no_wavlm_is_refused_by_name(tmp_path: pathlib.Path) -> None:
    with pytest.raises(sources.ModelSourceUnavailable, match=r"the WavLM there cannot be used.*no config\.json"):
        wavlm.Ears.load(tmp_path, RATE_HZ, torch.device("cpu"))
    tiny = transformers.BertConfig(
        hidden_size=8, num_hidden_layers=1, num_attention_heads=1, intermediate_size=8, vocab_size=8
    )
    transformers.BertModel(tiny).save_pretrained(tmp_path)
    with pytest.raises(sources.ModelSourceUnavailable, match="a model of type bert"):
        wavlm.Ears.load(tmp_path, RATE_HZ, torch.device("cpu"))


def test_its_judge_learns_and_teaches_and_it_stays_as_it_is(workshop, ears: wavlm.Ears) -> None:
    at = workshop.state(wavlm_channels=ears.channels)
    assert at.wavlm_discriminator is not None
    before = {name: tensor.clone() for name, tensor in at.wavlm_discriminator.named_parameters()}
    sound = torch.randn(1, 1, 8192, generator=torch.Generator().manual_seed(1))
    heard = ears.hear(sound)
    result = step.run(at, workshop.batch(), 1e-3, workshop.settings(ears=ears))
    assert set(ADDED) <= set(result.losses)
    for name, tensor in at.wavlm_discriminator.named_parameters():
        assert not tensor.equal(before[name]), name
    assert ears.hear(sound).equal(heard)


@pytest.mark.parametrize(
    ("profile", "durations", "counts"),
    [("fixed", "Off", True), ("as-original", "Off", False), ("as-original", "On", True)],
)
def test_the_original_lets_it_teach_only_where_durations_are_judged(
    workshop, ears: wavlm.Ears, profile: str, durations: str, counts: bool
) -> None:
    options = {"profile": profile, "duration_discriminator": durations}
    at = workshop.state(wavlm_channels=ears.channels, **options)
    told = step.run(at, workshop.batch(), 1e-3, workshop.settings(ears=ears, **options)).losses
    weight = vars(orders.LossWeights())
    unheard = {"commitment"} if profile == "as-original" else set()
    unheard |= set() if counts else {"wavlm_feature", "wavlm_adversarial"}
    added = sum(weight[name] * value for name, value in told.items() if name in weight and name not in unheard)
    assert told["generator"] == pytest.approx(added, rel=1e-5)
    assert told["wavlm_feature"] > 0 and told["wavlm_adversarial"] > 0


def test_without_a_source_nothing_of_it_exists(workshop) -> None:
    at = workshop.state()
    assert at.wavlm_discriminator is None and "wavlm_discriminator" not in at.optimisers
    assert not set(ADDED) & set(step.run(at, workshop.batch(), 1e-3, workshop.settings()).losses)
