"""What people are told to do about their recordings, from what became of them."""

from __future__ import annotations

import dataclasses
import typing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kelong_contract import corpora
from kelong_trainer.corpus.report import advice, names

FOLDER = "recordings/lab/khazix/"
SOUND = corpora.Sound(
    codec="flac", rate_hz=48_000, channels=1, channel="mix", loudness_lufs=-20.0, true_peak_dbfs=-3.0, clipped_share=0.0
)


def recording(name: str, **changes: object) -> corpora.Recording:
    fields = {
        "key": FOLDER + name,
        "speaker": "Mei",
        "size_bytes": 1,
        "sha256": "",
        "duration_s": 1800.0,
        "sound": SOUND,
    }
    return corpora.Recording(**{**fields, **changes})


def clip(name: str, start_s: float = 0.0, end_s: float = 1800.0, **changes: object) -> corpora.Clip:
    fields = {
        "sha256": f"{name}-{start_s}",
        "recording": FOLDER + name,
        "speaker": "Mei",
        "start_s": start_s,
        "end_s": end_s,
        "samples": 1,
        "text": "你好",
        "confidence": 0.9,
        "grade": "A",
    }
    return corpora.Clip(**{**fields, **changes})


def lost(name: str, reason: corpora.Reason, seconds: float) -> corpora.Rejection:
    return corpora.Rejection(recording=FOLDER + name, start_s=0, end_s=seconds, reason=reason, message="")


def corpus(*items: corpora.Recording | corpora.Clip | corpora.Rejection, **fields: object) -> corpora.Corpus:
    """A corpus of half an hour of good clips, and the items."""
    good = (recording("good.wav"), clip("good.wav"))
    every = (*good, *items)
    return corpora.Corpus(
        stage="features",
        speakers={"Mei": 0},
        recordings=tuple(item for item in every if isinstance(item, corpora.Recording)),
        clips=tuple(item for item in every if isinstance(item, corpora.Clip)),
        rejections=tuple(item for item in every if isinstance(item, corpora.Rejection)),
        **fields,
    )


def told(of: corpora.Corpus) -> list[str]:
    return [item.english for item in advice.advise(of)]


def test_a_good_corpus_needs_no_advice() -> None:
    assert told(corpus()) == []


def test_a_recording_that_is_mostly_somebody_elses_is_to_be_removed() -> None:
    made = corpus(recording("interview_03.wav"), lost("interview_03.wav", "OtherSpeaker", 720.0))
    (only,) = advice.advise(made)
    assert only.english == "12 minutes are another speaker's: remove interview_03.wav."
    assert only.chinese == "有 12 分钟是别人的声音：请删去 interview_03.wav。"


def test_a_recording_with_a_few_words_of_somebody_else_stays() -> None:
    made = corpus(lost("good.wav", "OtherSpeaker", 60.0))
    assert told(made) == [
        "60 seconds are another speaker's: they are left out of good.wav; give that person a folder and a speaker of "
        "their own to use them."
    ]


@pytest.mark.parametrize(
    ("reason", "words"),
    [
        ("Music", "20 seconds have music and are not used (good.wav)"),
        ("Noisy", "20 seconds are too noisy or too poor in sound (good.wav)"),
        ("LowQuality", "20 seconds are too noisy or too poor in sound (good.wav)"),
        ("Clipped", "turn the recording level down"),
        ("OtherLanguage", "20 seconds are not in Mandarin"),
        ("TooLong", "20 seconds have no pause to cut in"),
        ("UncertainText", "the words of 20 seconds cannot be trusted"),
        ("Unspeakable", "fix their texts"),
        ("NoSpeech", "nobody speaks in 20 seconds"),
    ],
)
def test_seconds_that_are_lost_are_told_with_what_to_do(reason: corpora.Reason, words: str) -> None:
    (only,) = told(corpus(lost("good.wav", reason, 20.0)))
    assert words in only
    assert told(corpus(lost("good.wav", reason, 2.0))) == [], "two seconds are not worth a sentence"


# Nobody is told off for pausing, nor for what they left out themselves.
NOTHING_TO_DO = {"Silence", "Dropped"}


@pytest.mark.parametrize("reason", typing.get_args(corpora.Reason))
def test_every_reason_has_a_name_and_advice_or_nothing_that_could_be_done(reason: corpora.Reason) -> None:
    name = names.reason(reason)
    assert name.chinese and name.english and name.kind != names.KEPT.kind
    advised = advice.advise(corpus(recording("bad.wav"), lost("bad.wav", reason, 600.0)))
    assert len(advised) == (reason not in NOTHING_TO_DO)
    for item in advised:
        assert "bad.wav" in item.chinese and "bad.wav" in item.english


def test_a_file_that_cannot_be_read_is_named() -> None:
    made = corpus(recording("b.mp3", duration_s=0.0, sound=None), lost("b.mp3", "Undecodable", 0.0))
    assert told(made) == ["b.mp3 cannot be read: export and upload again."]


def test_what_a_list_says_of_files_that_are_not_there_or_nobodys_is_told() -> None:
    gone, nobodys = (recording(name, duration_s=0.0, sound=None) for name in ("gone.wav", "nobody.wav"))
    made = corpus(gone, nobodys, lost("gone.wav", "Missing", 0.0), lost("nobody.wav", "UnknownSpeaker", 0.0))
    assert told(made) == [
        "a list names gone.wav, and nothing of that name is there: upload it, or correct the list.",
        "none of spec.speakers has nobody.wav: put it into a speaker's folder, spell the name in a list as it is "
        "there, or add the speaker.",
    ]


