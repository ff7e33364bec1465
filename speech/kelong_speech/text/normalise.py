"""Written text to what is said: numbers and signs in characters, Latin words apart, punctuation as the seven marks.

Every spoken character remembers which part of the written text it was read from, so that a fault further on can be
shown to the writer and a subtitle can be timed. Nothing is dropped but white space and characters without width.
"""

import re
import string
import unicodedata
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, NamedTuple

from kelong_contract.lexicon import is_han

from kelong_speech.text import corrections, dictionaries, numbers, phonemes, pinyin, signs, symbols, traditional
from kelong_speech.text.utterance import UnspeakableText


class Unit(NamedTuple):
    """One thing that is said, and the part [start, end) of the written text it comes from.

    `text` is a Chinese character, a mark, an inline mark such as `sp2`, a Latin word in its letters, or a space, which
    parts two Latin words and is not heard. `reading` is what the writer asked for, `行[hang2]`, or the lexicon
    (`is_listed`); then `text` may also be a word of any kind.
    """

    text: str
    start: int
    end: int
    reading: tuple[pinyin.Syllable, ...] = ()
    is_listed: bool = False


_MARKS: Final = {
    **{mark: mark for mark in symbols.MARKS},
    **dict.fromkeys("：；，·、:;､•・", ","),
    **dict.fromkeys("。．｡", "."),
    "！": "!",
    "？": "?",
    "⋯": "…",
    **dict.fromkeys('“”"‘’＂＇`（）()《》〈〉【】[]［］「」『』｢｣〔〕{}｛｝', "'"),
    **dict.fromkeys("—–―－～~〜", "-"),
}
_LINE_ENDS: Final = frozenset("\n\r\u2028\u2029")
_SPOKEN_MARKS: Final = frozenset(symbols.MARKS + symbols.INLINE_MARKS)
# Pinyin in brackets, one syllable or several, or the name of a pause or breath.
_SYLLABLE: Final = r"[A-Za-züÜ:]{1,8}\d?"
_INLINE: Final = re.compile(rf"\[({_SYLLABLE}(?: {_SYLLABLE})*)\]")
# Slips of these: 行[hang2 without its end, 行(hang2) and the like in other brackets, 行[háng].
_SLIP: Final = re.compile(
    rf"\[({_SYLLABLE})(?![\w \]])|[(（【［〔「<《]([a-zü:]{{2,8}}[1-5](?: [a-zü:]{{1,8}}[1-5])*)[)）】］〕」>》]|"
    r"[\[【［]([a-zü]*[āáǎàēéěèīíǐìōóǒòūúǔùǖǘǚǜ][a-z]*)[\]】］]"
)
# What a word of Latin letters and digits before a bracket is made of; a point ends it but in numbers and initials.
_WORD_BEFORE: Final = re.compile(
    r"(?:(?<![A-Za-z])(?:[A-Za-z]\.)+[A-Za-z]?|[A-Za-z0-9](?:[A-Za-z0-9'’+#-]|(?<=\d)\.(?=\d))*)$"
)
_WORD: Final = re.compile(r"[A-Za-z]+(?:['’][A-Za-z]+)*")
# What may stand between two Latin words without a pause: Wi-Fi, TCP/IP, machine learning.
_JOINT: Final = re.compile(r"[ \t\u00a0]+|[-‐‑/_·]")
# Stands in the searched text for a unit that is not to be searched.
_FIXED: Final = "\ue000"
_NO_WIDTH: Final = ""
# Full-width forms and squared units as they are usually written; the dash of ranges.
_PLAIN: Final = {
    **{chr(code): unicodedata.normalize("NFKC", chr(code)) for code in range(0x3380, 0x33E0)},
    **{char: unicodedata.normalize("NFKC", char) for char in "０１２３４５６７８９％＋／＄￥＝＜＞＠＆＃＊￡／"},
    **{chr(code): chr(code - 0xFEE0) for code in (*range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B))},
    "￥": "¥", "〇": "零", "µ": "μ", "Ω": "Ω", "：": "：", "–": "–", "‐": "-", "‑": "-",
}  # fmt: skip
_FULL_WIDTH_MARK_IN_NUMBER: Final = re.compile(r"(?<=[0-9])[：．，－](?=[0-9])|(?<=[0-9年月日号])－(?=[0-9])")


