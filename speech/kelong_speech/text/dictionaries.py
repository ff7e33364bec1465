"""Two dictionaries of words seen as one: pypinyin's phrases and CC-CEDICT, with a few corrections of ours.

`phrases` asks here before it asks a polyphone model. What both dictionaries say is firm; where they differ, all their
readings are possible.
"""

from functools import lru_cache
from importlib import resources
from typing import Any, Final, NamedTuple

from kelong_speech.text import word_lists
from kelong_speech.text.pinyin import Syllable, syllable


class Place(NamedTuple):
    """One character of a word: its possible readings, likeliest first; firm if two dictionaries give the same."""

    readings: tuple[Syllable, ...]
    firm: bool


class Dictionaries:
    """Loaded when this is made; afterwards only what was looked up is remembered."""

    LONGEST: Final = 10  # characters

    # Words of which the dictionaries have only the rarer reading, or one that is a slip.
    _OURS: Final = {
        "大夫": "dai4 fu5", "不是": "bu4 shi4", "好学": "hao4 xue2", "长得": "zhang3 de5", "不了": "bu4 liao3",
        "琢磨": "zuo2 mo5", "数一数": "shu3 yi1 shu3", "为人民服务": "wei4 ren2 min2 fu2 wu4", "空儿": "kong4 er5",
        "把儿": "ba4 er5", "照片儿": "zhao4 pian1 er5", "相片儿": "xiang4 pian1 er5", "唱片儿": "chang4 pian1 er5",
        "孙子兵法": "sun1 zi3 bing1 fa3", "反差": "fan3 cha1", "弹片": "dan4 pian4",
        "莫干山": "mo4 gan1 shan1", "硕果累累": "shuo4 guo3 lei2 lei2", "果实累累": "guo3 shi2 lei2 lei2",
        "怎么得了": "zen3 me5 de2 liao3", "硬朗": "ying4 lang5", "做作业": "zuo4 zuo4 ye4",
    }  # fmt: skip
    # Characters whose first reading in the dictionary is not the usual one by itself, or has no phones: 嗯 is ng4
    # there, of which en4 is the accepted variant that the model can say.
    ALONE: Final = {
        "嗯": "en4", "诶": "ei4", "遛": "liu4",
        "呣": "mu2", "嗲": "dia3", "谁": "shei2", "茄": "qie2", "翟": "zhai2", "咯": "lo5", "掺": "chan1",
        "肖": "xiao1", "町": "ting3", "晟": "sheng4", "子": "zi3", "啊": "a1",
    }  # fmt: skip
    # What the dictionary of phrases gives these after sandhi; the rules need them as they are by themselves.
    _BEFORE_SANDHI: Final = {"不": Syllable("bu", 4), "一": Syllable("yi", 1)}

    def __init__(self) -> None:
        from pypinyin import constants

        self._characters: dict[int, str] = constants.PINYIN_DICT
        self._phrases: dict[str, Any] = constants.PHRASES_DICT
        self._cedict = _load_cedict()
        self._found: dict[str, tuple[Place, ...]] = {}
        # Beginnings of listed words by their first two characters: most places of a text begin none.
        self._beginnings = {word[:2] for words in (self._phrases, self._cedict, self._OURS) for word in words}

    def character(self, char: str) -> Syllable:
        """The usual reading of a character by itself; one that nobody can read spells itself with tone 0."""
        if char in self.ALONE:
            return syllable(self.ALONE[char])
        listed = self._characters.get(ord(char))
        return from_marks(listed.split(",", 1)[0]) if listed else Syllable(char, 0)

    def knows(self, word: str) -> bool:
        """Whether a dictionary lists the word as a whole, its neutral tones included."""
        return word in self._phrases or word in self._cedict or word in self._OURS

    def is_sure_of(self, word: str) -> bool:
        """Whether CC-CEDICT lists the word, which tells 儿 as a colour from 儿 as a syllable, or a correction does."""
        return word in self._cedict or word in self._OURS

    def full(self, char: str, place: Place) -> Syllable:
        """What a character says in a word when it is not neutral there: 亮 of 漂亮 is liang4."""
        said = place.readings[0]
        listed = map(from_marks, self._characters.get(ord(char), "").split(","))
        possible = (*place.readings, *(each for each in listed if each.spelling == said.spelling))
        return next((each for each in possible if each.tone != 5), said)

    def longest(self, text: str, start: int) -> str:
        """The longest listed word of two characters or more that begins at `start`, or nothing."""
        if text[start : start + 2] in self._beginnings:
            for stop in range(min(len(text), start + self.LONGEST), start + 1, -1):
                if self.knows(text[start:stop]):
                    return text[start:stop]
        return ""

    def places(self, word: str) -> tuple[Place, ...]:
        """The characters of a word, 不 and 一 as before sandhi; nothing if no dictionary lists it."""
        if word not in self._found and self.knows(word):
            places = list(map(self._before_sandhi, word, self._by_its_words(word, self._look_up(word))))
            if word[-1] == "子" and len(places[-1].readings) > 1:
                # The dictionaries have 管子 the pipe and 管子 the philosopher.
                full = word[-2:] in word_lists.words()["full_zi"] | word_lists.words()["never_neutral_words"]
                places[-1] = Place((Syllable("zi", 3 if full else 5),), True)
            self._found[word] = tuple(places)
        return self._found.get(word, ())

    def _by_its_words(self, word: str, places: list[Place]) -> list[Place]:
        """Places that only one dictionary has are firm where two have the same in a word inside: 过分 of 太过分."""
        found = list(places)
        for start in range(len(word) - 1 if len(word) > 2 else 0):
            for stop in range(start + 2, len(word) + (start > 0)):
                for index, inner in enumerate(self.places(word[start:stop]), start):
                    if inner.firm and not found[index].firm and inner.readings[0] in found[index].readings:
                        found[index] = inner
        return found

    def _look_up(self, word: str) -> list[Place]:
        if word in self._OURS:
            return [Place((syllable(said),), True) for said in self._OURS[word].split()]
        ours = [tuple(dict.fromkeys(map(from_marks, place))) for place in self._phrases.get(word, ())]
        theirs = self._cedict.get(word)
        if theirs is None:
            return [Place(readings, False) for readings in ours]
        if not theirs:  # they agree
            return [Place(readings[:1], True) for readings in ours]
        if not ours:
            # 儿 as a colour is what pypinyin's dictionary lists least and CC-CEDICT best.
            firm = (Syllable("er", 5),) in theirs
            return [Place(readings, firm) for readings in theirs]
        return list(map(_merge, theirs, ours))

    def _before_sandhi(self, char: str, place: Place) -> Place:
        usual = self._BEFORE_SANDHI.get(char)
        return Place((usual,), True) if usual and usual.spelling == place.readings[0].spelling else place


