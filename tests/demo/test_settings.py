from pathlib import Path

import pytest
from kelong_demo import settings


def read(tmp_path: Path, *arguments: str, at_terminal: bool = False, **environment: str) -> settings.Settings:
    return settings.read(list(arguments), environment, at_terminal=at_terminal, cache=tmp_path)


def test_without_any_wish_it_is_the_stand_in_and_a_short_training(tmp_path: Path) -> None:
    asked = read(tmp_path)
    assert (asked.recordings, asked.recogniser, asked.steps, asked.keep) == (None, None, 300, False)
    assert asked.out == Path("demo-voice").resolve()


def test_make_gives_wishes_through_the_environment_and_flags_win(tmp_path: Path) -> None:
    asked = read(tmp_path, "--steps", "7", STEPS="600", RECORDINGS=str(tmp_path), OUT=str(tmp_path / "mine"))
    assert (asked.steps, asked.recordings, asked.out) == (7, tmp_path, tmp_path / "mine")


def test_the_server_stays_on_a_terminal_unless_told_otherwise(tmp_path: Path) -> None:
    assert read(tmp_path, at_terminal=True).keep
    assert not read(tmp_path, at_terminal=True, KEEP="0").keep
    assert read(tmp_path, KEEP="1").keep


@pytest.mark.parametrize(
    ("given", "source"),
    [
        ("large-v3", "hub:Systran/faster-whisper-large-v3@main"),
        ("hub:someone/their-whisper@v2", "hub:someone/their-whisper@v2"),
    ],
)
def test_a_recogniser_is_a_size_or_a_source(tmp_path: Path, given: str, source: str) -> None:
    assert read(tmp_path, WHISPER=given).recogniser == source


def test_a_recogniser_is_a_folder(tmp_path: Path) -> None:
    assert read(tmp_path, WHISPER=str(tmp_path)).recogniser == f"path:{tmp_path}"


def test_a_review_is_asked_for_and_what_trains_after_it_has_the_same_wishes(tmp_path: Path) -> None:
    assert not read(tmp_path).review
    asked = read(tmp_path, REVIEW="1", RECORDINGS=str(tmp_path), TEXT="你好 吗", STEPS="300")
    assert asked.review
    assert asked.command == f"make demo RECORDINGS={tmp_path} 'TEXT=你好 吗'"


def test_every_fault_is_named_at_once(tmp_path: Path) -> None:
    with pytest.raises(settings.BadSettings) as refused:
        read(
            tmp_path,
            RECORDINGS="no-such-folder",
            STEPS="many",
            WHISPER="huge",
            KEEP="yes",
            PORT="0",
            TEXT=" ",
            MINUTES="-1",
            REVIEW="2",
        )
    for fault in (
        "no-such-folder",
        "'many'",
        "'huge', expected a folder",
        "'yes'",
        "PORT is '0'",
        "TEXT is empty",
        "'-1'",
        "REVIEW is '2'",
    ):
        assert fault in str(refused.value)
