"""An imported voice's usual style can be that of a recording: real CLAP code, with random weights, hears it."""

import math

import numpy as np
import pytest
import soundfile
import torch
import transformers
from kelong_speech import audio, features
from kelong_trainer.interchange import usual_style
from kelong_trainer.interchange.original_files import Unusable

RATE_HZ = 44_100


@pytest.fixture(scope="module")
def clap(tmp_path_factory):
    folder = tmp_path_factory.mktemp("clap")
    torch.manual_seed(2)
    hearing = {"patch_embeds_hidden_size": 16, "depths": [1, 1], "num_attention_heads": [2, 2], "window_size": 4}
    hearing |= {"spec_size": 256, "hidden_size": 32, "num_mel_bins": 64, "enable_fusion": True, "fusion_type": "aff_2d"}
    reading = {"vocab_size": 40, "hidden_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2}
    reading |= {"intermediate_size": 32, "max_position_embeddings": 40}
    sizes = transformers.ClapConfig(audio_config=hearing, text_config=reading, projection_dim=16)
    transformers.ClapModel(sizes).save_pretrained(folder)
    transformers.ClapFeatureExtractor().save_pretrained(folder)
    return folder


@pytest.fixture
def recording(tmp_path):
    """A second of a falling tone, at the trainer's rate."""
    seconds = np.arange(RATE_HZ) / RATE_HZ
    path = tmp_path / "clip.wav"
    soundfile.write(path, 0.3 * np.sin(2 * math.pi * (300 - 60 * seconds) * seconds), RATE_HZ, subtype="PCM_16")
    return path


def test_a_recording_gives_what_the_encoder_hears(here, clap, recording):
    style = usual_style.read(recording, 16, f"path:{clap}", here)
    samples, _ = soundfile.read(recording, dtype="float32")
    heard = features.StyleEncoder.load(clap).of_audio(audio.Speech(samples=samples, sample_rate_hz=RATE_HZ))
    assert torch.tensor(style) @ heard > 0.999
    assert math.isclose(math.hypot(*style), 1.0, rel_tol=1e-5)


def test_what_cannot_be_heard_is_one_sentence(here, clap, recording, tmp_path):
    with pytest.raises(Unusable, match=r"clip\.wav is no \.pt file .* \(--style-source store:PREFIX\)"):
        usual_style.read(recording, 16, None, here)
    with pytest.raises(Unusable, match=r"clip\.wav gives 16 values, the voice's style has 512"):
        usual_style.read(recording, 512, f"path:{clap}", here)
    with pytest.raises(Unusable, match="--style-source none is no style encoder"):
        usual_style.read(recording, 16, "none", here)
    (tmp_path / "text.wav").write_text("no sound")
    with pytest.raises(Unusable, match=r"text\.wav cannot be heard"):
        usual_style.read(tmp_path / "text.wav", 16, f"path:{clap}", here)
