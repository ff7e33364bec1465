"""The original's front end, its mistakes included: what the `as-original` profile means.

It reproduces Bert-VITS2 ZH-Clap character for character, so that a voice trained there can be fed here exactly what it
was trained on. Nothing in it is our opinion; our own reading of Chinese is in `normalise` and `sandhi`.
The sandhi rules go back to PaddleSpeech (Apache-2.0, see data/NOTICE).
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from kelong_speech.text import pinyin, segment, symbols, word_lists
from kelong_speech.text.utterance import UnspeakableText

_TOKEN: Final = re.compile(r"(?P<number>\d+(?:\.?\d+)?)|(?P<dots>\.\.\.)|.", re.DOTALL)
_DELETED: Final = re.compile(r"[^\u4e00-\u9fa5!?…,.'-]")
_AFTER_MARK: Final = re.compile(r"(?<=[!?…,.'-])\s*")
_MAPPED: Final = {
    "嗯": "恩",
    "呣": "母",
    **dict.fromkeys("：；，·、", ","),
    **dict.fromkeys("。\n$", "."),
    "！": "!",
    "？": "?",
    **dict.fromkeys('“”"‘’（）()《》【】[]「」', "'"),
    **dict.fromkeys("—～~", "-"),
}
_DIGITS: Final = "零一二三四五六七八九"
_MAX_DIGITS: Final = 16


def normalise(written: str) -> tuple[str, list[tuple[int, int]]]:
    """Numbers to characters, punctuation to the seven marks; everything else is deleted, as the original does.

    With the text comes the span [start, end) of the written text for each of its characters. A number of more than 16
    digits raises UnspeakableText.
    """
    spoken: list[str] = []
    spans: list[tuple[int, int]] = []
    for match in _TOKEN.finditer(written):
        text = _read_number(match) if match["number"] else "…" if match["dots"] else _MAPPED.get(match[0], match[0])
        kept = _DELETED.sub("", text)
        spoken.append(kept)
        spans += [match.span()] * len(kept)
    return "".join(spoken), spans


def _read_number(match: re.Match[str]) -> str:
    whole, _, decimals = match[0].partition(".")
    if len(whole) > _MAX_DIGITS:
        raise UnspeakableText(
            f"The number {match[0]} has {len(whole)} digits; at most {_MAX_DIGITS} can be read.", match.start()
        )
    spoken = cardinal(int(whole))
    if decimals:
        # The library the original used cuts decimals at the same number of digits as whole numbers.
        spoken += "点" + "".join(_DIGITS[unicodedata.digit(digit)] for digit in decimals[:_MAX_DIGITS])
    return spoken


def cardinal(number: int) -> str:
    """A whole number below 10**16 in characters: 1093 -> 一千零九十三, 15 -> 十五."""
    spoken = _cardinal(number)
    return spoken.removeprefix("一") if spoken.startswith("一十") else spoken


def _cardinal(number: int) -> str:
    if number < 10:
        return _DIGITS[number]
    unit, name = next((unit, name) for unit, name in _UNITS if number >= unit)
    high, low = divmod(number, unit)
    spoken = _cardinal(high) + name
    if low:
        spoken += ("零" if low < unit // 10 else "") + _cardinal(low)
    return spoken


_UNITS: Final = ((10**8, "亿"), (10**4, "万"), (1000, "千"), (100, "百"), (10, "十"))


def pieces(spoken: str) -> list[str]:
    """The normalised text cut after every mark, which stays with the piece it ends."""
    return [piece for piece in _AFTER_MARK.split(spoken) if piece.strip()]


@dataclass(frozen=True)
class PieceReader:
    """Reads one piece of normalised text."""

    segmenter: segment.Segmenter
    reader: pinyin.Reader

    def read(self, piece: str) -> list[pinyin.Syllable]:
        """The syllables of a piece, one per character, with the tones they are said in."""
        said: list[pinyin.Syllable] = []
        words = self._merged([word for word in self.segmenter.words(piece) if word.tag != "eng"])
        for word, syllables in zip(words, self.reader.read([word.text for word in words]), strict=True):
            tones = self._sandhi(word, [syllable.tone for syllable in syllables])
            said += (syllable._replace(tone=tone) for syllable, tone in zip(syllables, tones, strict=True))
        return said

    def _merged(self, words: list[segment.Word]) -> list[segment.Word]:
        words = _glue_bu(words)
        words = _glue_yi(words)
        words = _join_equal(words)
        words = self._join_thirds(words, lambda left, right: set(left) | set(right) == {3})
        words = self._join_thirds(words, lambda left, right: left[-1] == right[0] == 3)
        return _glue_er(words)

    def _join_thirds(
        self, words: list[segment.Word], fit: Callable[[list[int], list[int]], bool]
    ) -> list[segment.Word]:
        """Joins neighbours of at most three characters in all whose tones fit, each word at most once."""
        tones = [[syllable.tone for syllable in word] for word in self.reader.read([word.text for word in words])]
        joined: list[segment.Word] = []
        just_joined = False
        for index, word in enumerate(words):
            previous = words[index - 1] if index else None
            just_joined = (
                previous is not None
                and not just_joined
                and fit(tones[index - 1], tones[index])
                and not _is_reduplication(previous.text)
                and len(previous.text) + len(word.text) <= 3
            )
            if just_joined:
                joined[-1] = _glued(joined[-1], word)
            else:
                joined.append(word)
        return joined

    def _sandhi(self, word: segment.Word, tones: list[int]) -> list[int]:
        _bu(word.text, tones)
        _yi(word.text, tones)
        self._neutral(word, tones)
        self._thirds(word.text, tones)
        return tones

    def _neutral(self, word: segment.Word, tones: list[int]) -> None:
        text = word.text
        for index in range(1, len(text)):
            if (
                text[index] == text[index - 1]
                and word.tag[:1] in "nva"
                and text not in word_lists.words()["never_neutral_words"]
            ):
                tones[index] = 5
        place = _neutral_place(word)
        if place is not None:
            tones[place] = 5
        end = 0
        for half in self.segmenter.halves(text):
            end += len(half)
            if _is_listed(half):
                tones[end - 1] = 5

    def _thirds(self, text: str, tones: list[int]) -> None:
        if len(text) == 2 and tones == [3, 3]:
            tones[0] = 2
        elif len(text) == 3:
            cut = len(self.segmenter.halves(text)[0])
            if tones == [3, 3, 3]:
                tones[:2] = {2: [2, 2], 1: [3, 2]}.get(cut, tones[:2])
            elif tones[:2] == [3, 3] and cut == 2:
                tones[0] = 2
            elif tones[1:] == [3, 3] and cut == 1:
                tones[1] = 2
            elif 0 < cut < 3 and tones[cut - 1] == tones[cut] == 3 and set(tones[cut:]) != {3}:
                tones[cut - 1] = 2
        elif len(text) == 4:
            for start in (0, 2):
                if tones[start : start + 2] == [3, 3]:
                    tones[start] = 2


def _glued(left: segment.Word, right: segment.Word) -> segment.Word:
    return segment.Word(left.text + right.text, left.tag)


def _is_reduplication(text: str) -> bool:
    return len(text) == 2 and text[0] == text[1]


def _glue_bu(words: Sequence[segment.Word]) -> list[segment.Word]:
    """不 becomes part of the word after it; at the end of a piece it stays alone, as an adverb."""
    glued: list[segment.Word] = []
    pending = ""
    for word in words:
        text = pending + word.text
        pending = "不" if text == "不" else ""
        if not pending:
            glued.append(segment.Word(text, word.tag))
    return [*glued, segment.Word("不", "d")] if pending else glued


def _glue_yi(words: list[segment.Word]) -> list[segment.Word]:
    """X一X with a verb X becomes one word, then a lone 一 part of the word after it.

    The original looks the first X up by its place in the input although its output has become shorter by then: with
    two X一X in one piece that fails and the whole pass is given up.
    """
    doubled: list[segment.Word] = []
    index = 0
    while index < len(words):
        before, word = words[index - 1] if index else None, words[index]
        after = words[index + 1] if index + 1 < len(words) else None
        if before and after and word.text == "一" and before.text == after.text and before.tag == "v":
            if index - 1 >= len(doubled):
                return words
            doubled[index - 1] = segment.Word(f"{before.text}一{before.text}", before.tag)
            index += 2
        else:
            doubled.append(word)
            index += 1
    glued: list[segment.Word] = []
    for word in doubled:
        if glued and glued[-1].text == "一":
            glued[-1] = _glued(glued[-1], word)
        else:
            glued.append(word)
    return glued


def _join_equal(words: Sequence[segment.Word]) -> list[segment.Word]:
    joined: list[segment.Word] = []
    for word in words:
        if joined and joined[-1].text == word.text:
            joined[-1] = _glued(joined[-1], word)
        else:
            joined.append(word)
    return joined


def _glue_er(words: Sequence[segment.Word]) -> list[segment.Word]:
    glued: list[segment.Word] = []
    for word in words:
        if glued and word.text == "儿":
            glued[-1] = _glued(glued[-1], word)
        else:
            glued.append(word)
    return glued


def _bu(text: str, tones: list[int]) -> None:
    if len(text) == 3 and text[1] == "不":
        tones[1] = 5
        return
    for index, char in enumerate(text[:-1]):
        if char == "不" and tones[index + 1] == 4:
            tones[index] = 2


def _yi(text: str, tones: list[int]) -> None:
    if "一" not in text or all(char.isnumeric() for char in text if char != "一"):
        return
    if len(text) == 3 and text[1] == "一" and text[0] == text[2]:
        tones[1] = 5
    elif text.startswith("第一"):
        tones[1] = 1
    else:
        for index, char in enumerate(text[:-1]):
            if char != "一":
                continue
            if tones[index + 1] == 4:
                tones[index] = 2
            elif text[index + 1] not in symbols.MARKS:
                tones[index] = 4


def _is_listed(text: str) -> bool:
    listed = word_lists.words()["neutral_tone_words"]
    return text in listed or text[-2:] in listed


def _neutral_place(word: segment.Word) -> int | None:
    """The character that the first fitting rule makes neutral: the last one, or 个 where it stands."""
    text, tag, last = word.text, word.tag, len(word.text) - 1
    measure = text.find("个")
    if text[-1] in "吧呢啊呐噻嘛吖嗨呐哦哒额滴哩哟喽啰耶喔诶" or text[-1] in "的地得":
        return last
    if last and text[-1] in "们子" and tag in ("r", "n") and text not in word_lists.words()["never_neutral_words"]:
        return last
    if last and text[-1] in "上下里" and tag in ("s", "l", "f"):
        return last
    if last and text[-1] in "来去" and text[-2] in "上下进出回过起开":
        return last
    counted = measure > 0 and (text[measure - 1].isnumeric() or text[measure - 1] in "几有两半多各整每做是")
    if counted or text == "个":
        return measure
    return last if _is_listed(text) else None