def units(written: str, lexicon: corrections.Lexicon = corrections.NOTHING) -> list[Unit]:
    """What is said, in order, in simplified characters. Raises UnspeakableText for what nobody can say."""
    said: list[Unit] = []
    for stretch in _stretches(written, traditional.simplified(written), lexicon):
        said += _read(stretch) if len(stretch) > 1 or stretch[0].text not in symbols.INLINE_MARKS else stretch
    return list(_spoken(said))


def _stretches(written: str, plain: str, lexicon: corrections.Lexicon) -> Iterator[list[Unit]]:
    """The text, in simplified characters, cut at pauses and breaths, each alone.

    A reading in brackets goes to what it stands behind.
    """
    _refuse_slips(plain)
    stretch: list[Unit] = []
    done = 0
    for match in _INLINE.finditer(plain):
        name = match[1]
        if name in symbols.INLINE_MARKS:
            stretch += _raw(written, plain, done, match.start(), lexicon)
            done = match.end()
            yield from filter(None, (stretch, [Unit(name, match.start(), match.end())]))
            stretch = []
            continue
        reading = _asked(match)
        if reading:
            stretch += _raw(written, plain, done, match.start(), lexicon)
            done = match.end()
            _give(stretch, reading, match, plain)
    stretch += _raw(written, plain, done, len(plain), lexicon)
    if stretch:
        yield stretch


def _refuse_slips(plain: str) -> None:
    """Raises UnspeakableText where pinyin stands behind a character as nobody would want to hear it read out."""
    for match in _SLIP.finditer(plain):
        said = corrections.syllables(match[1] or match[2]) if match[1] or match[2] else _from_marks(match[3])
        if said and is_han(plain[match.start() - 1 : match.start()]):
            meant = " ".join(f"{syllable.spelling}{syllable.tone}" for syllable in said)
            raise UnspeakableText(
                f"{match[0]} is no reading; write it in square brackets and with a number for its tone: [{meant}].",
                match.start(),
            )


def _from_marks(marked: str) -> tuple[pinyin.Syllable, ...]:
    """`hǎo` as syllables, none for what is no pinyin with a mark of tone."""
    said = tuple(dictionaries.from_marks(part) for part in marked.split())
    return said if all(phonemes.is_syllable(each.spelling) and each.tone != 5 for each in said) else ()


def _asked(match: re.Match[str]) -> tuple[pinyin.Syllable, ...]:
    """The reading in a bracket; none if the bracket only holds a word of the text, such as [OK].

    Raises UnspeakableText for what looks like a reading or a mark and is none.
    """
    reading = corrections.syllables(match[1])
    if reading:
        return reading
    before = match.string[match.start() - 1 : match.start()]
    spellings = [part.rstrip("0123456789").lower().replace("u:", "v").replace("ü", "v") for part in match[1].split()]
    is_reading = all(map(phonemes.is_syllable, spellings)) and bool(before) and is_han(before)
    looks_so = match[1] == match[1].lower() and match[1][-1].isdigit()
    if not is_reading and not looks_so:
        return ()
    if not before or not (is_han(before) or (before.isascii() and before.isalnum())):
        raise _no_mark(match)
    raise UnspeakableText(
        f"{match[0]} is not a Mandarin syllable with its tone; write pinyin with a tone from 1 to 5, such as "
        "[hang2] or [lv4], and one syllable for each character it is meant for.",
        match.start(),
    )


def _no_mark(match: re.Match[str]) -> UnspeakableText:
    return UnspeakableText(
        f"{match[0]} is no mark this voice knows; there are "
        f"{', '.join(f'[{mark}]' for mark in symbols.INLINE_MARKS)}, "
        "and pinyin directly behind a character, such as 行[hang2].",
        match.start(),
    )


