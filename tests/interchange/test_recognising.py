"""A generator's file says by its tensors which generation made it; those that are of no use here are named."""

import pytest
import torch
from kelong_trainer.interchange import generations, original_config, original_files

PLAIN = original_config.LegacyConfig()
CODES = "enc_p.emo_vq._codebook.embed"


@pytest.fixture
def shaped():
    """Tensors of a layout that take no room."""

    def make(layout, change=lambda tensors: None):
        tensors = {key: torch.zeros(()).expand(shape) for key, shape, _ in layout["G"]}
        if CODES in tensors:
            tensors[CODES] = torch.rand(32, 64, 32) - 0.5
        change(tensors)
        return tensors

    return make


def recognise(tensors, config=PLAIN):
    return generations.recognise("G_0.pth", tensors, config)


def test_zh_clap_is_known(shaped, zh_clap):
    found = recognise(shaped(zh_clap))
    assert (found.variant, found.speakers, found.speaks_only) == ("zh-clap", 512, False)


@pytest.mark.parametrize("kind", [torch.float32, torch.float16])
def test_extra_fix_is_known_by_codes_of_unit_length(shaped, zh_clap, kind):
    def change(tensors):
        tensors[CODES] = torch.nn.functional.normalize(torch.randn(32, 64, 32), dim=-1).to(kind)

    found = recognise(shaped(zh_clap, change), original_config.LegacyConfig(mel_bands=160))
    assert (found.variant, found.halved) == ("extra-fix", kind == torch.float16)
    assert found.sentence.startswith("Extra-Fix, 512 speaker rows")


def test_a_configuration_of_extra_fix_beside_a_file_of_zh_clap_is_refused(shaped, zh_clap):
    with pytest.raises(original_files.Unusable, match="do not belong together: n_mel_channels 160 is Extra-Fix"):
        recognise(shaped(zh_clap), original_config.LegacyConfig(mel_bands=160))


def test_the_multilingual_2_3_is_refused_by_name(shaped, multilingual):
    with pytest.raises(original_files.Unusable, match=r"G_0\.pth is the multilingual generation 2\.3: its texts"):
        recognise(shaped(multilingual))


def without_english(tensors):
    for name in ("enc_p.en_bert_proj.weight", "enc_p.en_bert_proj.bias"):
        del tensors[name]


def with_clap(tensors):
    tensors["enc_p.emo_vq.project_in.weight"] = torch.zeros(1024, 512)


def with_wav2vec(tensors):
    tensors["enc_p.emo_proj.weight"] = torch.zeros(192, 1024)


def narrow(tensors):
    tensors["emb_g.weight"] = torch.zeros(700, 256)


def japanese(tensors):
    with_clap(tensors)
    for name in [name for name in tensors if "ja_bert" in name or "en_bert" in name]:
        del tensors[name]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (without_english, "the Chinese and Japanese generation 1.x"),
        (with_clap, "the multilingual generation 2.2"),
        (with_wav2vec, "the multilingual generation 2.1"),
        (narrow, "the multilingual generation 2.0 or 2.3"),
        (japanese, "the Japanese generation JP-Extra"),
        (dict.clear, "no generator of Bert-VITS2"),
    ],
)
def test_the_other_generations_are_refused_by_name(shaped, multilingual, change, said):
    with pytest.raises(original_files.Unusable) as refusal:
        recognise(shaped(multilingual, change))
    assert f"G_0.pth is {said}: " in str(refusal.value)
    assert "use a base model of the Chinese generations" in str(refusal.value)


@pytest.mark.parametrize("without", ["enc_p.bert_pre_proj.", "enc_p.bert"])
def test_what_came_before_the_chinese_generations_is_none_of_them(shaped, zh_clap, without):
    def change(tensors):
        for name in [name for name in tensors if name.startswith((without, "enc_p.emo_vq."))]:
            del tensors[name]

    with pytest.raises(original_files.Unusable, match=r"is no Chinese generation \(it lacks enc_p\.bert_pre_proj"):
        recognise(shaped(zh_clap, change))
    ours = original_config.LegacyConfig(kelong={"preset": "tiny"})
    assert recognise(shaped(zh_clap, change), ours).variant == "zh-clap"


def test_the_experiment_with_another_text_encoder_is_refused(shaped, zh_clap):
    def change(tensors):
        tensors["enc_p.bert_pre_proj.weight"] = torch.zeros(1024, 1024, 1)

    with pytest.raises(original_files.Unusable, match="ZH-BGE-Bert"):
        recognise(shaped(zh_clap, change))


@pytest.mark.parametrize("lacking", ["dec.conv_pre.weight", "enc_p.emb.weight", "enc_p.bert_pre_proj.weight"])
def test_a_file_that_lacks_a_tensor_is_still_known_for_what_it_is(shaped, zh_clap, lacking):
    assert recognise(shaped(zh_clap, lambda tensors: tensors.pop(lacking))).variant == "zh-clap"


def test_a_file_without_its_table_of_speakers_is_refused_by_that_name(shaped, zh_clap):
    with pytest.raises(original_files.Unusable, match=r"G_0\.pth lacks emb_g\.weight, the table of speakers"):
        recognise(shaped(zh_clap, lambda tensors: tensors.pop("emb_g.weight")))
