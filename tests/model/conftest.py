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


def zh_clap(speakers, symbols=config.LEGACY_SYMBOLS):
    model = config.ModelConfig(symbols=symbols, speakers=speakers)
    return config.VoiceConfig(preset="zh-clap", speakers=(config.Speaker(name="someone", id=0),), model=model)


@pytest.fixture(scope="session")
def original():
    """The generator at the original's size, filled by the formula, in eval mode."""
    generator = synthesiser.Synthesiser(zh_clap(speakers=2)).eval().requires_grad_(False)
    generator.load_state_dict({key: weight(key, tuple(value.shape)) for key, value in generator.state_dict().items()})
    return generator


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