def _give(stretch: list[Unit], reading: tuple[pinyin.Syllable, ...], match: re.Match[str], written: str) -> None:
    """A reading to the characters it stands behind, one syllable each, or to the Latin word there as a whole."""
    if not stretch or stretch[-1].end != match.start():
        raise _no_mark(match)
    word = _WORD_BEFORE.search(written, max(0, match.start() - 40), match.start())
    begin = word.start() if word else match.start() - len(reading)
    _loosen(stretch, begin, written)
    if word:
        kept = [unit for unit in stretch if unit.end <= begin]
        stretch[:] = [*kept, Unit(word[0], begin, match.end(), reading)]
        return
    if not is_han(stretch[-1].text):
        raise _no_mark(match)
    meant = stretch[-len(reading) :]
    if len(meant) < len(reading) or not all(is_han(unit.text) for unit in meant):
        raise UnspeakableText(
            f"{match[0]} has {len(reading)} syllables, and there are not as many Chinese characters before it.",
            match.start(),
        )
    if any(said.spelling == phonemes.R_COLOUR and unit.text != "儿" for unit, said in zip(meant, reading, strict=True)):
        raise UnspeakableText(
            f"{match[0]} has a coloured syllable, which is written with a 儿: 玩儿[wanr2].", match.start()
        )
    stretch[-len(reading) :] = [
        unit._replace(reading=(said,), is_listed=False) for unit, said in zip(meant, reading, strict=True)
    ]
    stretch[-1] = stretch[-1]._replace(end=match.end())


def _loosen(stretch: list[Unit], begin: int, written: str) -> None:
    """Words of the lexicon that reach beyond `begin` as their characters again: a bracket comes before the lexicon."""
    place = len(stretch)
    while place and stretch[place - 1].end > begin:
        place -= 1
    reaching = stretch[place:]
    del stretch[place:]
    for unit in reaching:
        is_word = unit.is_listed and len(unit.text) > 1
        stretch += _characters(written, unit.start, unit.end) if is_word else (unit,)


def _raw(written: str, plain: str, start: int, end: int, lexicon: corrections.Lexicon) -> Iterator[Unit]:
    """Single characters, and words of the lexicon with their readings."""
    for found in lexicon.find(written, plain, start, end):
        yield from _characters(plain, start, found.start)
        start = found.end
        word = plain[found.start : found.end]
        if len(found.reading) == len(word) and all(map(is_han, word)):
            for place, (char, said) in enumerate(zip(word, found.reading, strict=True), found.start):
                yield Unit(char, place, place + 1, (said,), is_listed=True)
        else:
            yield Unit(word, found.start, found.end, found.reading, is_listed=True)
    yield from _characters(plain, start, end)


def _characters(written: str, start: int, end: int) -> Iterator[Unit]:
    for place in range(start, end):
        char = written[place]
        if "\u4e00" <= char <= "\u9fff":
            yield Unit(char, place, place + 1)
            continue
        for plain in _plain(char, place):
            yield Unit(plain, place, place + 1)


def _plain(char: str, place: int) -> str:
    """A character as rules know it; nothing for what has no width. Whatever no text should hold is refused."""
    if " " <= char <= "~":
        return char
    plain = _plain_form(char)
    if plain is None:
        raise UnspeakableText(f"The character U+{ord(char):04X} is not text and cannot be spoken.", place)
    return plain


@lru_cache(maxsize=1024)
def _plain_form(char: str) -> str | None:
    category = unicodedata.category(char)
    if category in ("Cf", "Mn") or "\ufe00" <= char <= "\ufe0f":
        return _NO_WIDTH
    if category in ("Cs", "Co", "Cn") or (category == "Cc" and not char.isspace()):
        return None
    base = unicodedata.normalize("NFD", char)
    if len(base) > 1 and base[0].isascii() and base[0].isalpha():
        return base[0]
    return _PLAIN.get(char, char)


