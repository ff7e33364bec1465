"""A tiny voice, published as a trainer publishes it, and small random models of the real classes."""

import dataclasses
import pathlib

import pytest
import safetensors.torch
import torch
import transformers
from kelong_contract import layout, manifests
from kelong_contract import store as stores
from kelong_speech import config, synthesiser, voice

CHARACTERS = "你好世界今天天气真不错我们去公园吧,.!?"


def small_generator(**widths):
    """A random tiny generator whose durations are those of speech: about seven frames to a symbol."""
    torch.manual_seed(4)
    speakers = (config.Speaker(name="小明", id=0), config.Speaker(name="b", id=1))
    generator = synthesiser.Synthesiser(config.preset("tiny", speakers=speakers, **widths))
    with torch.no_grad():
        generator.dp.proj.bias.fill_(1.2)
    return generator


@dataclasses.dataclass(frozen=True)
class Published:
    store: stores.FolderStore
    manifest: manifests.CheckpointManifest
    cache: pathlib.Path

    def load(self):
        return voice.Voice.load(self.store, self.manifest, self.cache)


def save(folder, generator):
    """The two files of a generator, as the trainer leaves them."""
    folder.mkdir(parents=True, exist_ok=True)
    weights, settings = folder / layout.GENERATOR_FILE, folder / layout.CONFIG_FILE
    safetensors.torch.save_file(generator.state_dict(), weights)
    settings.write_bytes(generator.config.to_json())
    return weights, settings


def publish(root, generator, step=100):
    """Put a generator into a folder store and describe it, as the trainer does."""
    store = stores.FolderStore(root / "store")
    files = []
    for path in save(root / "made", generator):
        key = f"voices/default/v/uid/checkpoints/{step}/1/{path.name}"
        store.put_file(key, path)
        digest, size = stores.digest_file(path), path.stat().st_size
        files.append(manifests.StoredFile(name=path.name, key=key, sha256=digest, size_bytes=size))
    manifest = manifests.CheckpointManifest(
        voice=manifests.VoiceName(namespace="default", name="v", uid="uid"),
        step=step,
        attempt=1,
        created_at="2026-01-01T00:00:00Z",
        order_digest="0" * 64,
        corpus_digest="0" * 64,
        preset=generator.config.preset,
        speakers=generator.config.speaker_ids,
        listed=True,
        files=tuple(files),
    )
    return Published(store=store, manifest=manifest, cache=root / "cache")


@pytest.fixture
def published(tmp_path):
    return publish(tmp_path, small_generator())


@pytest.fixture(scope="session")
def tiny_voice():
    return voice.Voice.from_parts(small_generator())


def save_tokenizer(folder, special=("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")):
    (folder / "vocab.txt").write_text(
        "\n".join([*special, *dict.fromkeys(CHARACTERS), "ok", "g", "##o"]) + "\n", encoding="utf-8"
    )
    transformers.BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)


@pytest.fixture(scope="session", params=["bert", "megatron-bert"])
def text_encoder_folder(request, tmp_path_factory):
    """A random encoder of one of the real classes, as `save_pretrained` leaves it."""
    folder = tmp_path_factory.mktemp(request.param)
    torch.manual_seed(2)
    sizes = {
        "vocab_size": 40,
        "hidden_size": 24,
        "num_hidden_layers": 4,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 40,
    }
    if request.param == "bert":
        transformers.BertModel(transformers.BertConfig(**sizes)).save_pretrained(folder)
    else:
        transformers.MegatronBertModel(transformers.MegatronBertConfig(**sizes)).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


@pytest.fixture(scope="session")
def clap_folder(tmp_path_factory):
    """A random CLAP of the real class with the fused extractor, whose chunks of long clips are drawn."""
    folder = tmp_path_factory.mktemp("clap")
    torch.manual_seed(2)
    audio_sizes = {
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
    text_sizes = {
        "vocab_size": 40,
        "hidden_size": 24,
        "num_hidden_layers": 1,
        "num_attention_heads": 2,
        "intermediate_size": 32,
        "max_position_embeddings": 40,
    }
    sizes = transformers.ClapConfig(audio_config=audio_sizes, text_config=text_sizes, projection_dim=16)
    transformers.ClapModel(sizes).save_pretrained(folder)
    transformers.ClapFeatureExtractor().save_pretrained(folder)
    return folder


@pytest.fixture
def make_generator():
    return small_generator


@pytest.fixture(name="small_generator")
def one_small_generator():
    return small_generator()


@pytest.fixture
def save_generator():
    return save
