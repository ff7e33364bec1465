"""The front end's word lists and old readings, read from the package's data on first use (origins: data/NOTICE)."""

import json
from functools import cache
from importlib import resources
from typing import Any


def _load(name: str) -> Any:
    return json.loads(resources.files("kelong_speech.text").joinpath("data", name).read_text("utf-8"))


@cache
def words() -> dict[str, frozenset[str]]:
    """The word lists by name.

    From PaddleSpeech: `neutral_tone_words`, whose last syllable is neutral, and `never_neutral_words`, which only look
    so. Ours, all of words that keep the full tone a rule would take: `full_after_all` (words of the first list that
    现代汉语词典 gives in full, or that are so in their usual sense: 计划), `full_zi` (王子), `full_er` (女儿),
    `full_reduplications` (天天), `full_shang_xia_li` (以上), `not_neutral_inside` (东西方, whose 东西 is no
    东西); and `also_neutral`, which PaddleSpeech does not list.
    """
    return {name: frozenset(listed) for name, listed in _load("words.json").items()}


@cache
def readings_of_pypinyin_0_50() -> dict[str, str]:
    """Words that pypinyin 0.50 reads otherwise than the version in use, with the older pinyin."""
    readings: dict[str, str] = _load("readings_pypinyin_0_50.json")
    return readings
