"""Written text to what is said: numbers, dates and money in characters, punctuation as the model's seven marks.

wetext reads what contains digits; the rest is by table here. Every spoken character remembers its place in the
written text, so a fault further on can be shown to the writer. Nothing is dropped but white space and characters
that have no width.
"""

import difflib
import re
import threading
import unicodedata
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

from kelong_speech.text import phonemes, pinyin, symbols
from kelong_speech.text.utterance import UnspeakableText


class Unit(NamedTuple):
    """One spoken character, mark or inline mark such as `sp2`, and where it was written.

    `reading` is what the writer asked for: `行[hang2]`.
    """

    text: str
    position: int
    reading: pinyin.Syllable | None = None


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
# A digit's company in full width is read as if it were not: １２３, ５０％, ３：２.
_FULL_WIDTH: Final = "０１２３４５６７８９％＋／＄￥＝＜＞"
_LETTERS: Final = "".join(chr(code) for code in (*range(0xFF21, 0xFF3B), *range(0xFF41, 0xFF5B)))
_HALF_WIDTH: Final = {char: unicodedata.normalize("NFKC", char) for char in _FULL_WIDTH + _LETTERS}
_INLINE: Final = re.compile(r"\[([A-Za-züÜ:]{1,8}\d?)\]")
# wetext is shown only what its grammars are made for, and never across the end of a sentence.
_READABLE: Final = re.compile(r"[ !#-Z^-~\u4e00-\u9fff℃℉°‰¥€£×÷±²³～—–]+")
_DIGIT: Final = re.compile(r"[0-9]")


class Normaliser:
    """wetext's Chinese grammars, loaded when this is made. Safe to use from several threads."""

    def __init__(self) -> None:
        import wetext

        self._wetext: Any = wetext.Normalizer(lang="zh", operator="tn", remove_erhua=False)
        # The grammars are shared and composed anew for each text; whether OpenFST may do that from two threads at once
        # is documented nowhere.
        self._lock = threading.Lock()

    def units(self, written: str) -> list[Unit]:
        """What is said, in order. Raises UnspeakableText for a mark or character that nobody can say."""
        said: list[Unit] = []
        for raw in _stretches(written):
            said += raw if raw[0].text in symbols.INLINE_MARKS else self._read_numbers(raw)
        return list(_spoken(said))

    def _read_numbers(self, raw: Sequence[Unit]) -> Iterator[Unit]:
        text = "".join(_HALF_WIDTH.get(unit.text, unit.text) for unit in raw)
        text = re.sub(r"(?<=[0-9])[：．](?=[0-9])", lambda match: {"：": ":", "．": "."}[match[0]], text)
        done = 0
        for match in _READABLE.finditer(text):
            if _DIGIT.search(match[0]):
                yield from raw[done : match.start()]
                yield from self._read_stretch(match[0], raw[match.start() : match.end()])
                done = match.end()
        yield from raw[done:]

    def _read_stretch(self, text: str, raw: Sequence[Unit]) -> Iterator[Unit]:
        # wetext can say which characters became which, at twenty times the cost; a difference of the texts suffices.
        with self._lock:
            spoken: str = self._wetext.normalize(text)
        changes = difflib.SequenceMatcher(a=text, b=spoken, autojunk=False).get_opcodes()
        for kind, start, end, spoken_start, spoken_end in changes:
            if kind == "equal":
                yield from (
                    unit._replace(text=char) for char, unit in zip(text[start:end], raw[start:end], strict=True)
                )
                continue
            for unit in raw[start:end]:
                if unit.reading:
                    raise UnspeakableText(
                        f"The pinyin after {unit.text} cannot be used: {text.strip()} is read as {spoken}.",
                        unit.position,
                    )
            # A number's characters all stand where the number began.
            position = raw[min(start, len(raw) - 1)].position
            yield from (Unit(char, position) for char in spoken[spoken_start:spoken_end])