def _merge(theirs: tuple[Syllable, ...], ours: tuple[Syllable, ...]) -> Place:
    shared = [said for said in ours if said in theirs]
    if len(shared) == 1:
        return Place((shared[0],), True)
    return Place(tuple(dict.fromkeys((*theirs, *ours))), False)


def _load_cedict() -> dict[str, tuple[tuple[Syllable, ...], ...]]:
    """CC-CEDICT's words; those it reads like pypinyin's dictionary stand there without a reading."""
    found = {}
    text = resources.files("kelong_speech.text").joinpath("data", "words_of_cc_cedict.txt").read_text("utf-8")
    for line in text.splitlines():
        word, *places = line.split(" ")
        found[word] = tuple(tuple(map(syllable, place.split("/"))) for place in places)
    return found


_TONES: Final = {
    marked: (letter, tone)
    for letter, row in {
        "a": "āáǎà",
        "e": "ēéěè",
        "i": "īíǐì",
        "o": "ōóǒò",
        "u": "ūúǔù",
        "v": "ǖǘǚǜ",
        "n": " ńňǹ",
    }.items()
    for tone, marked in enumerate(row, 1)
}


@lru_cache(maxsize=4096)
def from_marks(marked: str) -> Syllable:
    """`háng` as a syllable."""
    tone, letters = 5, []
    for char in marked.replace("ü", "v"):
        letter, found = _TONES.get(char, (char, 0))
        tone = found or tone
        letters.append(letter)
    return Syllable("".join(letters), tone)
