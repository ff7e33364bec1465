"""What each character of a phrase is read as, before sandhi: dictionaries, surnames and a polyphone model weighed up.

Who decides, in this order:

1. a word whose reading two dictionaries share, or that is corrected in `dictionaries`: they do;
2. any other word in a dictionary: the model among its readings, or outside them when it is sure;
3. everything else: the neighbours by `grammar`, the model, then the usual reading of the character.

Particles are left to `sandhi`, as are 一 and 不. What each step gains on the benchmark
CPP is in docs/benchmarks/front_end.md.
"""

from collections.abc import Iterator, Sequence
from typing import Final

from kelong_speech.text import dictionaries, grammar, pinyin, segment, word_lists

# The share of its belief above which a model may contradict a dictionary that stands alone.
SURE: Final = 0.9
# Read by rule, whatever a model says: sandhi and erhua make their own of the first three; the rest is settled.
_RULED: Final = frozenset("一不儿没给谁嗯呣诶欸们子啊")
# As the first character of a name (现代汉语词典: 姓). Rare surnames that are common words or begin foreign names, such
# as 盖 and 柏, are left out: a segmenter that guesses names is wrong about them more often than right.
_SURNAMES: Final = {
    "任": "ren2", "单": "shan4", "解": "xie4", "仇": "qiu2", "朴": "piao2", "查": "zha1", "曾": "zeng1", "葛": "ge3",
    "华": "hua4", "区": "ou1", "乐": "yue4", "纪": "ji3", "翟": "zhai2", "缪": "miao4", "燕": "yan1", "应": "ying1",
    "冼": "xian3", "覃": "qin2", "牟": "mou2", "车": "che1", "尉": "wei4", "乜": "nie4", "逄": "pang2", "贾": "jia3",
    "长孙": "zhang3 sun1", "尉迟": "yu4 chi2", "万俟": "mo4 qi2", "令狐": "ling2 hu2", "澹台": "tan2 tai2",
}  # fmt: skip
_TITLES: Final = ("先生", "女士", "小姐", "太太", "老师", "教授", "博士")
_FULL_ER: Final = pinyin.Syllable("er", 2)
_COLOUR: Final = pinyin.Syllable("er", 5)
_LONGEST_BEFORE_ER: Final = 4  # characters of a word that ends in 儿
_MOST_PARTS: Final = 4  # words of the segmenter that may be one in a dictionary


_KIN: Final = frozenset("爸妈爷奶公婆哥姐弟妹叔姑姨舅")


def doubled(word: str) -> str:
    """高兴 for 高高兴兴, which has the full tones of its base; nothing for other words and for kin: 爸爸妈妈."""
    is_doubled = len(word) == 4 and word[0] == word[1] != word[2] == word[3]
    return word[::2] if is_doubled and not _KIN.issuperset(word) else ""


