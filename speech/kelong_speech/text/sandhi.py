"""How tones change in connected speech: the rules of the default profile.

Each rule looks at one phrase (what stands between two marks) and changes tones in place; `RULES` is their order.
Sources: 现代汉语词典 for neutral tones and 一 and 不, Chao (A Grammar of Spoken Chinese) and Duanmu (The Phonology of
Standard Chinese) for third tones. The neutral-tone words are PaddleSpeech's (data/NOTICE). Where this differs from
the original and why is a table in tests/text/test_differences.py.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Final, NamedTuple

from kelong_speech.text import particles, phonemes, phrases, pinyin, segment, word_lists

_NUMERALS: Final = frozenset("〇零一二三四五六七八九十百千万亿")
_UNITS: Final = frozenset("百千万亿")
_DIGITS: Final = _NUMERALS - _UNITS
_COUNTING: Final = frozenset("几有两半多各整每做是这那哪数")
# Said full only when nothing comes before them in the phrase: 啊，真好 against 好啊.
_PARTICLES: Final = frozenset("吧呢啊呐嘛呀吗哒哟喽啰啦呗嘞耶咯哩哦喔噻")
# 一 after these points at one of several and counts on: 另一个. After other words it ends a number or a name: 星期一.
_DETERMINERS: Final = frozenset("这那另每某哪任同前后上下有又再头")
# 一 that is the first of a row: 一月, 一年级, 一等舱. Behind 这 and the like it counts: 下一级, 每一季度, 这一班人.
_ORDINAL: Final = re.compile(
    r"一(?:[号楼审流]|把手(?![枪电]))"
    r"|(?<![这那每另某哪同])一月"
    r"|(?<![这那每另某哪同上下前后高低任])一(?:级(?!一)|季度|区|单元)"
    r"|(?<![这那每另某哪同上下前后钟时天隔])一班(?![人车岗机飞船])"
    r"|(?<![这那每另某哪同任])一年级"
    r"|一等[奖功品舱座]|一线(?=[城工员队教岗医品明人])"
)
# 一期 is the first phase; what somebody makes or waits for is one issue: 办一期.
_PHASE: Final = re.compile(r"(?<![这那每另某哪同上下前后任了])一期(?![节杂刊])")
# 一 before these is a number by itself: 一等于.
_RECKONING: Final = frozenset(("等于", "加上", "减去", "乘以", "除以", "数到"))
# 不 after these in a word of three is an ordinary 不: 绝不会; after other verbs it is said in passing: 差不多, 看不懂.
_BEFORE_FULL_BU: Final = frozenset("不绝决并从也都就还又才我你他她它这那更毫永")


class _Span(NamedTuple):
    """A word of the phrase; `word` has the 儿 that colours one of its syllables, `text` has not."""

    text: str
    tag: str
    start: int
    word: str = ""

    @property
    def end(self) -> int:
        return self.start + len(self.text)


@dataclass
class _Phrase:
    text: str
    spans: list[_Span]
    spellings: list[str]
    tones: list[int]
    tools: "PieceReader"
    given: frozenset[int] = field(default=frozenset())

    def set_tone(self, place: int, tone: int) -> None:
        """Changes a tone, unless the writer has given it in so many words."""
        if place not in self.given:
            self.tones[place] = tone

    def char(self, place: int) -> str:
        return self.text[place] if 0 <= place < len(self.text) else ""


@dataclass(frozen=True)
class PieceReader:
    """Reads one phrase of normalised text without marks."""

    segmenter: segment.Segmenter
    reader: phrases.PhraseReader

    def read(
        self, text: str, given: Mapping[int, pinyin.Syllable], choices: Sequence[pinyin.Choice | None] = ()
    ) -> list[pinyin.Syllable]:
        """The syllables of a phrase as they are said, one per character.

        `given` holds the readings the writer asked for by place; they are kept as they are, and their neighbours
        change by them. `choices` are a polyphone model's readings, one for each character, or none at all. 儿 as a
        colour is the syllable `r`, with the tone of the syllable before it, which is spelled `wanr`.
        """
        phrase = self._lexical(text, given, choices)
        colours = _colours(phrase)
        if colours:
            phrase = _without(phrase, colours)
        for rule in RULES:
            rule(phrase)
        said = [pinyin.Syllable(*said) for said in zip(phrase.spellings, phrase.tones, strict=True)]
        for place in colours:
            base = said[place - 1]
            said[place - 1] = base._replace(spelling=base.spelling + phonemes.R_COLOUR)
            said.insert(place, pinyin.Syllable(phonemes.R_COLOUR, base.tone))
        return said

    def is_verb(self, word: str) -> bool:
        """Whether the segmenter takes the word by itself for a verb."""
        return self.segmenter.words(word)[0].tag.startswith("v")

    def lexical(self, text: str, choices: Sequence[pinyin.Choice | None] = ()) -> list[pinyin.Syllable]:
        """The syllables of a phrase as a dictionary would give them in this place, before any tone changes."""
        phrase = self._lexical(text, {}, choices)
        return [pinyin.Syllable(*said) for said in zip(phrase.spellings, phrase.tones, strict=True)]

    def _lexical(
        self, text: str, given: Mapping[int, pinyin.Syllable], choices: Sequence[pinyin.Choice | None]
    ) -> "_Phrase":
        words = self.segmenter.words(text)
        syllables = self.reader.read(words, choices or [None] * len(text))
        for place, syllable in given.items():
            syllables[place] = syllable
        phrase = _Phrase(
            text=text,
            spans=_spans(words),
            spellings=[syllable.spelling for syllable in syllables],
            tones=[syllable.tone for syllable in syllables],
            tools=self,
            given=frozenset(given),
        )
        _particles(phrase)
        return phrase


def _colours(phrase: _Phrase) -> list[int]:
    """Where 儿 only colours the syllable before it: 玩儿, 一会儿; the dictionaries' er5 says so, or the writer's r."""
    found: list[int] = []
    for place in range(1, len(phrase.text)):
        read = (phrase.spellings[place], phrase.tones[place])
        by_dictionary = phrase.text[place] == "儿" and read == ("er", 5) and place not in phrase.given
        asked = by_dictionary or phrase.spellings[place] == phonemes.R_COLOUR
        can_be = place - 1 not in found and phonemes.is_rhotic(phrase.spellings[place - 1] + phonemes.R_COLOUR)
        if asked and can_be:
            found.append(place)
        elif asked:
            phrase.set_tone(place, 2)
    return found


def _without(phrase: _Phrase, colours: Sequence[int]) -> _Phrase:
    """The phrase in syllables: the characters that only colour are left out."""
    dropped = frozenset(colours)
    kept = [place for place in range(len(phrase.text)) if place not in dropped]
    spans = []
    for span in phrase.spans:
        inside = [place for place in kept if span.start <= place < span.end]
        if inside:
            text = "".join(phrase.text[place] for place in inside)
            spans.append(_Span(text, span.tag, kept.index(inside[0]), span.text))
    return _Phrase(
        text="".join(phrase.text[place] for place in kept),
        spans=spans,
        spellings=[phrase.spellings[place] for place in kept],
        tones=[phrase.tones[place] for place in kept],
        tools=phrase.tools,
        given=frozenset(place for place, old in enumerate(kept) if old in phrase.given),
    )


def _spans(words: Sequence[segment.Word]) -> list[_Span]:
    """The words with their places; a verb said twice, which the segmenter may cut, is one word: 试试|看看."""
    spans: list[_Span] = []
    start = 0
    for word in words:
        last = spans[-1] if spans else _Span("", "", 0)
        if last.text[-1:] == word.text and last.tag == word.tag == "v" and len(last.text) in (1, 3):
            spans[-1:] = [last._replace(text=last.text[:-1])] if len(last.text) == 3 else []
            spans.append(_Span(word.text * 2, word.tag, start - 1))
        else:
            spans.append(_Span(word.text, word.tag, start))
        start += len(word.text)
    return spans


def _particles(phrase: _Phrase) -> None:
    """What is read by the part it plays: 得, 过 and 为 by `particles`, 地 in 慢慢地走, exclamations at the end."""
    words = [segment.Word(span.text, span.tag) for span in phrase.spans]
    tools = particles.Tools(phrase.tools.reader.knows, phrase.tools.is_verb)
    before = _Span("", "", 0)
    for index, span in enumerate(phrase.spans):
        settled = particles.de(words, index, tools) if "得" in span.text else None
        if not settled and "过" in span.text:
            settled = particles.guo(words, index, tools)
        if span.text[-1] == "为" and len(span.text) < 3:
            settled = particles.wei(words, index, tools)
        if settled:
            place, syllable = settled
            _say(phrase, span.start + place, syllable)
        elif span.start and span.text in _PARTICLES and (index + 1 == len(words) or span.text == "啊"):
            phrase.set_tone(span.start, 5)
        elif span.text == "地" and span.tag == "uv" and before.text[-1:] not in ("", "块", "片"):
            _say(phrase, span.start, particles.DE)
        elif len(span.text) == 3 and span.text[2] == "地" and span.tag == "d" and not tools.knows(span.text):
            _say(phrase, span.end - 1, particles.DE)
        before = span


def _say(phrase: _Phrase, place: int, syllable: pinyin.Syllable) -> None:
    if place not in phrase.given:
        phrase.spellings[place], phrase.tones[place] = syllable


def _bu(phrase: _Phrase) -> None:
    """不 rises before a fourth tone and is neutral in passing: 不去, 好不好, 看不懂."""
    passing = {
        span.start + 1
        for span in phrase.spans
        if len(span.text) == 3 and span.text[1] == "不" and span.text[0] not in _BEFORE_FULL_BU
    }
    for place, char in enumerate(phrase.text):
        if char != "不" or phrase.spellings[place] != "bu":
            continue
        between_equals = phrase.char(place - 1) == phrase.char(place + 1) not in ("", "不")
        if place in passing or between_equals:
            phrase.set_tone(place, 5)
        elif phrase.tones[place + 1 : place + 2] == [4]:
            phrase.set_tone(place, 2)


def _yi(phrase: _Phrase) -> None:
    """一 rises before a fourth tone, falls before the others, is neutral in 看一看, high as a number or name."""
    for span in phrase.spans:
        for place in range(span.start, span.end):
            if phrase.text[place] == "一" and phrase.spellings[place] == "yi":
                phrase.set_tone(place, _yi_tone(phrase, span, place))


def _yi_tone(phrase: _Phrase, span: _Span, place: int) -> int:
    before, after = phrase.char(place - 1), phrase.char(place + 1)
    counts = before in _NUMERALS if before else False
    following = phrase.char(place + 2)
    if not after or before == "第" or (after in "到至比" and following in _DIGITS) or after + following in _RECKONING:
        return 1
    is_last = before == "比" or (before == "点" and after not in "刻线到")  # 一比一握手言和, 二点一倍; but 三点一刻
    if is_last and after not in _UNITS and phrase.char(place - 2) in _NUMERALS:
        return 1
    idiom = len(span.text) == 4 and phrase.tools.reader.knows(span.text)  # 一五一十
    if counts and not idiom and not (after in _UNITS and before not in _DIGITS):
        return 1
    if (after in _DIGITS and not idiom) or (after == "日" and before == "月") or _is_ordinal(phrase, place):
        return 1
    if before == after and before.isalpha():  # a Latin word's place holder is no letter
        return 5
    ends_its_word = place == span.end - 1 and place > span.start
    if ends_its_word and before not in _DETERMINERS:
        return 1
    return 2 if phrase.tones[place + 1] == 4 or after == "个" else 4


def _is_ordinal(phrase: _Phrase, place: int) -> bool:
    if _ORDINAL.match(phrase.text, place):
        return True
    made = any(span.end == place and span.tag.startswith("v") for span in phrase.spans)
    return not made and bool(_PHASE.match(phrase.text, place))


def _neutral(phrase: _Phrase) -> None:
    """Particles, suffixes, doubled verbs and kin, and the listed words end in the neutral tone."""
    of_a_thing = False  # a noun or a pronoun stands before: 屋子里, 墙上挂着 but not 女儿上小学
    for index, span in enumerate(phrase.spans):
        after = phrase.spans[index + 1].tag if index + 1 < len(phrase.spans) else ""
        measure = span.text.find("个")
        counted = phrase.char(span.start + measure - 1)
        if measure >= 0 and span.text != "个个" and counted and (counted in _COUNTING or counted.isnumeric()):
            phrase.set_tone(span.start + measure, 5)
        if len(span.text) == 1:
            if span.text in "里上" and span.tag == "f" and of_a_thing and not (span.text == "上" and after[:1] == "n"):
                phrase.set_tone(span.start, 5)
        elif span.word and span.word[-1] == "儿" != span.text[-1]:
            pass  # the colour keeps the tone: 老头儿 against 老头
        elif len(span.text) == 2 and span.text[0] == span.text[1]:
            _double(phrase, span)
        elif len(span.text) == 3 and span.text[0] == span.text[1] and phrase.tools.is_verb(span.text[0]):
            phrase.set_tone(span.start + 1, 5)
        elif phrases.doubled(span.text):
            pass  # 高高兴兴 has the tones of 高兴 in full
        elif _ends_neutral(phrase, span):
            phrase.set_tone(span.end - 1, 5)
        else:
            _listed(phrase, span)
        of_a_thing = span.tag[:1] in "nsr"


def _double(phrase: _Phrase, span: _Span) -> None:
    """看看, 妈妈; a doubled third-tone verb rises first (想想), kin do not (姐姐). 天天 keeps both tones."""
    if span.tag not in ("n", "v", "vn", "nr") or span.text in word_lists.words()["full_reduplications"]:
        return
    if span.tag.startswith("v") and phrase.tones[span.start] == 3:
        phrase.set_tone(span.start, 2)
    phrase.set_tone(span.start + 1, 5)


def _ends_neutral(phrase: _Phrase, span: _Span) -> bool:
    """Whether the last character is a suffix in the neutral tone. A word the dictionary knows, it knows better."""
    text, last = span.text, span.text[-1]
    known = phrase.tools.reader.knows(text)
    lists = word_lists.words()
    if last == "们":
        return True
    if last == "子":
        return not known and span.tag[0] in "nr" and text[-2:] not in lists["full_zi"] | lists["never_neutral_words"]
    if last in "上里":
        return span.tag in ("s", "l", "f") and text[-2] != "不" and text not in lists["full_shang_xia_li"]
    if last in "来去":
        return (text, span.tag) != ("过去", "t") and text[-2] in "上下进出回过起开"
    return last in _PARTICLES and not known


@cache
def _neutral_words() -> frozenset[str]:
    lists = word_lists.words()
    return (lists["neutral_tone_words"] | lists["also_neutral"]) - lists["full_after_all"]


def _listed(phrase: _Phrase, span: _Span) -> None:
    lists = word_lists.words()
    neutral = _neutral_words()
    if span.text in lists["not_neutral_inside"]:
        return
    end = span.start
    for half in phrase.tools.segmenter.halves(span.text):
        end += len(half)
        if half in neutral:
            phrase.set_tone(end - 1, 5)
    if span.text in neutral:
        phrase.set_tone(span.end - 1, 5)


def _third(phrase: _Phrase) -> None:
    """Of two third tones the first rises: first inside words, then in pairs of single syllables, then across."""
    for span in phrase.spans:
        _third_in_word(phrase, span)
    run: list[int] = []
    for span in [*phrase.spans, _Span("", "", len(phrase.text))]:
        if len(span.text) == 1 and phrase.tones[span.start] == 3:
            run.append(span.start)
            continue
        # From the right, because a word leans on what follows it: 我|很好, 买|好酒.
        for place in run[-2::-2]:
            phrase.set_tone(place, 2)
        run = []
    for place in range(len(phrase.tones) - 1):
        if phrase.tones[place] == phrase.tones[place + 1] == 3:
            phrase.set_tone(place, 2)


def _third_in_word(phrase: _Phrase, span: _Span) -> None:
    """Inside a word pairs are said first: 展览|馆 is 2 2 3, 小|老虎 is 3 2 3."""
    head = len(phrase.tools.segmenter.halves(span.text)[0]) if len(span.text) == 3 else 2
    cuts = [span.start, span.start + head] if len(span.text) == 3 else list(range(span.start, span.end, 2))
    for start, end in zip(cuts, [*cuts[1:], span.end], strict=True):
        for place in range(start, end - 1):
            if phrase.tones[place] == phrase.tones[place + 1] == 3:
                phrase.set_tone(place, 2)
    for cut in cuts[1:]:
        if phrase.tones[cut - 1 : cut + 1] == [3, 3]:
            phrase.set_tone(cut - 1, 2)


RULES: Final[tuple[Callable[[_Phrase], None], ...]] = (_bu, _yi, _neutral, _third)
