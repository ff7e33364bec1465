"""An item sounds the same whatever it is batched with, and the same for the same seed."""

import pytest
import torch
from kelong_speech import synthesiser

MANNERS = [
    synthesiser.Manner(length=1.3, sdp_ratio=0.5),
    synthesiser.Manner(),
    synthesiser.Manner(length=2.0, noise=0.3, noise_w=0.4, sdp_ratio=0.0),
]


def speak(small, items):
    alone = len(items) == 1
    text = small.only(small.text, items[0]) if alone else small.text
    noises = [synthesiser.SeededNoise(100 + item) for item in items]
    return small.generator.eval().infer(text, [MANNERS[item] for item in items], noises)


def test_a_batch_says_each_item_as_it_would_alone(small):
    together = speak(small, [0, 1, 2])
    for item in range(3):
        alone = speak(small, [item])
        assert alone.sample_counts[0] == together.sample_counts[item]
        length = int(alone.sample_counts[0])
        assert torch.allclose(alone.waveform[0, 0], together.waveform[item, 0, :length], atol=1e-5)
        count = int(small.text.phone_counts[item])
        assert torch.equal(alone.durations_frames[0], together.durations_frames[item, :count])


def test_equal_seeds_give_equal_samples_and_others_do_not(small):
    first, again = speak(small, [1]), speak(small, [1])
    assert torch.equal(first.waveform, again.waveform)
    other = small.generator.infer(small.only(small.text, 1), [MANNERS[1]], [synthesiser.SeededNoise(7)])
    assert other.waveform.shape != first.waveform.shape or not torch.equal(other.waveform, first.waveform)


def test_speech_is_as_long_as_its_frames(small):
    spoken = speak(small, [0, 1, 2])
    hop = small.generator.config.audio.hop_samples
    assert spoken.sample_counts.tolist() == (spoken.durations_frames.sum(dim=1) * hop).tolist()
    assert spoken.waveform.shape[2] == int(spoken.sample_counts.max())


def test_a_larger_length_is_slower(small):
    text, counts = small.only(small.text, 1), []
    for length in (1.0, 2.0, 4.0):
        manner = synthesiser.Manner(length=length)
        counts.append(int(small.generator.eval().infer(text, [manner], [synthesiser.SeededNoise(1)]).sample_counts))
    assert counts[0] < counts[1] < counts[2]


def test_durations_beyond_the_limit_are_refused_with_a_sentence(small):
    manner = synthesiser.Manner(length=1e6)
    with pytest.raises(synthesiser.SpeechTooLong, match="the limit is 139 s"):
        small.generator.eval().infer(small.only(small.text, 0), [manner], [synthesiser.SeededNoise(1)])
