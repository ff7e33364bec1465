"""The verbs import and export at the trainer's door: what they leave in the store and in folders, and what they say."""

import dataclasses
import signal

import pytest
import torch
from kelong_contract import codec, layout, manifests, names, orders
from kelong_speech import checkpoint, config
from kelong_trainer.interchange import conversion, original_files, places, weights_folder

VOICE = "default/mei/1"
PLACE = orders.VoiceName(namespace="default", name="mei", uid="1").place()


@pytest.fixture
def original(tmp_path, small_config, new_weights):
    """A folder as an export leaves it, with all four networks at step 40."""

    def make(*networks, change=lambda weights: weights):
        folder = tmp_path / "original"
        weights = change(new_weights(small_config, networks or ("G", "D", "WD", "DUR")))
        places.write_original(weights, folder, done=lambda name: None)
        return folder

    return make


@pytest.fixture
def said(capsys):
    def last():
        captured = capsys.readouterr()
        assert "Traceback" not in captured.err
        return captured.out + captured.err

    return last


def test_a_base_model_lies_in_the_store_with_its_digests_and_its_origin(here, run, original, said):
    folder = original()
    assert run("import", folder, "--to", "store:base/mei") == names.EXIT_DONE
    assert "source: store:base/mei" in said()
    key = "models/base/mei/manifest.json"
    base = codec.loads(manifests.BaseModel, here.get(key), key)
    assert (base.preset, base.variant, base.step) == ("tiny", "zh-clap", 40)
    assert sorted(base.origin.files) == ["DUR_40.pth", "D_40.pth", "G_40.pth", "WD_40.pth"]
    assert [stored.name for stored in base.files] == [
        "generator.safetensors",
        "discriminators.safetensors",
        "optimiser.safetensors",
        "state.json",
        "config.json",
    ]
    assert all(here.exists(stored.key) for stored in base.files)


def test_what_lies_there_is_not_written_over(here, run, original, said):
    here.put("models/base/other.txt", b"")
    assert run("import", original("G"), "--to", "store:base") == names.EXIT_BAD_DATA
    assert "something lies under models/base/ already; choose another prefix" in said()


def test_a_base_model_of_which_the_import_was_interrupted_is_not_used_and_gives_way(
    here, run, original, said, tmp_path
):
    folder = original()
    assert run("import", folder, "--to", "store:base") == names.EXIT_DONE
    here.delete("models/base/manifest.json")
    here.get_file("models/base/generator.safetensors", tmp_path / "half" / "generator.safetensors")
    with pytest.raises(original_files.Unusable, match=r"half is not whole: it has no manifest\.json"):
        places.open_folder(tmp_path / "half")

    assert run("import", folder, "--to", "store:base", "--weights-only") == names.EXIT_DONE
    assert sorted(item.key.removeprefix("models/base/") for item in here.list("models/base/")) == [
        "config.json",
        "discriminators.safetensors",
        "generator.safetensors",
        "manifest.json",
        "state.json",
    ]
    assert run("import", folder, "--to", "store:base") == names.EXIT_BAD_DATA
    assert "something lies under models/base/ already" in said()


def test_an_export_writes_nothing_over_either(here, run, original, said):
    folder = original("G", "D")
    assert run("import", folder, "--voice", VOICE) == names.EXIT_DONE
    assert run("import", folder, "--to", "store:base") == names.EXIT_DONE
    before = here.get("models/base/config.json")
    assert run("export", 40, "--voice", VOICE, "--to", "store:base") == names.EXIT_BAD_DATA
    assert "something lies under models/base/ already; choose another prefix" in said()
    assert here.get("models/base/config.json") == before


def test_a_base_model_holds_nothing_that_was_drawn(here, run, original, said):
    assert run("import", original("G"), "--to", "store:base", "--fresh", "PosteriorEncoder") == names.EXIT_BAD_DATA
    assert "--fresh PosteriorEncoder is for --voice" in said()
    assert not list(here.list(""))


def test_a_stop_ends_a_verb_with_a_sentence(here, run, original, said, monkeypatch):
    folder = original("G")

    def stopped(self, key, path):
        signal.raise_signal(signal.SIGTERM)

    monkeypatch.setattr(type(here), "put_file", stopped)
    assert run("import", folder, "--to", "store:base") == names.EXIT_SAVED
    assert "import: stopped before it was done" in said()


