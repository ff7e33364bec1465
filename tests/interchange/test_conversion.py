"""Our weights become the original's files and come back, at a reduced size, with everything that files may lack."""

import dataclasses

import pytest
import torch
from kelong_contract import codec
from kelong_speech import config
from kelong_speech.text import symbols
from kelong_trainer.interchange import conversion, original_config, original_files, places

TABLE = "enc_p.emb.weight"


@pytest.fixture
def small(small_config, new_weights):
    return new_weights(small_config)


@pytest.fixture
def bring(tmp_path, small_config, small):
    """The small generator as the original saves it, changed, and read again."""

    def made(change=lambda content: content, **how):
        content = change(conversion.to_original(small)["G"])
        original_files.write(tmp_path / "G_40.pth", content)
        known = original_config.LegacyConfig(kelong=codec.encode(small_config))
        return conversion.from_original(original_files.find(tmp_path), known, **how)

    return made


def test_ours_to_original_to_ours_changes_nothing_but_the_six_symbols(tmp_path, small, same):
    places.write_original(small, tmp_path, done=lambda name: None)
    back = places.open_folder(tmp_path).weights
    assert dataclasses.replace(back, networks={}) == dataclasses.replace(small, networks={})
    for network, was in small.networks.items():
        now = back.networks[network]
        assert same(was.tensors, now.tensors) == ([TABLE] if network == "G" else [])
        assert was.moments.keys() == now.moments.keys()
        for name, entry in was.moments.items():
            assert same(entry, now.moments[name]) == (["exp_avg", "exp_avg_sq"] if name == TABLE else [])
    assert torch.equal(back.networks["G"].tensors[TABLE][:112], small.networks["G"].tensors[TABLE][:112])


def test_the_new_symbols_begin_as_the_comma_does_and_without_momentum(bring):
    generator = bring().weights.networks["G"]
    table = generator.tensors[TABLE]
    assert len(table) == len(symbols.SYMBOLS)
    assert torch.equal(table[112:], table[symbols.SYMBOL_IDS[","]].expand(6, -1))
    for kind in ("exp_avg", "exp_avg_sq"):
        assert generator.moments[TABLE][kind][:112].any() and not generator.moments[TABLE][kind][112:].any()


@pytest.mark.parametrize("flag", [torch.tensor(True), torch.tensor([1.0]), torch.tensor(1.0)])
def test_the_codebooks_flag_is_read_in_every_form_that_libraries_wrote(bring, flag):
    def change(content):
        content.model["enc_p.emo_vq._codebook.initted"] = flag
        return content

    tensors = bring(change).weights.networks["G"].tensors
    assert torch.equal(tensors["enc_p.emo_vq._codebook.initted"], torch.ones(1))


def test_a_release_in_half_precision_is_read_whole_but_for_what_it_leaves_out(bring, same, small):
    def release(content):
        model = {key: value.half() for key, value in content.model.items() if not key.startswith("enc_q.")}
        optimiser = dataclasses.replace(content.optimiser, moments={})
        return dataclasses.replace(content, model=model, optimiser=optimiser)

    imported = bring(release)
    assert imported.weights.speaks_only
    assert imported.sentence.endswith("2 speaker rows, half precision, speaks only")
    generator = imported.weights.networks["G"]
    assert {tensor.dtype for tensor in generator.tensors.values()} == {torch.float32}
    assert generator.moments == {}

    whole = places.completed(imported.weights).networks["G"].tensors
    assert whole.keys() == small.networks["G"].tensors.keys()
    assert same(generator.tensors, {name: whole[name] for name in generator.tensors}) == []
    again = places.completed(imported.weights).networks["G"].tensors
    assert same(whole, again) == []


