"""What a file's sound is: which of its channels is used, how loud it is and how high it peaks."""

import fractions
import math

import av
import numpy as np
import pytest
import soundfile
from kelong_trainer.corpus.sound import channels, decoding, levels, media

RATE_HZ = 48000


def speech(seconds=6.0, seed=1, level=0.2, rate_hz=RATE_HZ):
    """Noise with a voice's spectrum and its syllables and pauses: loud for a second, quiet for half of one."""
    noise = np.random.default_rng(seed).standard_normal(round(seconds * rate_hz))
    spectrum = np.fft.rfft(noise)
    hz = np.fft.rfftfreq(len(noise), 1 / rate_hz)
    spectrum[hz < 80] = 0
    shaped = np.fft.irfft(spectrum / (1 + (hz / 800) ** 2), len(noise))
    times = np.arange(len(noise)) / rate_hz
    envelope = np.where((times + 0.3 * seed) % 1.5 < 1.0, 0.5 + 0.5 * np.abs(np.sin(2 * np.pi * 2 * times)), 1e-3)
    shaped = shaped / np.abs(shaped).max() * envelope
    return (level * shaped / np.abs(shaped).max()).astype(np.float32)


def hiss(level, seed=9, seconds=6.0):
    return (level * np.random.default_rng(seed).standard_normal(round(seconds * RATE_HZ))).astype(np.float32)


def hum(level, seconds=6.0):
    return (level * np.sin(2 * np.pi * 50 * np.arange(round(seconds * RATE_HZ)) / RATE_HZ)).astype(np.float32)


def later(samples, seconds):
    shift = round(seconds * RATE_HZ)
    return np.concatenate([np.zeros(shift, np.float32), samples[: len(samples) - shift]])


VOICE, GUEST = speech(), speech(seed=2)


@pytest.mark.parametrize(
    ("name", "left", "right", "chosen"),
    [
        ("the same twice", VOICE, VOICE, "mix"),
        ("one a little quieter", VOICE, 0.5 * VOICE, "mix"),
        ("out of phase", VOICE, -VOICE, "0"),
        ("nearly out of phase", 0.8 * VOICE, -VOICE, "1"),
        ("nothing plugged in on the right", VOICE, 0 * VOICE, "0"),
        ("nothing plugged in on the left", 0 * VOICE, VOICE, "1"),
        ("hiss alone, as loud as the voice", hiss(0.1), VOICE, "1"),
        ("a faint voice in hiss", 0.05 * VOICE + hiss(0.05), VOICE, "1"),
        ("hum alone, louder than the voice", hum(0.5), VOICE, "1"),
        ("an offset alone", np.full_like(VOICE, 0.5), VOICE, "1"),
        ("two microphones a third of a metre apart", VOICE + hiss(1e-3), later(VOICE, 0.001) + hiss(1e-3, 8), "0"),
        ("two microphones two metres apart", VOICE, 0.9 * later(VOICE, 0.006), "0"),
        ("a recorder's echo", 0.9 * later(VOICE, 0.015), VOICE, "1"),
        ("two people, a microphone each", VOICE, GUEST, "mix"),
        ("two people, each heard a little by the other", VOICE + 0.1 * GUEST, GUEST + 0.1 * VOICE, "mix"),
        ("a voice in the middle of wide music", VOICE + hiss(0.01), VOICE + hiss(0.01, 8), "mix"),
        ("silence", 0 * VOICE, 0 * VOICE, "mix"),
    ],
)
def test_the_channel_follows_from_level_and_correlation(tmp_path, name, left, right, chosen):
    soundfile.write(tmp_path / "a.wav", np.stack([left, right], axis=1), RATE_HZ, subtype="FLOAT")
    assert decoding.decode(tmp_path / "a.wav", tmp_path / "out.flac").sound.channel == chosen, name


SILENT = np.zeros_like(VOICE)


