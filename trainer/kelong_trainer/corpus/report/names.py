"""What reasons are called on the page, in Chinese and in English, and which of the page's colours each has."""

from __future__ import annotations

from typing import NamedTuple

from kelong_trainer.scoring import held_out


class Name(NamedTuple):
    """One thing in both languages. `kind` is the class of the style sheet that colours it."""

    chinese: str
    english: str
    kind: str


KEPT = Name("用于训练", "trained on", "kept")
REASONS: dict[str, Name] = {
    "Missing": Name("列表里有，文件没有", "listed, but not there", "file"),
    "Undecodable": Name("打不开", "cannot be read", "file"),
    "UnknownSpeaker": Name("不属于任何说话人", "nobody's of the speakers", "other"),
    "Duplicate": Name("重复的文件", "there twice", "hand"),
    "Silent": Name("没有声音", "silent", "file"),
    "NoSpeech": Name("没有人说话", "nobody speaks", "file"),
    "OtherLanguage": Name("不是普通话", "another language", "other"),
    "TooShort": Name("太短", "too short", "file"),
    "TooLong": Name("没有停顿可切", "no pause to cut in", "file"),
    "NoText": Name("没有听出文字", "no words understood", "text"),
    "Music": Name("有音乐", "music", "music"),
    "ImplausibleText": Name("文字与时长不符", "text cannot fit the time", "text"),
    "Unspeakable": Name("文字读不出", "text cannot be spoken", "text"),
    "UncertainText": Name("文字不可靠", "text cannot be trusted", "text"),
    "OtherSpeaker": Name("别人的声音", "another speaker", "other"),
    "Hum": Name("有交流声", "hum", "sound"),
    "Noisy": Name("噪声大", "noisy", "sound"),
    "Clipped": Name("爆音", "clipped", "sound"),
    "LowQuality": Name("音质差", "poor sound", "sound"),
    "Dropped": Name("人工去掉", "left out by hand", "hand"),
    "Silence": Name("停顿", "pauses", "pause"),
    "NotListed": Name("列表里没有", "not in the list", "hand"),
    held_out.REASON: Name("留作检验", "held out to test with", "held"),
}


def reason(word: str) -> Name:
    """What a reason is called; the empty one stands for what is trained on."""
    return REASONS[word] if word else KEPT
