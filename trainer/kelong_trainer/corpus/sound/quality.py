"""How good a clip sounds, in figures: samples and what was heard in its recording in, `corpora.Measures` out.

The judge stage asks for the measures of each clip, and grades by them; auditions use the DNSMOS alone.
"""

from __future__ import annotations

import importlib.util
import itertools
import math
import pathlib
import statistics
from collections.abc import Callable, Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import onnxruntime
from kelong_contract import corpora
from kelong_speech import audio

from kelong_trainer.corpus.sound import flagged, noise

VERSION = 5  # raise when the same clip would be measured otherwise than before
# What the room is in a clip is taken from the clip itself where it holds this much quiet, else from the recording.
LEAST_QUIET_S = 0.3
MOST_SNR_DB = 99.0
# A clipped wave has a flat top: so many samples in a row this near to the loudest of the clip. One that was recorded
# too loud and turned down later has its top below full scale.
FLAT_SHARE = 0.99
FLAT_SAMPLES = 3
# How much less like the speaker a single stretch may be than two in a row.
ALONE = 0.05
# What noise takes from a similarity, below this ratio: measured on the stand-in in white and pink noise, its own lowest
# pair of stretches falls from 0.80 at 30 dB to 0.69 at 16 and 0.63 at 12; a little less is given back than that.
QUIET_SNR_DB, NOISE_PER_DB = 30.0, 0.007
LEAST_OTHER_NOISE = 0.01  # of a floor that is all hum

Samples = npt.NDArray[np.float32]


class Missing(Exception):
    """A model that is not to be had; the message says why."""