@pytest.mark.parametrize(
    ("layout", "sounds", "chosen"),
    [
        ("5.1", [hiss(0.05), hiss(0.05, 8), VOICE, hum(0.4), SILENT, SILENT], "2"),
        ("5.1", [VOICE, VOICE, SILENT, hum(0.4), SILENT, SILENT], "0+1"),
        ("5.1", [VOICE, -VOICE, SILENT, SILENT, SILENT, SILENT], "0"),
        ("2.1", [VOICE, VOICE, VOICE], "0+1"),
        ("3.0", [SILENT, SILENT, VOICE], "2"),
        ("quad", [SILENT, SILENT, SILENT, VOICE], "3"),
    ],
)
def test_of_many_channels_the_centre_is_used_then_the_front_then_the_best(tmp_path, layout, sounds, chosen):
    path = tmp_path / "a.wav"
    with av.open(str(path), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=RATE_HZ, layout=layout)
        samples = (np.stack(sounds, axis=1).reshape(1, -1) * 32767).astype(np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout=layout)
        frame.sample_rate, frame.pts, frame.time_base = RATE_HZ, 0, fractions.Fraction(1, RATE_HZ)
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    decoded = decoding.decode(path, tmp_path / "out.flac")
    assert (decoded.sound.channels, decoded.sound.channel) == (len(sounds), chosen)
    written, _ = soundfile.read(tmp_path / "out.flac")
    assert np.abs(written).max() == pytest.approx(0.2, rel=0.05)


def test_a_file_whose_beginning_speaks_for_another_channel_is_read_again(tmp_path, monkeypatch):
    monkeypatch.setattr(channels, "GUESS_S", 4.0)
    left = np.concatenate([VOICE, hiss(0.01), hiss(0.01, 2), hiss(0.01, 3)])
    right = np.concatenate([hiss(0.01, 4), VOICE, VOICE, VOICE])
    soundfile.write(tmp_path / "a.wav", np.stack([left, -right], axis=1), RATE_HZ, subtype="FLOAT")
    read = []

    class Reader(media.Reader):
        def blocks(self):
            read.append(0)
            for block in super().blocks():
                read[-1] += block.samples.shape[1]
                yield block

    guessed = channels.guess(Reader(tmp_path / "a.wav"))
    monkeypatch.setattr(channels, "GUESS_S", 100.0)
    known = decoding.decode(tmp_path / "a.wav", tmp_path / "known.flac")
    monkeypatch.setattr(channels, "GUESS_S", 4.0)
    read.clear()
    found = decoding.decode(tmp_path / "a.wav", tmp_path / "found.flac", lambda: None, Reader)
    assert guessed.name != known.sound.channel
    assert found == known
    assert (tmp_path / "found.flac").read_bytes() == (tmp_path / "known.flac").read_bytes()
    assert read[0] < 6 * RATE_HZ and read[1:] == [len(left)] * 2
    read.clear()
    decoding.decode(tmp_path / "known.flac", tmp_path / "mono.flac", lambda: None, Reader)
    assert len(read) == 2 and read[0] <= RATE_HZ  # a block, and the whole


def test_a_file_that_goes_from_stereo_to_mono_uses_what_there_is():
    choice = channels.Choice(channels=(1,), of=2)
    assert choice.mono(np.array([[1, 1], [2, 2]], np.float32)).tolist() == [2, 2]
    assert choice.mono(np.array([[3, 3]], np.float32)).tolist() == [3, 3]


def measure(samples, rate_hz=RATE_HZ, block=10_007):
    meter = levels.Meter(rate_hz)
    for start in range(0, len(samples), block):
        meter.add(samples[start : start + block].astype(np.float32))
    meter.finish()
    return meter


def tone(hz, level, seconds, rate_hz=RATE_HZ, phase=0.0):
    return level * np.sin(2 * np.pi * hz * np.arange(round(seconds * rate_hz)) / rate_hz + phase)


