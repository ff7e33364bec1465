from pathlib import Path

import pytest
from kelong_demo import recordings, speaker, whisper


@pytest.fixture(scope="session")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="session")
def voice(cache: Path) -> speaker.Speaker:
    return speaker.Speaker.load(cache)


@pytest.fixture(scope="session")
def whisper_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return whisper.assemble(tmp_path_factory.mktemp("whisper") / "base")


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory, voice: speaker.Speaker) -> tuple[Path, recordings.Truth]:
    """Four short recordings, one in each format, with breaths."""
    folder = tmp_path_factory.mktemp("standin") / "recordings"
    settings = recordings.Settings(minutes=0.8, seed=3, breaths=True, file_length_s=10)
    return folder, recordings.make(folder, folder.with_name("truth.json"), settings, voice)