def test_original_to_a_voices_step_to_original_changes_nothing(here, run, original, said, tmp_path, same):
    folder = original()
    assert run("import", folder, "--voice", VOICE) == names.EXIT_DONE
    assert "promote it with promotedStep: 40" in said()
    assert run("export", 40, "--voice", VOICE, "--to", tmp_path / "back") == names.EXIT_DONE
    for network in original_files.NETWORKS:
        was, now = (original_files.read(place / f"{network}_40.pth") for place in (folder, tmp_path / "back"))
        assert same(was.model, now.model) == []
        assert dataclasses.replace(was, model={}, optimiser=None) == dataclasses.replace(now, model={}, optimiser=None)
        assert was.optimiser.settings == now.optimiser.settings
        assert all(same(entry, now.optimiser.moments[number]) == [] for number, entry in was.optimiser.moments.items())
    assert (tmp_path / "back" / "config.json").read_bytes() == (folder / "config.json").read_bytes()


def test_an_imported_step_speaks(here, run, original, tmp_path, small_config):
    assert run("import", original("G"), "--voice", VOICE) == names.EXIT_DONE
    key = layout.checkpoint_manifest(PLACE, 40)
    manifest = codec.loads(manifests.CheckpointManifest, here.get(key), key)
    assert (manifest.listed, manifest.speakers, manifest.preset) == (True, {"Mei": 0, "Khazix": 1}, "tiny")
    places.fetch_step(here, manifest, tmp_path / "step")
    path = tmp_path / "step" / layout.GENERATOR_FILE
    assert checkpoint.load_weights(path, small_config).config == small_config


def test_speakers_and_their_style_are_named_by_the_command(here, run, original, tmp_path, small_config):
    torch.save(2 * torch.ones(16, 1), tmp_path / "clip.emo.pt")
    options = ("--speaker", "阿卡丽=1", "--style", tmp_path / "clip.emo.pt")
    assert run("import", original("G"), "--voice", VOICE, *options) == names.EXIT_DONE
    key = layout.checkpoint_file(PLACE, 40, 1, layout.CONFIG_FILE)
    assert config.from_json(here.get(key)).speakers == (config.Speaker(name="阿卡丽", id=1, style=(0.25,) * 16),)


def test_a_voice_that_could_not_speak_is_refused_with_what_is_missing(here, run, original, said):
    def mute(weights):
        speakers = (config.Speaker(name="Mei", id=0),)
        return dataclasses.replace(weights, config=dataclasses.replace(weights.config, speakers=speakers))

    assert run("import", original("G", change=mute), "--voice", VOICE) == names.EXIT_BAD_DATA
    assert "Mei has no usual style, without which this voice cannot speak; add --style FILE" in said()
    assert not list(here.list(""))


def test_a_release_speaks_only_if_the_rest_may_begin_untrained(here, run, original, said):
    def release(weights):
        part = weights.networks["G"]
        tensors = {name: tensor for name, tensor in part.tensors.items() if not name.startswith("enc_q.")}
        return dataclasses.replace(weights, networks={"G": conversion.Network(tensors=tensors)})

    folder = original("G", change=release)
    assert run("import", folder, "--voice", VOICE) == names.EXIT_BAD_DATA
    assert "add --fresh PosteriorEncoder" in said()
    assert run("import", folder, "--voice", VOICE, "--fresh", "PosteriorEncoder") == names.EXIT_DONE
    key = layout.checkpoint_manifest(PLACE, 40)
    assert codec.loads(manifests.CheckpointManifest, here.get(key), key).origin.fresh == ("PosteriorEncoder",)


def test_a_voice_with_steps_of_its_own_takes_none_from_outside(here, run, original, said):
    folder = original("G")
    assert run("import", folder, "--voice", VOICE) == names.EXIT_DONE
    assert run("import", folder, "--voice", VOICE) == names.EXIT_BAD_DATA
    assert "default/mei has steps already: import into a VoiceModel of its own" in said()