def _stretches(written: str) -> Iterator[list[Unit]]:
    """The text cut at inline marks, each alone; pinyin in brackets goes to the character before it."""
    stretch: list[Unit] = []
    done = 0
    for match in _INLINE.finditer(written):
        stretch += _raw(written, done, match.start())
        done = match.end()
        if match[1] in symbols.INLINE_MARKS:
            yield from filter(None, (stretch, [Unit(match[1], match.start())]))
            stretch = []
        else:
            if not stretch or stretch[-1].position != match.start() - 1 or not is_han(stretch[-1].text):
                raise UnspeakableText(
                    f"{match[0]} is no mark this voice knows; there are "
                    f"{', '.join(f'[{mark}]' for mark in symbols.INLINE_MARKS)}, "
                    "and pinyin directly behind a character, such as 行[hang2].",
                    match.start(),
                )
            stretch[-1] = stretch[-1]._replace(reading=_asked_reading(match))
    stretch += _raw(written, done, len(written))
    if stretch:
        yield stretch


def _asked_reading(match: re.Match[str]) -> pinyin.Syllable:
    spelled = match[1].lower().replace("u:", "v").replace("ü", "v")
    reading = pinyin.syllable(spelled)
    if not reading.tone or not phonemes.is_syllable(reading.spelling):
        raise UnspeakableText(
            f"{match[0]} is not a Mandarin syllable with its tone; write pinyin with a tone from 1 to 5, such as "
            "[hang2] or [lv4].",
            match.start(),
        )
    return reading


def _raw(written: str, start: int, end: int) -> Iterator[Unit]:
    """Single characters; what has no width is left out, 〇 is 零, and whatever no text should hold is refused."""
    for position in range(start, end):
        char = written[position]
        category = unicodedata.category(char)
        if category == "Cf" or "\ufe00" <= char <= "\ufe0f":
            continue
        if category in ("Cs", "Co", "Cn") or (category == "Cc" and not char.isspace()):
            raise UnspeakableText(f"The character U+{ord(char):04X} is not text and cannot be spoken.", position)
        yield Unit("零" if char == "〇" else char, position)


def is_han(char: str) -> bool:
    """Whether the character is a Chinese one, of any Unicode block."""
    return unicodedata.name(char, "").startswith(("CJK UNIFIED", "CJK COMPATIBILITY IDEOGRAPH"))


def _spoken(said: Sequence[Unit]) -> Iterator[Unit]:
    """Marks by table; a line's end is a full stop unless a mark stands there already; other white space is nothing."""
    last_is_mark = True
    index = 0
    while index < len(said):
        unit = said[index]
        index += 1
        mark = _MARKS.get(unit.text)
        if unit.text.isspace():
            if unit.text not in "\n\r\u2028\u2029" or last_is_mark or _rest_is_space(said, index):
                continue
            mark = "."
        elif mark == "." and [follower.text for follower in said[index : index + 2]] == [".", "."]:
            mark = "…"
            index += 2
        elif not mark and unit.text not in symbols.INLINE_MARKS and not is_han(unit.text):
            raise _unspeakable(said, index - 1)
        last_is_mark = bool(mark) or unit.text in symbols.INLINE_MARKS
        yield unit._replace(text=mark or unit.text)


def _rest_is_space(said: Sequence[Unit], start: int) -> bool:
    return all(unit.text.isspace() for unit in said[start:])


def _unspeakable(said: Sequence[Unit], start: int) -> UnspeakableText:
    first = said[start]
    if not first.text.isalpha():
        return UnspeakableText(
            f"{first.text!r} (U+{ord(first.text):04X}) cannot be spoken; leave it out or put it in Chinese characters.",
            first.position,
        )
    word = first.text
    for unit in said[start + 1 : start + 20]:
        if not unit.text.isalpha() or is_han(unit.text):
            break
        word += unit.text
    return UnspeakableText(
        f"{word!r} cannot be spoken: this voice reads Chinese only. Write it in Chinese characters.", first.position
    )