class PhraseReader:
    """Reads the words of one phrase; safe to use from several threads."""

    def __init__(self) -> None:
        self._dictionaries = dictionaries.Dictionaries()
        self._full_er = word_lists.words()["full_er"]
        self._surnames = {name: [pinyin.syllable(said) for said in _SURNAMES[name].split()] for name in _SURNAMES}

    def knows(self, word: str) -> bool:
        """Whether a dictionary lists the word as a whole, its neutral tones included."""
        return self._dictionaries.knows(word)

    def read(self, words: Sequence[segment.Word], choices: Sequence[pinyin.Choice | None]) -> list[pinyin.Syllable]:
        """One syllable for each character of the phrase; `choices` are a polyphone model's, one for each character.

        A character nobody can read spells itself with tone 0; 儿 that colours the syllable before it is er5.
        """
        text = "".join(word.text for word in words)
        said: list[pinyin.Syllable] = []
        for word in self._joined(words):
            start, end = len(said), len(said) + len(word.text)
            if text[start:end] in self._surnames and text.startswith(_TITLES, end):
                said += self._surnames[text[start:end]]
            else:
                said += self._word(word, text, start, choices[start:end])
            if "儿" in word.text:
                self._settle_er(text, said, start)
        return said

    def _joined(self, words: Sequence[segment.Word]) -> Iterator[segment.Word]:
        """The words, and words of a dictionary that the segmenter has cut: 好|学, 都|市里."""
        place = 0
        while place < len(words):
            joined = words[place]
            if self._is_cut_amiss(words, place):
                head, of_place = joined.text + words[place + 1].text[0], words[place + 1].text[1]
                yield segment.Word(head, "")
                yield segment.Word(of_place, "f")
                place += 2
                continue
            for stop in range(min(len(words), place + _MOST_PARTS), place + 1, -1):
                text = "".join(word.text for word in words[place:stop])
                if len(text) <= self._dictionaries.LONGEST and self._dictionaries.knows(text):
                    joined = segment.Word(text, "")
                    place = stop - 1
                    break
            yield joined
            place += 1

    def _is_cut_amiss(self, words: Sequence[segment.Word], place: int) -> bool:
        """Whether an adverb begins the place behind it, 都|市里; behind a pronoun it does not: 他们|都|城里."""
        is_adverb = len(words[place].text) == 1 and words[place].tag == "d"
        if not is_adverb or place + 1 == len(words) or (place and words[place - 1].tag == "r"):
            return False
        where = words[place + 1]
        is_place = where.tag == "s" and len(where.text) == 2
        return is_place and self._dictionaries.knows(words[place].text + where.text[0])

    def _word(
        self, word: segment.Word, text: str, begin: int, choices: Sequence[pinyin.Choice | None]
    ) -> list[pinyin.Syllable]:
        is_name = word.tag.startswith("nr")
        places = self._dictionaries.places(word.text) if len(word.text) > 1 else ()
        base = doubled(word.text)
        if base and (self._dictionaries.knows(base) or not places):
            return self._doubled(base, places, text, begin, choices)
        if places:
            return self._listed(places, text, begin, [None] * len(places) if is_name else choices)
        said: list[pinyin.Syllable] = []
        while len(said) < len(word.text):
            start = len(said)
            inner = self._dictionaries.longest(word.text, start) if len(word.text) > 2 else ""
            if inner:
                places = self._dictionaries.places(inner)
                said += self._listed(places, text, begin + start, choices[start : start + len(inner)])
            else:
                said.append(self._alone(text, begin + start, choices[start]))
        if is_name:
            for length in (2, 1):
                surname = self._surnames.get(word.text[:length])
                if surname and length < len(word.text) <= length + 2:
                    return [*surname, *said[length:]]
        return said

    def _doubled(
        self,
        base: str,
        places: Sequence[dictionaries.Place],
        text: str,
        begin: int,
        choices: Sequence[pinyin.Choice | None],
    ) -> list[pinyin.Syllable]:
        """The base's two characters in full, each twice: 漂漂亮亮. `places` are of the whole word, if it is listed."""
        halves = places[::2] or self._dictionaries.places(base)
        if halves:
            first, second = map(self._dictionaries.full, base, halves)
        else:
            first, second = (self._alone(text, begin + index, choices[index]) for index in (0, 2))
        return [first, first, second, second]

    def _listed(
        self,
        places: Sequence[dictionaries.Place],
        text: str,
        begin: int,
        choices: Sequence[pinyin.Choice | None],
    ) -> list[pinyin.Syllable]:
        said = []
        for index, (place, choice) in enumerate(zip(places, choices, strict=True), begin):
            by_rule = None if place.firm else self._by_rule(text, index)
            decided = by_rule in place.readings and not _only_weakens(place.readings[0], by_rule)
            said.append(by_rule if by_rule and decided else _weigh(text[index], place, choice))
        return said

    def _alone(self, text: str, place: int, choice: pinyin.Choice | None) -> pinyin.Syllable:
        by_rule = self._by_rule(text, place)
        if by_rule:
            return by_rule
        return choice.reading if choice and text[place] not in _RULED else self._dictionaries.character(text[place])

    def _by_rule(self, text: str, place: int) -> pinyin.Syllable | None:
        if text[place - 1 : place] == "姓" and text[place] in self._surnames:
            return self._surnames[text[place]][0]
        return grammar.reading(text, place)

    def _settle_er(self, text: str, said: list[pinyin.Syllable], start: int) -> None:
        """儿 only colours the syllable before it, which is written er5 here, unless a word says otherwise: 女儿."""
        if self._dictionaries.is_sure_of(text[start : len(said)]):
            return
        for place in range(start, len(said)):
            if text[place] == "儿":
                begins_word = place == start and len(said) > start + 1
                ending = [_FULL_ER] if not place or begins_word else self._up_to_er(text, place)
                said[place + 1 - len(ending) : place + 1] = ending

    def _up_to_er(self, text: str, place: int) -> list[pinyin.Syllable]:
        """The longest listed word that ends in this 儿, or 儿 alone."""
        for begin in range(max(place - _LONGEST_BEFORE_ER, 0), place):
            word = text[begin : place + 1]
            if word in self._full_er:
                return [_FULL_ER]
            if self._dictionaries.is_sure_of(word):
                return [
                    _weigh(char, listed, None)
                    for char, listed in zip(word, self._dictionaries.places(word), strict=True)
                ]
        return [_COLOUR]


def _only_weakens(listed: pinyin.Syllable, said: pinyin.Syllable | None) -> bool:
    """Whether a word has a syllable neutral that is full by itself: 糊弄."""
    return said is not None and listed.tone == 5 and listed.spelling == said.spelling


def _weigh(char: str, place: dictionaries.Place, choice: pinyin.Choice | None) -> pinyin.Syllable:
    first = place.readings[0]
    if char == "儿" and _COLOUR in place.readings:
        return _COLOUR
    if choice is None or char in _RULED:
        return first
    if _only_weakens(first, choice.reading):
        return first  # models know neutral tones of particles, dictionaries those of words
    if choice.reading in place.readings:
        return choice.reading
    return first if place.firm or choice.share <= SURE else choice.reading
