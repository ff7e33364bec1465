"""Encoder features of clips, by small random encoders of the real classes."""

import dataclasses

import numpy as np
import pytest
import tokenizers
import torch
import transformers
from kelong_contract import orders
from kelong_speech import features as encoders
from kelong_speech.text import utterance
from kelong_trainer import context
from kelong_trainer.corpus.clips import clip_features
from kelong_trainer.stages import features

TEXT_SIZES = {
    "vocab_size": 12,
    "hidden_size": 24,
    "num_hidden_layers": 4,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 200,
}


@pytest.fixture(scope="module")
def text_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("bert")
    torch.manual_seed(1)
    transformers.BertModel(transformers.BertConfig(**TEXT_SIZES)).save_pretrained(folder)
    known = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *"你我的是了,."]
    (folder / "vocab.txt").write_text("\n".join(known) + "\n", encoding="utf-8")
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def style_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clap")
    torch.manual_seed(2)
    audio = {
        "spec_size": 256,
        "patch_embeds_hidden_size": 16,
        "depths": [1, 1],
        "num_attention_heads": [2, 2],
        "window_size": 4,
        "hidden_size": 32,
        "num_mel_bins": 64,
        "enable_fusion": True,
        "fusion_type": "aff_2d",
    }
    sizes = transformers.ClapConfig(audio_config=audio, text_config=TEXT_SIZES, projection_dim=16)
    transformers.ClapModel(sizes).save_pretrained(folder)
    transformers.ClapFeatureExtractor().save_pretrained(folder)
    words = tokenizers.models.WordLevel({"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3}, unk_token="<unk>")
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizers.Tokenizer(words), pad_token="<pad>", unk_token="<unk>", model_max_length=32
    )
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture
def ordered(prepared, trainer, order_of):
    """The prepared corpus, and a trainer whose order names these encoders."""

    def make(**given):
        found = orders.Sources(recogniser=prepared.order.model.sources.recogniser, **given)
        return trainer(prepared.store, order_of(model=orders.Model(preset="tiny", sources=found)))

    return make


def file_of(prepared, tmp_path, clip, kind):
    path = tmp_path / f"{kind}.safetensors"
    prepared.store.get_file(clip.features[kind], path)
    return path


def test_text_features_are_those_of_the_encoder_spread_over_the_phones(prepared, ordered, text_folder, tmp_path):
    corpus = features.run(ordered(text_encoder=f"path:{text_folder}"), prepared.corpus)
    clip = corpus.clips[0]
    spoken = utterance.Utterance.from_phones(
        written=clip.text, spoken=clip.spoken, phones=clip.phones, tones=clip.tones, word2ph=clip.word2ph
    )
    path = file_of(prepared, tmp_path, clip, "text")
    assert clip_features.channels(path) == 24
    found = clip_features.text(path, spoken.ids().word2ph)
    assert found.shape == (24, len(spoken.ids().phone_ids))
    torch.testing.assert_close(found, encoders.TextEncoder.load(text_folder).encode(clip.spoken, spoken.ids().word2ph))
    assert "style" not in clip.features


def test_style_vectors_are_made_once_and_do_not_disturb_other_draws(prepared, ordered, style_folder, tmp_path):
    some = dataclasses.replace(prepared.corpus, clips=prepared.corpus.clips[:2])
    np.random.seed(7)
    expected = np.random.default_rng(0).random(), np.random.get_state()[1][:3].tolist()
    corpus = features.run(ordered(style=f"path:{style_folder}"), some)
    assert (np.random.default_rng(0).random(), np.random.get_state()[1][:3].tolist()) == expected
    keys = [clip.features["style"] for clip in corpus.clips]
    assert len(set(keys)) == 2
    vector = clip_features.style(file_of(prepared, tmp_path, corpus.clips[0], "style"))
    assert vector.shape == (16,) and vector.norm() == pytest.approx(1, abs=1e-5)
    before = {key: item.etag for key in keys for item in prepared.store.list(key)}
    assert features.run(ordered(style=f"path:{style_folder}"), some) == corpus
    assert {key: item.etag for key in keys for item in prepared.store.list(key)} == before


def test_an_order_without_encoders_pays_nothing(prepared, ordered):
    start = ordered()
    assert features.run(start, prepared.corpus).clips == prepared.corpus.clips
    assert not start.work_dir.exists()


@pytest.mark.parametrize("kind", ["text_encoder", "style"])
def test_an_encoder_that_cannot_be_loaded_is_named(prepared, ordered, tmp_path, kind):
    (tmp_path / "empty").mkdir()
    with pytest.raises(context.BadOrder, match=r"model\.sources\.(textEncoder|style) 'path:.*config\.json") as error:
        features.run(ordered(**{kind: f"path:{tmp_path / 'empty'}"}), prepared.corpus)
    assert error.value.reason == "ModelSourceUnavailable"