class Dnsmos:
    """DNSMOS P.835 (Reddy et al., 2022) by the ONNX model in the package speechmos, on one thread; raises Missing.

    It catches noise and breakage; it does not rank good voices.
    """

    RATE_HZ: Final = 16_000
    WINDOW: Final = 144_160  # 9.01 s
    # From the model's score to people's, as published with it: highest power first.
    OVERALL: Final = (-0.06766283, 1.11546468, 0.04602535)

    def __init__(self) -> None:
        package = importlib.util.find_spec("speechmos")
        if package is None or not package.submodule_search_locations:
            raise Missing("the package speechmos is not installed")
        model = pathlib.Path(package.submodule_search_locations[0]) / "dnsmos_models" / "sig_bak_ovr.onnx"
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(str(model), options, providers=["CPUExecutionProvider"])

    def overall(self, speech: audio.Speech) -> float | None:
        """Overall quality, 1 to 5: the mean over windows a second apart; short speech is repeated to fill one."""
        samples = self._filled(speech)
        windows = int(len(samples) // self.RATE_HZ - self.WINDOW / self.RATE_HZ) + 1
        return self._mean(samples, [second * self.RATE_HZ for second in range(windows)])

    def briefly(self, speech: audio.Speech) -> float | None:
        """The same from as few windows as hold all of it: two for a clip of 10 to 18 s, not up to nine."""
        samples = self._filled(speech)
        count = math.ceil(len(samples) / self.WINDOW)
        return self._mean(samples, np.linspace(0, len(samples) - self.WINDOW, count).astype(int).tolist())

    def _filled(self, speech: audio.Speech) -> Samples:
        if not len(speech.samples):
            return speech.samples
        samples = np.clip(audio.resample(speech, self.RATE_HZ).samples, -1, 1)
        while 0 < len(samples) < self.WINDOW:
            samples = np.concatenate([samples, samples])
        return samples

    def _mean(self, samples: Samples, starts: Sequence[int]) -> float | None:
        if not len(samples):
            return None
        return statistics.fmean(self._window(samples[start : start + self.WINDOW]) for start in starts)

    def _window(self, samples: Samples) -> float:
        [[scores]] = self._session.run(None, {"input_1": samples[None]})
        return float(np.polyval(self.OVERALL, scores[2]))


def measure(
    speech: audio.Speech,
    start_s: float,
    listening: corpora.Listening,
    dnsmos: Callable[[audio.Speech], float | None] | None,
    clipped: Sequence[corpora.ClippedStretch] = (),
) -> corpora.Measures:
    """The measures of the sound alone; those of the label stay None.

    `speech` is the clip as it was cut, `start_s` where it starts in the recording that `listening` is of. `dnsmos` is
    `Dnsmos().briefly`, None to go without. `clipped` are the recording's clipped seconds, as its file held them: where
    they say less than the clip's own flat tops, those count. `similarity` is None where no stretch with a voice lies in
    the clip.
    """
    end_s = start_s + speech.duration_s
    overall = None if dnsmos is None else dnsmos(speech)
    music_s = _shared_s(listening.music, start_s, end_s)
    levels, inside = noise.levels(speech.samples, speech.sample_rate_hz), _inside(speech, start_s, listening)
    floor_dbfs = _floor_dbfs(levels, inside, listening)
    snr_db = _snr_db(levels, inside, floor_dbfs)
    hum_share = _hum_share(speech, start_s, listening, floor_dbfs)
    return corpora.Measures(
        similarity=likeness(listening.voices, start_s, end_s, snr_db, hum_share),
        dnsmos=None if overall is None else round(overall, 3),
        snr_db=snr_db,
        hum_share=hum_share,
        clipped_share=_clipped_share(speech, start_s, clipped),
        music_share=round(music_s / speech.duration_s, 4) if end_s > start_s else None,
    )


def _floor_dbfs(levels: noise.Levels, inside: Sequence[corpora.Stretch], listening: corpora.Listening) -> float:
    """The level of the quiet in a clip, or in its recording where the clip has none."""
    quiet = levels[noise.is_quiet(inside, len(levels))]
    if len(quiet) * noise.FRAME_S < LEAST_QUIET_S:
        return listening.noise_floor_dbfs
    return float(np.percentile(quiet, noise.FLOOR_PERCENTILE))


def _snr_db(levels: noise.Levels, inside: Sequence[corpora.Stretch], floor_dbfs: float) -> float | None:
    """The power of the speech above that of the quiet between, None where nobody speaks."""
    spoken = ~noise.is_quiet(inside, len(levels), margin_s=0.0)
    if not spoken.any():
        return None
    spoken_power, floor_power = float(np.mean(10 ** (levels[spoken] / 10))), 10 ** (floor_dbfs / 10)
    ratio = max(spoken_power - floor_power, floor_power / 10) / floor_power
    return round(min(10 * float(np.log10(ratio)), MOST_SNR_DB), 2)


def _hum_share(speech: audio.Speech, start_s: float, listening: corpora.Listening, floor_dbfs: float) -> float | None:
    """The part of the quiet's power that is the mains' hum, 0 to 1."""
    if not len(speech.samples):
        return None
    end_s = start_s + speech.duration_s
    power = sum(10 ** (hum.level_dbfs / 10) * _shared_s([hum], start_s, end_s) for hum in listening.hum)
    return round(min(power / speech.duration_s / 10 ** (floor_dbfs / 10), 1.0), 4)


def _inside(speech: audio.Speech, start_s: float, listening: corpora.Listening) -> list[corpora.Stretch]:
    """Where in the clip somebody speaks, counted from its start."""
    return [
        corpora.Stretch(start_s=stretch.start_s - start_s, end_s=stretch.end_s - start_s)
        for stretch in listening.speech
        if stretch.end_s > start_s and stretch.start_s < start_s + speech.duration_s
    ]


def _clipped_share(speech: audio.Speech, start_s: float, clipped: Sequence[corpora.ClippedStretch]) -> float | None:
    if not len(speech.samples):
        return None
    end_s = start_s + speech.duration_s
    at_source_s = sum(stretch.share * _shared_s([stretch], start_s, end_s) for stretch in clipped)
    return round(max(at_source_s / speech.duration_s, clipped_share(speech.samples)), 6)


def clipped_share(samples: Samples) -> float:
    """The part of the samples [S] in flat tops at the clip's own loudest level."""
    loud = np.abs(samples) >= FLAT_SHARE * np.abs(samples).max(initial=0.0)
    if not samples.any():
        return 0.0
    starts, ends = flagged.runs(loud)
    lengths = ends - starts
    return float(lengths[lengths >= FLAT_SAMPLES].sum() / len(samples))


def _least_similarity(voices: Sequence[corpora.VoiceStretch], start_s: float, end_s: float) -> float | None:
    """The least mean of two neighbours among the stretches that lie in the clip by half of their length or more.

    One stretch may be unlike its speaker by chance, a cough or a laugh: alone it counts by ALONE higher.
    """
    inside = [
        voice.similarity
        for voice in voices
        if min(voice.end_s, end_s) - max(voice.start_s, start_s) >= (voice.end_s - voice.start_s) / 2
    ]
    if len(inside) < 2:
        return min(inside, default=None)
    pairs = [(left + right) / 2 for left, right in itertools.pairwise(inside)]
    return round(min(*pairs, min(inside) + ALONE), 4)


def likeness(
    voices: Sequence[corpora.VoiceStretch],
    start_s: float,
    end_s: float,
    snr_db: float | None,
    hum_share: float | None,
) -> float | None:
    """The least similarity of a stretch as it would be in a quiet room: noise makes everybody less like themselves.

    It moves with the speaker's usual voice, and so with every other recording; the other two stay what they are. Hum is
    not counted: it was taken out before the voice was looked at. None where no stretch with a voice lies there.
    """
    similarity = _least_similarity(voices, start_s, end_s)
    if similarity is None or snr_db is None:
        return similarity
    other_noise_db = 10 * np.log10(max(1.0 - (hum_share or 0.0), LEAST_OTHER_NOISE))
    return round(min(similarity + NOISE_PER_DB * max(0.0, QUIET_SNR_DB - snr_db + float(other_noise_db)), 1.0), 4)


def _shared_s(
    stretches: Sequence[corpora.Stretch | corpora.Hum | corpora.ClippedStretch], start_s: float, end_s: float
) -> float:
    return sum(max(0.0, min(item.end_s, end_s) - max(item.start_s, start_s)) for item in stretches)
