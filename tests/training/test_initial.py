"""What a voice begins with: files of the original, a base model, another voice; never chance that nobody asked for."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any

import pytest
import torch
from kelong_contract import codec, layout, names, orders
from kelong_speech import config
from kelong_trainer import __main__ as door
from kelong_trainer.context import BadData, BadOrder, RunContext
from kelong_trainer.interchange import original_files
from kelong_trainer.training import checkpoints, initial, state

EXPORT = "exported"


def voice_config(*speakers: str) -> config.VoiceConfig:
    return config.preset("tiny", speakers=tuple(config.Speaker(name=one, id=row) for row, one in enumerate(speakers)))


@pytest.fixture
def begin(bench) -> Callable[..., tuple[state.TrainingState, Any]]:
    """Fill a fresh state of a voice with these speakers as an order's init says."""

    def made(
        init: orders.Init, *speakers: str, voice: str = "heir", **training: object
    ) -> tuple[state.TrainingState, Any]:
        context = of(bench, init, voice, **training)
        found = initial.find(context)
        at = state.fresh(found.adapt(voice_config(*(speakers or ("Mei",)))), context.order.training, context.device)
        return at, found.fill(at)

    return made


def of(bench, init: orders.Init, voice: str, **training: object) -> RunContext:
    """The context of another voice in the bench's store."""
    name = orders.VoiceName(namespace="default", name=voice, uid="2")
    order = dataclasses.replace(bench.order(seed=99, **training), init=init, voice=name)
    return dataclasses.replace(bench.context(), order=order)


def pretrained(source: str = f"store:{EXPORT}", mode: Any = "Base", fresh: Any = ("Speakers",)) -> orders.Init:
    return orders.Init(type="Pretrained", pretrained=orders.Pretrained(source=source, mode=mode, fresh=fresh))


def other_voice(step: int = 2) -> orders.Init:
    of_mei = orders.VoiceName(namespace="default", name="mei", uid="1")
    return orders.Init(type="VoiceModel", voice_model=orders.OtherVoice(voice=of_mei, step=step))


@pytest.fixture
def trained(bench, here, monkeypatch) -> state.TrainingState:
    """Step 2 of the bench's voice, with optimisers that have run."""
    monkeypatch.setenv(names.ENV_STORE_URL, bench.store.root.as_uri())
    publisher, save, _ = bench.publisher(bench.lease("test"))
    moments = {
        f"{owner}.{kind}.{name}": torch.full_like(tensor, 7.0) if kind != "step" else torch.tensor(2.0)
        for owner, tensors in (("generator", save.snapshot.generator), ("discriminators", save.snapshot.discriminators))
        for name, tensor in tensors.items()
        for kind in ("step", "exp_avg", "exp_avg_sq")
    }
    publisher.save(dataclasses.replace(save, snapshot=dataclasses.replace(save.snapshot, optimiser=moments)))
    publisher.close()
    context = bench.context()
    folder = bench.folder / "trained"
    checkpoints.fetch(context.store, bench.manifest(2), folder)
    at = state.fresh(voice_config("Mei"), context.order.training, context.device)
    state.read(folder, at)
    return at


@pytest.fixture
def exported(bench, trained) -> None:
    """That step as the original's files, in the store."""
    assert door.main(["export", "2", "--voice", "default/mei/1", "--to", f"store:{EXPORT}"]) == 0


def same(a: torch.nn.Module, b: torch.nn.Module) -> list[str]:
    mine, theirs = a.state_dict(), b.state_dict()
    return [name for name in mine if not torch.equal(mine[name], theirs[name])]


def test_a_voice_begins_with_exported_files_and_says_so(bench, trained, exported, begin) -> None:
    at, origin = begin(pretrained())
    assert same(at.generator, trained.generator) == ["enc_p.emb.weight"]  # but for the six new rows
    assert same(at.discriminators, trained.discriminators) == []
    assert (at.step, at.position.epoch) == (0, 0)
    assert not at.optimisers["generator"].state
    assert (origin.source, origin.step, origin.fresh) == (f"store:{EXPORT}", 2, ())
    assert sorted(origin.files) == ["D_2.pth", "G_2.pth"]


def test_in_mode_resume_it_takes_the_optimisers_and_the_step_too(trained, exported, begin) -> None:
    at, _ = begin(pretrained(mode="Resume"))
    assert at.step == 2
    for owner, network in at.networks.items():
        for name, parameter in network.named_parameters():
            moments = at.optimisers[owner].state[parameter]
            assert float(moments["step"]) == 2.0
            new = 6 if name == "enc_p.emb.weight" else 0
            assert torch.equal(
                moments["exp_avg"],
                torch.cat([torch.full_like(parameter, 7.0)[: len(parameter) - new], torch.zeros_like(parameter[:new])]),
            )


