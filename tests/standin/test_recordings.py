import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from kelong_demo import files, recordings, speaker

Made = tuple[Path, recordings.Truth]


def level_dbfs(sound: speaker.Sound, start_s: float, end_s: float) -> float:
    part = sound.samples[round(start_s * sound.sample_rate_hz) : round(end_s * sound.sample_rate_hz)]
    return 10 * float(np.log10((part.astype(np.float64) ** 2).mean()))


def test_each_file_decodes_to_its_length_and_the_four_formats_are_there(made: Made) -> None:
    folder, truth = made
    assert {Path(recording.file).suffix for recording in truth.recordings} == {".wav", ".flac", ".m4a", ".mp3"}
    for recording in truth.recordings:
        # The lossy formats may pad their last frame.
        assert files.read(folder / recording.file).duration_s == pytest.approx(recording.duration_s, abs=0.1)


def test_sentences_are_loud_where_the_truth_says_and_pauses_quiet(made: Made) -> None:
    folder, truth = made
    for recording in truth.recordings:
        sound = files.read(folder / recording.file)
        ends_s = [0.0, *(sentence.end_s for sentence in recording.sentences)]
        for before_s, sentence in zip(ends_s, recording.sentences, strict=False):
            assert level_dbfs(sound, sentence.start_s, sentence.end_s) == pytest.approx(
                -21, abs=0.6
            )  # lossy formats take a little
            assert level_dbfs(sound, before_s + 0.03, sentence.start_s - 0.03) < -40
            # The edges are exact, so there is sound right inside them.
            assert level_dbfs(sound, sentence.start_s, sentence.start_s + 0.04) > -56
            assert level_dbfs(sound, sentence.end_s - 0.04, sentence.end_s) > -56


def test_pauses_are_as_long_as_promised_and_hold_the_rooms_noise(made: Made) -> None:
    folder, truth = made
    recording = truth.recordings[0]
    sound = files.read(folder / recording.file)
    starts_s = [sentence.start_s for sentence in recording.sentences] + [recording.duration_s]
    ends_s = [0.0, *(sentence.end_s for sentence in recording.sentences)]
    for end_s, start_s in zip(ends_s, starts_s, strict=True):
        assert 0.19 <= start_s - end_s <= 1.21
        assert level_dbfs(sound, end_s + 0.01, end_s + 0.09) == pytest.approx(-60, abs=1.5)


def test_planted_breaths_are_where_the_truth_says(made: Made) -> None:
    folder, truth = made
    breaths = [(recording, breath) for recording in truth.recordings for breath in recording.breaths]
    assert len(breaths) >= 3
    for recording, breath in breaths:
        sound = files.read(folder / recording.file)
        assert 0.14 <= breath.end_s - breath.start_s <= 0.41
        assert level_dbfs(sound, breath.start_s, breath.end_s) == pytest.approx(-41, abs=1)


def test_the_same_settings_give_the_same_bytes(made: Made, voice: speaker.Speaker, tmp_path: Path) -> None:
    folder, truth = made
    again = recordings.make(tmp_path / "again", tmp_path / "truth.json", truth.settings, voice)
    assert again == truth
    for recording in truth.recordings:
        assert (tmp_path / "again" / recording.file).read_bytes() == (folder / recording.file).read_bytes()


def test_what_exists_is_not_made_again(made: Made, voice: speaker.Speaker) -> None:
    folder, truth = made
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert recordings.make(folder, folder.with_name("truth.json"), truth.settings, voice) == truth
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


def test_a_folder_with_other_files_is_left_alone(voice: speaker.Speaker, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "diary.txt").write_text("dear diary")
    settings = recordings.Settings(minutes=0.1)
    with pytest.raises(recordings.RecordingsRefused, match=r"diary\.txt, which is not a stand-in recording"):
        recordings.make(tmp_path / "mine", tmp_path / "truth.json", settings, voice)
    assert (tmp_path / "mine" / "diary.txt").read_text() == "dear diary"


def test_the_sentences_are_distinct_and_of_conversational_length() -> None:
    known = recordings.sentences()
    assert len(set(known)) == len(known) >= 100
    assert all(8 <= len(sentence) <= 30 for sentence in known)


def test_the_command_makes_a_folder_and_names_the_truth(tmp_path: Path, cache: Path) -> None:
    out = tmp_path / "recordings"
    command = [sys.executable, "-m", "kelong_demo.recordings"]
    finished = subprocess.run(
        [*command, "--out", str(out), "--minutes", "0.05", "--cache", str(cache)],
        capture_output=True,
        text=True,
        check=True,
    )
    truth = recordings.read_truth(tmp_path / "recordings-truth.json")
    assert [path.name for path in out.iterdir()] == [recording.file for recording in truth.recordings]
    assert "recordings-truth.json" in finished.stdout