@pytest.mark.parametrize("frozen", [("enc_p.bert_proj.",), ("enc_p.emo_vq.",), ("enc_p.bert_proj.", "enc_p.emo_vq.")])
def test_what_the_original_had_frozen_stays_without_moments(bring, small, frozen):
    names = [name for name in small.networks["G"].moments if not name.startswith(frozen)]

    def freeze(content):
        order = list(small.networks["G"].moments)
        kept = [entry for number, entry in content.optimiser.moments.items() if not order[number].startswith(frozen)]
        optimiser = dataclasses.replace(content.optimiser, moments=dict(enumerate(kept)), parameters=len(kept))
        return dataclasses.replace(content, optimiser=optimiser)

    weights = bring(freeze).weights
    assert list(weights.networks["G"].moments) == names
    back = conversion.to_original(weights)["G"].optimiser
    assert (back.parameters, sorted(back.moments)) == (len(names), list(range(len(names))))


def test_every_tensor_that_does_not_fit_is_named(bring):
    def spoil(content):
        content.model["dp.proj.weight"] = torch.zeros(1, 2, 1)
        content.model["dp.extra"] = torch.zeros(1)
        for name in [name for name in content.model if name == "sdp.pre.weight" or name.startswith("flow.")]:
            del content.model[name]
        return content

    with pytest.raises(original_files.Unusable) as refusal:
        bring(spoil)
    sentence = str(refusal.value)
    assert sentence.startswith("G_40.pth does not hold the tensors of its network: missing flow.* (")
    assert "tensors), sdp.pre.weight; unexpected dp.extra; " in sentence
    assert "dp.proj.weight is float32[1, 2, 1], expected float32[1, 64, 1]" in sentence


def test_numbers_that_are_not_finite_are_refused(bring):
    def spoil(content):
        content.model["dp.proj.weight"] = torch.full_like(content.model["dp.proj.weight"], torch.nan)
        return content

    with pytest.raises(original_files.Unusable, match=r"not finite, in dp\.proj\.weight: training had failed"):
        bring(spoil)


def test_an_optimiser_of_another_network_is_refused_and_can_be_left_out(bring):
    def spoil(content):
        held = content.optimiser
        fewer = {number: entry for number, entry in held.moments.items() if number < held.parameters - 1}
        return dataclasses.replace(
            content, optimiser=dataclasses.replace(held, moments=fewer, parameters=held.parameters - 1)
        )

    with pytest.raises(original_files.Unusable, match=r"G_40\.pth: its optimiser knows \d+ parameters"):
        bring(spoil)
    assert bring(spoil, weights_only=True).weights.networks["G"].moments == {}


def test_a_file_without_a_learning_rate_has_the_originals_and_it_is_said(bring, caplog):
    assert bring(lambda content: dataclasses.replace(content, learning_rate=0.0)).weights.learning_rate == 2e-4
    assert "G_40.pth names no learning rate: the original's, 0.0002, is taken" in caplog.text


def test_a_folder_is_not_written_over(tmp_path, small):
    (tmp_path / "WD_40.pth").touch()
    with pytest.raises(original_files.Unusable, match=r"WD_40\.pth exists already"):
        places.write_original(small, tmp_path, done=lambda name: None)
    assert [path.name for path in tmp_path.iterdir()] == ["WD_40.pth"]


def test_the_config_json_of_an_export_is_the_originals_with_ours_in_it(tmp_path, small, small_config):
    places.write_original(small, tmp_path, done=lambda name: None)
    found = original_config.read(tmp_path / "config.json")
    assert config.from_json(codec.dumps(small_config)) == small_config
    assert found.kelong == codec.encode(small_config)
    assert (found.mel_bands, found.speakers, found.learning_rate) == (128, {"Mei": 0, "Khazix": 1}, 2e-4)


def test_the_config_json_of_another_audio_format_is_refused(tmp_path):
    (tmp_path / "config.json").write_text('{"data": {"sampling_rate": 22050, "hop_length": 256}}')
    with pytest.raises(original_files.Unusable, match="sampling_rate 22050, hop_length 256; a Chinese generation"):
        original_config.read(tmp_path / "config.json")