def test_moments_lie_where_their_parameter_does_and_so_does_the_step() -> None:
    parameter = torch.nn.Parameter(torch.zeros(2, device="meta"))
    optimiser = torch.optim.AdamW([parameter])
    moments = {"step": torch.tensor(2.0), "exp_avg": torch.ones(2), "exp_avg_sq": torch.ones(2)}
    state.place_moments(optimiser, parameter, moments)
    assert {kind: held.device.type for kind, held in optimiser.state[parameter].items()} == dict.fromkeys(
        moments, "meta"
    )


def test_resuming_beyond_the_last_step_ordered_is_refused(exported, begin) -> None:
    with pytest.raises(BadOrder, match=r"is of step 2, and training\.max_steps is 2: order more steps"):
        begin(pretrained(mode="Resume"), max_steps=2)


def test_a_base_model_is_checked_against_its_digests(bench, exported, begin, tmp_path) -> None:
    folder = bench.store.root / layout.model_source("", EXPORT)
    assert door.main(["import", str(folder), "--to", "store:base"]) == 0
    at, origin = begin(pretrained("store:base"))
    assert sorted(origin.files) == ["discriminators.safetensors", "generator.safetensors", "optimiser.safetensors"]
    resumed, _ = begin(pretrained("store:base", mode="Resume"))
    assert same(at.generator, resumed.generator) == []

    key = "models/base/generator.safetensors"
    data = bench.store.get(key)
    bench.store.put(key, data[:-4] + b"\0\0\0\1")
    with pytest.raises(BadData, match=r"models/base/generator\.safetensors has the digest"):
        begin(pretrained("store:base"))


def test_a_voice_begins_with_a_step_of_another(trained, begin) -> None:
    at, origin = begin(other_voice())
    assert same(at.generator, trained.generator) == []
    assert same(at.discriminators, trained.discriminators) == []
    assert (at.step, origin.source, origin.step) == (0, "default/mei/1", 2)


def test_a_step_that_the_other_voice_does_not_have_is_named_with_those_it_has(trained, begin) -> None:
    with pytest.raises(BadOrder, match="there is no step 4 of default/mei; it has 2") as refused:
        begin(other_voice(4))
    assert refused.value.reason == "StepNotFound"


def test_speakers_keep_their_rows_by_name_and_others_begin_untrained(trained, begin) -> None:
    at, origin = begin(other_voice(), "Khazix", "Mei")
    mei = trained.generator.emb_g.weight[0]
    assert torch.equal(at.generator.emb_g.weight[1], mei)
    assert not torch.equal(at.generator.emb_g.weight[0], mei)
    assert origin.fresh == ("Speakers",)
    assert [name for name in same(at.generator, trained.generator) if name != "emb_g.weight"] == []


def test_speakers_that_may_not_begin_untrained_are_named(exported, begin) -> None:
    with pytest.raises(BadData, match="its table has 1 speakers and this voice's 2, and Khazix is in neither"):
        begin(pretrained(fresh=()), "Khazix", "Mei")


def test_a_network_that_the_files_lack_is_an_error_unless_it_may_be_fresh(bench, exported, begin) -> None:
    bench.store.delete(f"{layout.model_source('', EXPORT)}D_2.pth")
    with pytest.raises(
        BadData, match=r"there is no discriminators \(add Discriminators to fresh to begin it untrained\)"
    ):
        begin(pretrained())
    _, origin = begin(pretrained(fresh=("Discriminators",)))
    assert origin.fresh == ("Discriminators",)

    with pytest.raises(BadData, match="there is no duration_discriminator"):
        begin(pretrained(fresh=("Discriminators",)), duration_discriminator="On")


def test_a_generator_that_only_speaks_needs_leave_to_begin_the_rest_untrained(bench, exported, begin) -> None:
    folder = bench.store.root / layout.model_source("", EXPORT)
    content = original_files.read(folder / "G_2.pth")
    speaks = {name: tensor for name, tensor in content.model.items() if not name.startswith("enc_q.")}
    original_files.write(folder / "G_2.pth", dataclasses.replace(content, model=speaks, optimiser=None))
    assert door.main(["import", str(folder), "--to", "store:base"]) == 0
    with pytest.raises(BadData, match=r"there is no posterior encoder \(add PosteriorEncoder to fresh"):
        begin(pretrained("store:base"))
    _, origin = begin(pretrained("store:base", fresh=("PosteriorEncoder",)))
    assert origin.fresh == ("PosteriorEncoder",)


