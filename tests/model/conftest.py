"""The generator of the original's size, with weights and inputs that a formula defines.

Every tensor is drawn from numpy's generator seeded with the CRC-32 of its name, so that two programs that share no file
hold the same weights. The recorded outputs in `fixtures/` come from the original's modules filled the same way.
"""

import dataclasses
import json
import math
import pathlib
import zlib

import numpy as np
import pytest
import torch
from kelong_speech import config, encoders, synthesiser

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
ORIGINAL_SYMBOLS = 112  # ours are more: the marks sp1 to sp4, br1 and br2 came later


def draw(name, shape):
    return np.random.default_rng(zlib.crc32(name.encode())).standard_normal(shape)


def tensor(name, shape, scale=1.0):
    return torch.from_numpy((draw(name, shape) * scale).astype(np.float32))


def weight(key, shape):
    normal, last = draw(key, shape), key.rsplit(".", 1)[-1]
    if last == "initted":
        value = np.ones(shape)
    elif last == "cluster_size":
        value = np.full(shape, 2.0)
    elif last in ("gamma", "weight_g") or (last == "weight" and len(shape) == 1):
        value = 1 + 0.1 * normal
    elif last.startswith("bias") or last in ("beta", "m", "logs"):
        value = 0.05 * normal
    elif last in ("embed", "embed_avg"):
        value = normal
    elif len(shape) >= 2:
        value = normal / math.sqrt(math.prod(shape[1:]))
    else:
        value = 0.05 * normal
    return torch.from_numpy(value.astype(np.float32))


class NamedNoise:
    """Stands where the original's random draws were: the same values whenever a name is asked for."""

    def normal(self, channels, length):
        return tensor("sdp_noise" if channels == 2 else "like", (1, channels, length))[0]


@dataclasses.dataclass(frozen=True)
class Inputs:
    text: encoders.TextBatch
    spectrogram: torch.Tensor
    frame_counts: torch.Tensor


@pytest.fixture(scope="session")
def recorded():
    return json.loads((FIXTURES / "zh_clap_golden_numeric.json").read_text())


@pytest.fixture(scope="session")
def layout():
    return json.loads((FIXTURES / "zh_clap_state_dict.json").read_text())


def zh_clap(speakers, symbols=ORIGINAL_SYMBOLS):
    model = config.ModelConfig(symbols=symbols, speakers=speakers)
    return config.VoiceConfig(preset="zh-clap", speakers=(config.Speaker(name="someone", id=0),), model=model)


def fill(network):
    """The network filled by the formula, in eval mode."""
    network.load_state_dict({key: weight(key, tuple(value.shape)) for key, value in network.state_dict().items()})
    return network.eval().requires_grad_(False)


@pytest.fixture(scope="session")
def filled():
    return fill


@pytest.fixture(scope="session")
def original():
    """The generator at the original's size."""
    return fill(synthesiser.Synthesiser(zh_clap(speakers=2)))


@pytest.fixture(scope="session")
def inputs(recorded):
    how = recorded["_how"]
    style = tensor("emo", (1, 512))
    text = encoders.TextBatch(
        phone_ids=torch.tensor([how["x"]]),
        tone_ids=torch.tensor([how["tone"]]),
        language_ids=torch.zeros(1, how["T"], dtype=torch.int64),
        phone_counts=torch.tensor([how["T"]]),
        speaker_ids=torch.tensor([how["sid"]]),
        text_features=tensor("bert", (1, 2048, how["T"]), 0.2),
        style=style / style.norm(),
    )
    return Inputs(text=text, spectrogram=tensor("spec", (1, 1025, 40)).abs(), frame_counts=torch.tensor([40]))


@pytest.fixture(scope="session")
def speaker(original, inputs):
    return original.emb_g(inputs.text.speaker_ids).unsqueeze(2)


@pytest.fixture(scope="session")
def named_tensor():
    return tensor


@pytest.fixture(scope="session")
def named_noise():
    return NamedNoise()


@pytest.fixture(scope="session")
def zh_clap_config():
    return zh_clap


def tiny_config(flow_encoder="wavenet", **widths):
    """The tiny preset, optionally with narrow text and style encoders and with the big preset's kind of flow."""
    speakers = tuple(config.Speaker(name=name, id=row) for row, name in enumerate("ab"))
    found = config.preset("tiny", speakers=speakers, **widths)
    return dataclasses.replace(found, model=dataclasses.replace(found.model, flow_encoder=flow_encoder))


def random_texts(counts, text_feature_channels=None, style_channels=None):
    """A padded batch of texts of these lengths; item i depends on i and its length only."""
    longest, items = max(counts), len(counts)
    ids = torch.zeros(2, items, longest, dtype=torch.int64)
    features = torch.zeros(items, text_feature_channels or 1, longest)
    for item, count in enumerate(counts):
        source = torch.Generator().manual_seed(item)
        ids[0, item, :count] = torch.randint(0, config.SYMBOLS, (count,), generator=source)
        ids[1, item, :count] = torch.randint(0, 6, (count,), generator=source)
        features[item, :, :count] = torch.randn(features.shape[1], count, generator=source)
    style = torch.nn.functional.normalize(torch.randn(items, style_channels or 1), dim=1)
    return encoders.TextBatch(
        phone_ids=ids[0],
        tone_ids=ids[1],
        language_ids=torch.zeros_like(ids[0]),
        phone_counts=torch.tensor(counts),
        speaker_ids=torch.arange(items) % 2,
        text_features=features if text_feature_channels else None,
        style=style if style_channels else None,
    )


def only(text, item):
    """One item of a batch, without its padding."""
    count = int(text.phone_counts[item])
    return encoders.TextBatch(
        phone_ids=text.phone_ids[item : item + 1, :count],
        tone_ids=text.tone_ids[item : item + 1, :count],
        language_ids=text.language_ids[item : item + 1, :count],
        phone_counts=text.phone_counts[item : item + 1],
        speaker_ids=text.speaker_ids[item : item + 1],
        text_features=None if text.text_features is None else text.text_features[item : item + 1, :, :count],
        style=None if text.style is None else text.style[item : item + 1],
    )


@dataclasses.dataclass(frozen=True)
class Small:
    """A small generator with everything switched on, shaken so that no zero-initialised layer hides a fault."""

    generator: synthesiser.Synthesiser
    text: encoders.TextBatch
    only: object


@pytest.fixture(params=["transformer", "wavenet"])
def small(request):
    torch.manual_seed(1)
    widths = {"text_feature_channels": 24, "style_channels": 16}
    generator = synthesiser.Synthesiser(tiny_config(request.param, **widths))
    with torch.no_grad():
        for parameter in generator.parameters():
            parameter.add_(0.02 * torch.randn_like(parameter))
    return Small(generator=generator, text=random_texts([9, 23, 15], **widths), only=only)


@pytest.fixture
def tiny():
    torch.manual_seed(1)
    generator = synthesiser.Synthesiser(tiny_config())
    return Small(generator=generator, text=random_texts([9, 23, 15]), only=only)


@pytest.fixture(scope="session")
def random_text_batch():
    return random_texts


@pytest.fixture(scope="session", name="only")
def only_one():
    return only