def _read(raw: Sequence[Unit]) -> Iterator[Unit]:
    """Numbers and signs as they are said; all that was read from one thing has that thing's span."""
    text = "".join(unit.text if len(unit.text) == 1 else _FIXED for unit in raw)
    text = _FULL_WIDTH_MARK_IN_NUMBER.sub(lambda match: _HALF_WIDTH_MARKS[match[0]], text)
    done = 0
    for reading in signs.find(text):
        yield from raw[done : reading.start]
        done = reading.end
        for unit in raw[reading.start : reading.end]:
            if unit.reading and not unit.is_listed:  # of the lexicon's words and a number the number wins
                raise UnspeakableText(
                    f"The pinyin after {unit.text} cannot be used: {text[reading.start : reading.end].strip()} is read "
                    f"as {reading.spoken}.",
                    unit.start,
                )
        start, end = raw[reading.start].start, raw[reading.end - 1].end
        yield from (
            Unit("一", start, end, _ONE) if char == numbers.CITED_ONE else Unit(char, start, end)
            for char in reading.spoken
        )
    yield from raw[done:]


_ONE: Final = (pinyin.Syllable("yi", 1),)
_HALF_WIDTH_MARKS: Final = {"：": ":", "．": ".", "，": "，", "－": "-"}


def _spoken(said: Sequence[Unit]) -> Iterator[Unit]:
    """Marks by table, Latin letters as words; a line's end is a full stop unless a mark stands there already."""
    last_is_mark = True
    index = 0
    while index < len(said):
        unit = said[index]
        text = unit.text
        index += 1
        if unit.reading or "\u4e00" <= text <= "\u9fff":
            last_is_mark = False
            yield unit
            continue
        if text in _LETTERS:
            word, index = _latin(said, index - 1)
            yield from word
            last_is_mark = False
            continue
        mark = _MARKS.get(text)
        if text.isspace():
            if text not in _LINE_ENDS or last_is_mark or _rest_is_space(said, index):
                continue
            mark = "."
        elif mark == "." and [follower.text for follower in said[index : index + 2]] == [".", "."]:
            mark = "…"
            unit = unit._replace(end=said[index + 1].end)
            index += 2
        elif not mark and text not in symbols.INLINE_MARKS and not is_han(text):
            raise _unspeakable(said, index - 1)
        last_is_mark = bool(mark) or text in _SPOKEN_MARKS
        yield unit._replace(text=mark or text)


_LETTERS: Final = frozenset(string.ascii_letters)
_IN_WORDS: Final = _LETTERS | set("'’")


def _latin(said: Sequence[Unit], start: int) -> tuple[list[Unit], int]:
    """The Latin word that begins there, with what joins it to another one behind it; and where to go on."""
    run = start + 1
    while run < len(said) and said[run].text in _IN_WORDS and _written_together(said[run - 1], said[run]):
        run += 1
    text = "".join(unit.text for unit in said[start:run])
    match = _WORD.match(text)
    assert match  # it begins with a letter
    end = start + match.end()
    word = [Unit(match[0].replace("’", "'"), said[start].start, said[end - 1].end)]
    joint = _JOINT.match("".join(unit.text if len(unit.text) == 1 else _FIXED for unit in said[end : end + 8]))
    if joint and end + joint.end() < len(said) and said[end + joint.end()].text in _LETTERS:
        after = end + joint.end()
        word.append(Unit(" ", min(said[end].start, word[0].end), max(said[after - 1].end, word[0].end)))
        return word, after
    return word, end


def _written_together(left: Unit, right: Unit) -> bool:
    """Whether neighbours belong to one word: both letters of the text, or both from the same thing that was read."""
    letters = left.end - left.start == right.end - right.start == 1
    return (left.start, left.end) == (right.start, right.end) or (letters and left.end <= right.start)


def _rest_is_space(said: Sequence[Unit], start: int) -> bool:
    return all(unit.text.isspace() for unit in said[start:])


def _unspeakable(said: Sequence[Unit], start: int) -> UnspeakableText:
    first = said[start]
    if not first.text.isalpha():
        return UnspeakableText(
            f"{first.text!r} (U+{ord(first.text):04X}) cannot be spoken; leave it out or put it in Chinese characters.",
            first.start,
        )
    word = first.text
    for unit in said[start + 1 : start + 20]:
        if not unit.text.isalpha() or is_han(unit.text) or unit.text.isascii():
            break
        word += unit.text
    return UnspeakableText(
        f"{word!r} cannot be spoken: this voice reads Chinese characters and Latin letters. Write it in those.",
        first.start,
    )
