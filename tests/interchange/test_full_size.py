"""The original's files at their full size go in and come out unchanged, as the original builds and trains them."""

import dataclasses

import pytest
import torch
from kelong_trainer.interchange import conversion, original_config, original_files

NETWORKS = ("G", "D", "WD", "DUR")


@pytest.fixture(scope="module")
def saved(zh_clap, as_saved):
    return {network: as_saved(zh_clap, network) for network in NETWORKS}


@pytest.fixture(scope="module")
def found(tmp_path_factory, saved):
    folder = tmp_path_factory.mktemp("original")
    for network, content in saved.items():
        original_files.write(folder / f"{network}_8000.pth", content)
    return original_files.find(folder)


@pytest.fixture(scope="module")
def imported(found):
    return conversion.from_original(found, original_config.LegacyConfig())


@pytest.fixture(scope="module")
def back(imported):
    return conversion.to_original(imported.weights)


def test_what_it_is_is_said(imported):
    whole = "ZH-Clap (or Extra, whose network is the same), 512 speaker rows"
    assert imported.sentence == f"{whole}, its speakers not named (row 0 is called 0)"
    config = imported.weights.config
    assert (config.preset, config.variant, imported.weights.step, imported.weights.epoch) == ("zh-clap",) * 2 + (
        8000,
        36,
    )
    assert sorted(imported.digests) == ["DUR_8000.pth", "D_8000.pth", "G_8000.pth", "WD_8000.pth"]


def test_speakers_that_the_table_does_not_have_are_named_and_not_dropped(found):
    config = original_config.LegacyConfig(speakers={"Khazix": 511, "阿卡丽": 512, "芭芭拉": 700})
    with pytest.raises(
        original_files.Unusable, match=r"G_8000\.pth has 512 speaker rows, and .*阿卡丽 512, 芭芭拉 700"
    ):
        conversion.from_original(dataclasses.replace(found, paths={"G": found.paths["G"]}), config)


@pytest.mark.parametrize("network", NETWORKS)
def test_original_to_ours_to_original_changes_nothing(saved, back, same, network):
    was, now = saved[network], back[network]
    assert same(was.model, now.model) == []
    assert dataclasses.replace(now, model={}, optimiser=None) == dataclasses.replace(was, model={}, optimiser=None)
    assert (now.optimiser.parameters, now.optimiser.settings) == (was.optimiser.parameters, was.optimiser.settings)
    assert now.optimiser.moments.keys() == was.optimiser.moments.keys()
    for number, entry in was.optimiser.moments.items():
        assert same(entry, now.optimiser.moments[number]) == []


@pytest.mark.parametrize("network", NETWORKS)
def test_tensors_and_moments_are_in_the_originals_order(back, zh_clap, network):
    described = [[key, list(t.shape), str(t.dtype).removeprefix("torch.")] for key, t in back[network].model.items()]
    assert described == zh_clap[network]
    shapes = {key: shape for key, shape, _ in zh_clap[network]}
    order = zh_clap["_meta"]["summary"][network]["param_order"]
    moments = back[network].optimiser.moments
    assert [list(moments[number]["exp_avg"].shape) for number in sorted(moments)] == [shapes[key] for key in order]


def test_the_originals_optimiser_takes_the_state_and_goes_on_with_it(back, zh_clap):
    shapes = {key: shape for key, shape, _ in zh_clap["DUR"]}
    parameters = [
        torch.nn.Parameter(torch.zeros(shapes[key])) for key in zh_clap["_meta"]["summary"]["DUR"]["param_order"]
    ]
    optimiser = torch.optim.AdamW(parameters, lr=1e-3)
    held = back["DUR"].optimiser
    moments = {number: {kind: t.clone() for kind, t in entry.items()} for number, entry in held.moments.items()}
    optimiser.load_state_dict(
        {"state": moments, "param_groups": [{**held.settings, "params": list(range(held.parameters))}]}
    )
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    optimiser.step()
    assert optimiser.param_groups[0]["lr"] == 1.99e-4
    assert {float(optimiser.state[parameter]["step"]) for parameter in parameters} == {8001.0}
