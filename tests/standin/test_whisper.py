import hashlib
import re
from pathlib import Path

import faster_whisper
import opencc
import pytest
from kelong_demo import files, recordings, speaker, whisper

SENTENCES = (
    "明天的会议改到下午三点，请你通知大家。",
    "邻居家的小狗一看见我就摇尾巴。",
    "如果你不舒服，就早点回家休息。",
)


@pytest.fixture(scope="module")
def recogniser(whisper_folder: Path) -> faster_whisper.WhisperModel:
    return faster_whisper.WhisperModel(str(whisper_folder), device="cpu", compute_type="int8", cpu_threads=2)


def error_rate(truth: str, heard: str) -> float:
    """Edits per character, punctuation aside."""
    truth, heard = (re.sub(r"[^一-鿿]", "", text) for text in (truth, heard))
    row = list(range(len(heard) + 1))
    for i, wanted in enumerate(truth, 1):
        diagonal, row[0] = row[0], i
        for j, got in enumerate(heard, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (wanted != got))
    return row[-1] / len(truth)


def hear(recogniser: faster_whisper.WhisperModel, audio: object) -> str:
    segments, _ = recogniser.transcribe(audio, language="zh", beam_size=1)
    return opencc.OpenCC("t2s").convert("".join(segment.text for segment in segments))


def test_whisper_understands_what_the_stand_in_says(
    recogniser: faster_whisper.WhisperModel, voice: speaker.Speaker, tmp_path: Path
) -> None:
    heard = []
    for number, sentence in enumerate(SENTENCES):
        path = tmp_path / f"{number}.wav"
        files.write(path, voice.speak(sentence))
        heard.append(hear(recogniser, str(path)))
    assert error_rate("".join(SENTENCES), "".join(heard)) < 0.2, heard


def test_whisper_understands_a_whole_recording_of_each_format(
    recogniser: faster_whisper.WhisperModel, made: tuple[Path, recordings.Truth]
) -> None:
    folder, truth = made
    for recording in truth.recordings:
        said = "".join(sentence.text for sentence in recording.sentences)
        heard = hear(recogniser, str(folder / recording.file))
        assert error_rate(said, heard) < 0.3, (recording.file, said, heard)


def test_the_folder_holds_the_promised_weights_and_is_not_made_twice(whisper_folder: Path) -> None:
    weights = whisper_folder / "model.bin"
    assert hashlib.sha256(weights.read_bytes()).hexdigest() == whisper.WEIGHTS_SHA256
    before = weights.stat().st_mtime_ns
    whisper.assemble(whisper_folder)
    assert weights.stat().st_mtime_ns == before


def test_a_damaged_folder_is_mended(tmp_path: Path) -> None:
    folder = whisper.assemble(tmp_path / "base")
    with (folder / "model.bin").open("r+b") as weights:
        weights.write(b"damage")
    (folder / "config.json").unlink()
    whisper.assemble(folder)
    assert hashlib.sha256((folder / "model.bin").read_bytes()).hexdigest() == whisper.WEIGHTS_SHA256
    assert (folder / "config.json").exists()
