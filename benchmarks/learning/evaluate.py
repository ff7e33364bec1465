"""Scores checkpoints: thirty sentences that the voice never trained on, spoken, recognised by Whisper and compared.

`python benchmarks/learning/evaluate.py --out FOLDER` scores every checkpoint of the voice that `prove.py` trained in
FOLDER and was not scored yet, and keeps the figures in FOLDER/scores-UID.json; with `--standin` it scores the stand-in
speaker itself, which tells what the judges can tell.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import faster_whisper
import jiwer
import numpy as np
import numpy.typing as npt
import opencc
import prove
import pypinyin
import resemblyzer
import soundfile
import soxr
import torch
from kelong_contract import codec, layout, manifests, orders
from kelong_contract import store as stores
from kelong_demo import assets, speaker, whisper
from kelong_speech import voice
from tqdm import tqdm

HELD_OUT = Path(__file__).resolve().parent / "heldout.txt"
RECOGNISER_RATE_HZ = 16_000
# It makes Whisper write simplified characters and numerals as they are spoken.
PROMPT = "以下是普通话的句子。"
REFERENCES, REFERENCE_S = 6, 20.0
LONGEST_BY = 3  # a loop of the recogniser counts as no more than this many times the sentence

Samples = npt.NDArray[np.float32]
Say = Callable[[str], tuple[Samples, int]]
_KEPT = re.compile(r"[^㐀-鿿A-Za-z0-9]")


@dataclass(frozen=True, kw_only=True)
class Score:
    """What the judges say of one checkpoint: error rates over all sentences together, similarity as a mean."""

    step: int
    cer: float
    pinyin_cer: float
    similarity: float
    seconds: float
    heard: tuple[str, ...]


class Judges:
    """Whisper base, and Resemblyzer with the mean of a few recordings to compare with."""

    def __init__(self, out: Path) -> None:
        folder = whisper.assemble(out / "whisper-base")
        self._whisper = faster_whisper.WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=1)
        self._simplify = opencc.OpenCC("t2s").convert
        self._encoder = resemblyzer.VoiceEncoder("cpu", verbose=False)
        vectors = []
        for path in sorted((out / "recordings").iterdir()):
            if path.suffix in (".wav", ".flac") and len(vectors) < REFERENCES:
                with soundfile.SoundFile(path) as file:
                    sound = file.read(round(REFERENCE_S * file.samplerate), dtype="float32")
                    vectors.append(self._vector(sound, file.samplerate))
        mean = np.mean(vectors, axis=0)
        self._usual = mean / np.linalg.norm(mean)

    def score(self, step: int, say: Say) -> Score:
        """Have all sentences said and judge them."""
        wanted, heard, similarities, seconds = [], [], [], 0.0
        for text in tqdm(sentences(), desc=f"Scoring step {step}"):
            samples, rate_hz = say(text)
            seconds += len(samples) / rate_hz
            wanted.append(self._plain(text))
            found = self._plain(self._recognised(samples, rate_hz))
            heard.append(found[: LONGEST_BY * len(wanted[-1])])
            similarities.append(float(self._vector(samples, rate_hz) @ self._usual))
        return Score(
            step=step,
            cer=float(jiwer.cer(wanted, heard)),
            pinyin_cer=float(jiwer.wer(_syllables(wanted), _syllables(heard))),
            similarity=float(np.mean(similarities)),
            seconds=seconds,
            heard=tuple(heard),
        )

    def _recognised(self, samples: Samples, rate_hz: int) -> str:
        sound = soxr.resample(samples, rate_hz, RECOGNISER_RATE_HZ)
        segments, _ = self._whisper.transcribe(
            sound,
            language="zh",
            beam_size=5,
            initial_prompt=PROMPT,
            without_timestamps=True,
            condition_on_previous_text=False,
        )
        return "".join(segment.text for segment in segments)

    def _plain(self, text: str) -> str:
        return _KEPT.sub("", self._simplify(text))

    def _vector(self, samples: Samples, rate_hz: int) -> npt.NDArray[np.float32]:
        vector: npt.NDArray[np.float32] = self._encoder.embed_utterance(
            resemblyzer.preprocess_wav(samples, source_sr=rate_hz)
        )
        return vector


def sentences() -> list[str]:
    """The sentences that are never trained on."""
    return HELD_OUT.read_text(encoding="utf-8").split()


def _syllables(texts: Sequence[str]) -> list[str]:
    """Toneless pinyin, a word for each syllable, so that a word error rate counts syllables."""
    return [" ".join(pypinyin.lazy_pinyin(text)) for text in texts]


def _stand_in() -> Say:
    voice_of = speaker.Speaker.load(assets.cache_folder())

    def say(text: str) -> tuple[Samples, int]:
        sound = voice_of.speak(text)
        return sound.samples, sound.sample_rate_hz

    return say


def _checkpoints(out: Path, uid: str) -> Iterator[manifests.CheckpointManifest]:
    """The listed checkpoints of a voice by step."""
    store = stores.FolderStore(out / "store")
    place = layout.Voice(namespace=prove.NAMESPACE, name=prove.VOICE, uid=uid)
    steps = {layout.checkpoint_step(place, item.key) for item in store.list(layout.checkpoints(place))}
    for step in sorted(step for step in steps if step is not None):
        data = store.get(layout.checkpoint_manifest(place, step))
        manifest = codec.loads(manifests.CheckpointManifest, data, f"the manifest of step {step}")
        if manifest.listed:
            yield manifest


def _speaking(
    out: Path, manifest: manifests.CheckpointManifest, wavs: Path, style: voice.Style, precision: orders.Precision
) -> Say:
    spoken = voice.Voice.load(stores.FolderStore(out / "store"), manifest, out / "scored", precision=precision)
    wavs.mkdir(parents=True, exist_ok=True)

    def say(text: str) -> tuple[Samples, int]:
        speech = spoken.say_text(text, style)
        soundfile.write(wavs / f"{text[:8]}.wav", speech.samples, speech.sample_rate_hz)
        return speech.samples, speech.sample_rate_hz

    return say


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--uid", default="proof")
    parser.add_argument("--standin", action="store_true", help="score the stand-in speaker itself")
    parser.add_argument("--every", type=int, default=1, help="score only steps that this divides")
    parser.add_argument("--noise", type=float, default=voice.Style.noise, help="how much the sound may vary")
    parser.add_argument(
        "--precision", choices=("FP32", "BF16"), default="FP32", help="what to speak in, even where it is slow"
    )
    parser.add_argument("--sdp-ratio", type=float, default=voice.Style.sdp_ratio, help="how much durations may vary")
    given = parser.parse_args()
    style = voice.Style(speaker=prove.SPEAKER, noise=given.noise, sdp_ratio=given.sdp_ratio)
    torch.set_num_threads(1)
    out = given.out.resolve()
    judges = Judges(out)
    if given.standin:
        _tell(judges.score(0, _stand_in()))
        return
    manner = "" if style == voice.Style(speaker=prove.SPEAKER) else f"-{given.noise:g}-{given.sdp_ratio:g}"
    manner += "" if given.precision == "FP32" else f"-{given.precision}"
    file = out / f"scores-{given.uid}{manner}.json"
    scores = {entry["step"]: entry for entry in json.loads(file.read_text("utf-8"))} if file.exists() else {}
    for manifest in _checkpoints(out, given.uid):
        if manifest.step in scores or manifest.step % given.every:
            continue
        wavs = out / "spoken" / f"{given.uid}{manner}-{manifest.step}"
        score = judges.score(manifest.step, _speaking(out, manifest, wavs, style, given.precision))
        scores[score.step] = dataclasses.asdict(score)
        file.write_text(json.dumps(list(scores.values()), ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
        _tell(score)


def _tell(score: Score) -> None:
    print(
        f"step {score.step}: CER {score.cer:.3f}, pinyin {score.pinyin_cer:.3f}, similarity {score.similarity:.3f}, "
        f"{score.seconds:.1f} s of speech"
    )


if __name__ == "__main__":
    main()