def test_what_an_import_drew_counts_as_untrained_until_it_is_trained(bench, exported, begin) -> None:
    folder = bench.store.root / layout.model_source("", EXPORT)
    content = original_files.read(folder / "G_2.pth")
    speaks = {name: tensor for name, tensor in content.model.items() if not name.startswith("enc_q.")}
    original_files.write(folder / "G_2.pth", dataclasses.replace(content, model=speaks, optimiser=None))
    whole = ("import", str(folder), "--fresh", "PosteriorEncoder", "--voice")
    assert door.main([*whole, "default/heir/2"]) == 0
    _, origin = begin(orders.Init())
    assert origin.fresh == ("PosteriorEncoder",)

    heir = orders.VoiceName(namespace="default", name="heir", uid="2")
    init = orders.Init(type="VoiceModel", voice_model=orders.OtherVoice(voice=heir, step=2))
    with pytest.raises(BadData, match="it was imported without PosteriorEncoder and not trained since"):
        begin(init, voice="third")
    allowed = dataclasses.replace(init.voice_model, fresh=("Speakers", "PosteriorEncoder"))
    _, origin = begin(dataclasses.replace(init, voice_model=allowed), voice="third")
    assert origin.fresh == ("PosteriorEncoder",)


def test_another_preset_is_refused_before_anything_is_built(bench, exported) -> None:
    found = initial.find(of(bench, pretrained(), "heir"))
    small = dataclasses.replace(voice_config("Mei"), preset="small")
    with pytest.raises(BadOrder, match="is a model of the preset tiny, the order asks for small"):
        found.adapt(small)


def test_a_voice_is_of_the_variant_that_it_begins_with(bench, exported) -> None:
    found = initial.find(of(bench, pretrained(), "heir"))
    weights = dataclasses.replace(
        found.imported.weights, config=config.as_variant(found.imported.weights.config, "extra-fix")
    )
    begins = dataclasses.replace(found, imported=dataclasses.replace(found.imported, weights=weights))
    adapted = begins.adapt(voice_config("Mei"))
    assert (adapted.variant, adapted.audio.mel_bands) == ("extra-fix", 160)
    assert found.adapt(voice_config("Mei")) == voice_config("Mei")


def test_a_source_that_is_not_there_is_named(bench, begin, tmp_path) -> None:
    with pytest.raises(BadOrder, match="nothing lies under models/nowhere/") as refused:
        begin(pretrained("store:nowhere"))
    assert refused.value.reason == "ModelSourceUnavailable"
    with pytest.raises(BadOrder, match="'bundled' is no model"):
        begin(pretrained("bundled"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(BadData, match=r"has no G_<step>\.pth"):
        begin(pretrained(f"path:{tmp_path / 'empty'}"))


def test_from_scratch_nothing_is_filled(begin) -> None:
    at, origin = begin(orders.Init())
    torch.manual_seed(99)
    drawn = state.fresh(voice_config("Mei"), orders.Training(seed=99), torch.device("cpu"))
    assert origin is None and same(at.generator, drawn.generator) == []


def test_an_order_with_exported_files_trains_on_and_writes_down_what_it_began_with(
    bench, exported, run_here, tmp_path: pathlib.Path
) -> None:
    heir = dataclasses.replace(bench.order(max_steps=3, interval_steps=1), init=pretrained(mode="Resume"))
    for item in list(bench.store.list(layout.checkpoints(bench.place))):
        bench.store.delete(item.key)

    assert run_here(codec.dumps(heir).decode()) == names.EXIT_DONE

    assert bench.steps() == [3]
    origin = bench.manifest(3).origin
    assert (origin.source, origin.step) == (f"store:{EXPORT}", 2)
    facts = codec.loads(state.Facts, bench.store.get(bench.manifest(3).file(state.STATE).key), "state.json")
    assert facts.origin == origin


def test_an_imported_step_is_listed_and_trained_on(bench, exported, run_here, capsys) -> None:
    for item in list(bench.store.list(layout.checkpoints(bench.place))):
        bench.store.delete(item.key)
    folder = bench.store.root / layout.model_source("", EXPORT)
    assert door.main(["import", str(folder), "--voice", "default/mei/1"]) == 0
    assert bench.manifest(2).listed and bench.manifest(2).corpus_digest == ""
    assert "promotedStep: 2" in capsys.readouterr().out

    assert run_here(codec.dumps(bench.order(max_steps=3, interval_steps=1)).decode()) == names.EXIT_DONE

    assert bench.steps() == [2, 3]
    assert bench.manifest(3).origin.step == 2