def test_loudness_is_that_of_bs1770():
    # EBU Tech 3341, cases 1 to 3, for one channel: a tone of 1 kHz at -23 dBFS in both of two is -23 LUFS, and 3 dB
    # less in one; what is 10 LU below the ungated loudness does not count.
    loud, quiet = 10 ** (-23 / 20), 10 ** (-36 / 20)
    assert measure(tone(1000, loud, 20)).loudness_lufs == pytest.approx(-26.0, abs=0.1)
    assert measure(tone(1000, 10 ** (-33 / 20), 20)).loudness_lufs == pytest.approx(-36.0, abs=0.1)
    gated = np.concatenate([tone(1000, quiet, 10), tone(1000, loud, 60), tone(1000, quiet, 10)])
    assert measure(gated).loudness_lufs == pytest.approx(-26.0, abs=0.1)


@pytest.mark.parametrize("samples", [np.zeros(RATE_HZ), tone(1000, 1e-5, 2), tone(1000, 0.5, 0.05)])
def test_what_is_below_the_gate_or_shorter_than_a_block_has_no_loudness(samples):
    assert measure(samples).loudness_lufs is None


@pytest.mark.parametrize("block", [1000, 12_345, RATE_HZ])
def test_a_peak_between_samples_is_seen_wherever_blocks_meet(block):
    # A tone at a quarter of the rate, sampled at its flanks: every sample is 3 dB below the peak.
    samples = tone(RATE_HZ / 4, 0.5, 1, phase=math.pi / 4)
    fade = np.minimum(1, np.minimum(np.arange(len(samples)), np.arange(len(samples))[::-1]) / 500)
    meter = measure(samples * fade, block=block)
    assert meter.peak == pytest.approx(0.5 / math.sqrt(2), rel=1e-3)
    assert meter.true_peak_dbfs == pytest.approx(20 * math.log10(0.5), abs=0.1)


def test_a_file_says_what_its_sound_is(tmp_path):
    soundfile.write(tmp_path / "a.flac", np.stack([VOICE, VOICE], axis=1), RATE_HZ)
    sound = decoding.decode(tmp_path / "a.flac", tmp_path / "out.flac").sound
    assert (sound.codec, sound.rate_hz, sound.channels, sound.channel) == ("flac", RATE_HZ, 2, "mix")
    assert sound.loudness_lufs == pytest.approx(measure(VOICE).loudness_lufs, abs=0.1)
    assert sound.true_peak_dbfs == pytest.approx(20 * math.log10(0.2), abs=0.3)
    assert (sound.clipped_share, sound.damaged_packets, sound.gain_db) == (0.0, 0, 0.0)


@pytest.mark.parametrize("peak", [4.0, 32768.0])
def test_a_float_recording_above_full_scale_is_turned_down_not_clipped(tmp_path, peak):
    soundfile.write(tmp_path / "a.wav", VOICE / 0.2 * peak, RATE_HZ, subtype="FLOAT")
    decoded = decoding.decode(tmp_path / "a.wav", tmp_path / "out.flac")
    written, _ = soundfile.read(tmp_path / "out.flac")
    assert np.abs(written).max() == pytest.approx(0.999, abs=0.002)
    assert decoded.sound.gain_db == pytest.approx(-20 * math.log10(peak), abs=0.3)
    assert decoded.sound.true_peak_dbfs == pytest.approx(20 * math.log10(peak), abs=0.3)
    assert decoded.sound.loudness_lufs == pytest.approx(
        measure(VOICE).loudness_lufs + 20 * math.log10(peak / 0.2), abs=0.3
    )
    assert decoded.sound.clipped_share < 1e-4


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_values_that_are_no_sound_are_silence_and_counted(tmp_path, bad):
    spoilt = VOICE.astype(np.float64)
    spoilt[1000:1100] = bad
    soundfile.write(tmp_path / "a.wav", spoilt, RATE_HZ, subtype="DOUBLE")
    decoded = decoding.decode(tmp_path / "a.wav", tmp_path / "out.flac")
    written, _ = soundfile.read(tmp_path / "out.flac")
    assert decoded.sound.damaged_packets > 0
    assert np.abs(written).max() == pytest.approx(0.2, rel=0.05)
    soundfile.write(tmp_path / "all.wav", np.full(48000, bad), RATE_HZ, subtype="DOUBLE")
    with pytest.raises(media.Undecodable, match="packets are damaged"):
        decoding.decode(tmp_path / "all.wav", tmp_path / "out.flac")