def test_a_file_that_is_there_twice_is_told() -> None:
    made = corpus(recording("copy.wav"), lost("copy.wav", "Duplicate", 1800.0))
    assert told(made) == ["the same recording is there again as copy.wav, and used once: remove the copy."]


def test_what_lies_beside_recordings_needs_no_advice() -> None:
    assert told(corpus(beside=("cover.jpg: no recordings by their names, and passed over",))) == []


def test_seconds_that_a_list_leaves_out_are_told() -> None:
    made = corpus(recording("talk.wav#rest"), lost("talk.wav#rest", "NotListed", 90.0))
    assert told(made) == [
        "no line of the list names 90 seconds (talk.wav#rest): give them a line of their own to use what is said there."
    ]


def test_notes_are_pointed_to_once() -> None:
    made = corpus(notes=("line 3 of list.jsonl is not JSON", "line 9 of list.jsonl names no file"))
    assert told(made) == [
        "some names, links, lines of a list or texts beside recordings cannot be used as they are: the report's notes "
        "name them, mend them there."
    ]


def test_of_many_files_a_few_are_named_and_the_rest_counted() -> None:
    files = [f"{number}.mp3" for number in range(5)]
    made = corpus(
        *(recording(name, duration_s=0.0, sound=None) for name in files),
        *(lost(name, "Undecodable", 0.0) for name in files),
    )
    assert told(made) == ["0.mp3, 1.mp3, 2.mp3 and 2 more cannot be read: export and upload again."]


def test_a_narrow_band_is_told_by_the_highest_tone_it_can_hold() -> None:
    narrow = recording("phone.mp3", sound=dataclasses.replace(SOUND, rate_hz=8000))
    assert told(corpus(narrow)) == [], "nothing is said in it"
    made = corpus(narrow, clip("phone.mp3"))
    assert told(made) == ["there is nothing above 4 kHz in phone.mp3, which sounds dull: record at 44.1 or 48 kHz."]


def test_damaged_packets_are_told() -> None:
    made = corpus(recording("torn.mp3", sound=dataclasses.replace(SOUND, damaged_packets=2)))
    assert told(made) == ["parts of torn.mp3 are damaged and were left out: upload the original if there is one."]


def test_a_noisy_room_is_told_with_its_level() -> None:
    listening = corpora.Listening(key=FOLDER + "good.wav", noise_floor_dbfs=-38.2, speech=())
    assert told(corpus(listenings=(listening,))) == [
        "the quiet between words is as loud as -38 dBFS in good.wav: record in a quieter room."
    ]
    quiet = dataclasses.replace(listening, noise_floor_dbfs=-60.0)
    assert told(corpus(listenings=(quiet,))) == []


def test_speech_without_a_breath_is_told() -> None:
    speech = (corpora.Stretch(start_s=0, end_s=600),)
    listening = corpora.Listening(key=FOLDER + "good.wav", noise_floor_dbfs=-70.0, speech=speech)
    (only,) = told(corpus(listenings=(listening,)))
    assert only.startswith("hardly a breath is heard in 10 minutes of speech")
    breaths = tuple(
        corpora.Breath(start_s=at, end_s=at + 0.3, level_db=20.0, confidence=0.9) for at in range(0, 600, 30)
    )
    assert told(corpus(listenings=(dataclasses.replace(listening, breaths=breaths),))) == []


def test_many_poor_clips_are_to_be_listened_to_unless_somebody_has() -> None:
    poor = [clip("good.wav", at, at + 10, grade="C") for at in (0.0, 10.0)]
    assert told(corpus(*poor)) == [
        "2 clips (20 seconds) have grade C only: listen to them, fix their texts or drop them."
    ]
    assert told(corpus(*(dataclasses.replace(item, corrected=("keep",)) for item in poor))) == []


def test_too_little_of_a_speaker_comes_first() -> None:
    made = dataclasses.replace(corpus(lost("good.wav", "Music", 900.0)), speakers={"Mei": 0, "Ada": 1})
    first, second = told(made)
    assert first == "only 0 seconds of Ada are usable: 30 to 60 minutes make a much better voice."
    assert second.startswith("15 minutes have music")


def test_a_tone_of_reading_is_a_note() -> None:
    read = clip("good.wav", measures=corpora.Measures(reading_tone=0.9))
    assert any("sounds read aloud" in item for item in told(corpus(read)))


def test_names_leave_out_the_folder_that_all_share_and_no_more() -> None:
    made = corpus(recording("a/x.wav"), recording("a/y.wav"))
    assert list(advice.short_names(made).values()) == ["good.wav", "a/x.wav", "a/y.wav"]
    assert advice.short_names(corpora.Corpus(stage="", speakers={}, recordings=())) == {}


@given(st.floats(0, 1e6))
def test_amounts_are_whole_and_have_a_unit(seconds: float) -> None:
    chinese, english = advice.amount(seconds)
    assert chinese.split(" ")[1] in ("秒", "分钟", "小时") and english.split(" ")[1] in ("seconds", "minutes", "hours")


@given(
    st.lists(
        st.tuples(st.sampled_from(("Music", "Noisy", "OtherSpeaker", "Silent", "TooLong")), st.floats(10, 1e4)),
        max_size=8,
    )
)
def test_what_is_about_more_seconds_comes_first(items: list[tuple[corpora.Reason, float]]) -> None:
    weights = [item.weight for item in advice.advise(corpus(*(lost("good.wav", *item) for item in items)))]
    assert weights == sorted(weights, reverse=True)
