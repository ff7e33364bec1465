"""What reasons, grades and marks are called on the page, in Chinese and in English."""

from __future__ import annotations

from typing import NamedTuple


class Name(NamedTuple):
    """One thing in both languages."""

    chinese: str
    english: str


KEPT = Name("用于训练", "trained on")
REASONS: dict[str, Name] = {
    "Undecodable": Name("打不开", "cannot be read"),
    "Silent": Name("没有声音", "silent"),
    "NoSpeech": Name("没有人说话", "nobody speaks"),
    "OtherLanguage": Name("不是普通话", "another language"),
    "TooShort": Name("太短", "too short"),
    "TooLong": Name("没有停顿可切", "no pause to cut in"),
    "NoText": Name("没有听出文字", "no words understood"),
    "Music": Name("有音乐", "music"),
    "ImplausibleText": Name("文字与时长不符", "text cannot fit the time"),
    "Unspeakable": Name("文字读不出", "text cannot be spoken"),
    "UncertainText": Name("文字不可靠", "text cannot be trusted"),
    "OtherSpeaker": Name("别人的声音", "another speaker"),
    "Noisy": Name("噪声大", "noisy"),
    "Clipped": Name("爆音", "clipped"),
    "LowQuality": Name("音质差", "poor sound"),
    "Dropped": Name("人工去掉", "left out by hand"),
    "Silence": Name("停顿", "pauses"),
    "HeldOut": Name("留作检验", "held out to test with"),
}


def reason(word: str) -> Name:
    """What a reason is called; a word that is not known yet stands for itself."""
    return REASONS.get(word, Name(word, word))