def test_what_is_not_written_is_said_with_its_reason(here, run, original, said, tmp_path):
    assert run("import", original("G", "D"), "--voice", VOICE) == names.EXIT_DONE
    assert "not among the files: WD_40.pth, DUR_40.pth" in said()
    assert run("export", 40, "--voice", VOICE, "--to", tmp_path / "both") == names.EXIT_DONE
    assert "no WD_40.pth: this voice is trained without a WavLM discriminator" in said()

    for name in ("discriminators", "optimiser"):
        here.delete(layout.checkpoint_file(PLACE, 40, 1, f"{name}.safetensors"))
    assert run("export", 40, "--voice", VOICE, "--to", "store:exported") == names.EXIT_DONE
    assert "only the generator is left, retention has deleted its discriminators and optimisers" in said()
    assert sorted(item.key for item in here.list("models/")) == [
        "models/exported/G_40.pth",
        "models/exported/config.json",
    ]


def test_a_damaged_step_is_not_exported(here, run, original, said, tmp_path):
    assert run("import", original("G"), "--voice", VOICE) == names.EXIT_DONE
    key = layout.checkpoint_file(PLACE, 40, 1, layout.GENERATOR_FILE)
    here.put(key, here.get(key)[:-1] + b"x")
    assert run("export", 40, "--voice", VOICE, "--to", tmp_path / "back") == names.EXIT_BAD_DATA
    assert f"{key} has the digest" in said()
    assert not (tmp_path / "back").exists()


def test_a_step_that_does_not_exist_is_named_with_those_that_do(here, run, original, said, tmp_path):
    assert run("import", original("G"), "--voice", VOICE) == names.EXIT_DONE
    assert run("export", 7, "--voice", VOICE, "--to", tmp_path / "back") == names.EXIT_BAD_DATA
    assert "default/mei has no step 7; it has 40" in said()


def test_the_running_mean_or_what_training_goes_on_from(here, run, small_config, new_weights, tmp_path, same):
    folder = tmp_path / "step"
    heard, raw = (new_weights(small_config, networks) for networks in (("G", "D"), ("G",)))
    raw.networks["G"].tensors["dp.proj.bias"].fill_(5.0)
    origin = manifests.Origin(source="test", step=40, files={})
    weights_folder.write(raw, origin, folder)
    (folder / layout.GENERATOR_FILE).rename(folder / "raw_generator.safetensors")
    kept = weights_folder.write(heard, origin, tmp_path / "heard")
    for name in kept:
        (tmp_path / "heard" / name).rename(folder / name)
    mean, trained = weights_folder.read(folder), weights_folder.read(folder, raw=True)
    assert same(mean.networks["G"].tensors, trained.networks["G"].tensors) == ["dp.proj.bias"]
    assert (bool(mean.networks["G"].moments), bool(trained.networks["G"].moments)) == (False, True)
    assert mean.networks["D"].moments and trained.networks["D"].moments


@pytest.mark.parametrize(
    ("arguments", "said_of"),
    [
        (("import", "nowhere", "--to", "store:a"), "the folder nowhere cannot be read"),
        (("import", ".", "--to", "hub:a/b@c"), "'hub:a/b@c' is not a place in the store, expected store:PREFIX"),
        (("mirror", "none"), "'none' has no usual place"),
        (("mirror", "hub:a/b"), "'hub:a/b' names no revision, which a copy is kept by: write hub:ORG/NAME@REV"),
    ],
)
def test_a_wrong_argument_is_one_sentence(here, run, said, tmp_path, monkeypatch, arguments, said_of):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "G_0.pth").touch()
    assert run(*arguments) == names.EXIT_BAD_DATA
    assert said_of in said()


@pytest.mark.parametrize("voice", ["mei", "default/mei/", "a/b/c/d"])
def test_a_voice_is_named_in_three_parts(here, run, said, voice):
    with pytest.raises(SystemExit):
        run("export", 40, "--voice", voice, "--to", "x")
    assert "is not NAMESPACE/NAME/UID" in said()


def test_without_a_store_the_environment_is_what_is_wrong(run, said, monkeypatch, tmp_path):
    monkeypatch.delenv(names.ENV_STORE_URL, raising=False)
    assert run("mirror", "hub:a/b@c") == names.EXIT_BAD_ORDER
    assert names.ENV_STORE_URL in said()
