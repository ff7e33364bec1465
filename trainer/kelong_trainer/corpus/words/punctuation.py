"""Puts marks where a recogniser left them out: from pauses, sentence particles and conjunctions.

Called by the transcribe stage; pure. A recogniser hears most marks. One that it left out costs a voice the fall of a
sentence's end: so a longer pause gets a mark, and a conjunction after a long clause does without any pause. The pauses
themselves are kept elsewhere: a mark does not say that anybody paused.
"""

from __future__ import annotations

import dataclasses
import itertools
import re
from collections.abc import Sequence

from kelong_contract.corpora import Stretch, Word

VERSION = 2  # raise when the same words would get other marks than before
FULL_STOP_S = 0.6
COMMA_S = 0.25
# After a sentence particle a shorter pause ends the sentence; before a conjunction one that is hardly heard parts it.
PARTICLE_STOP_S = 0.45
CONJUNCTION_S = 0.12
# A clause this long takes a comma before a conjunction though nobody paused, if this much follows.
LONG_CLAUSE, LEAST_AFTER = 10, 4
# A pause belongs to the boundary of words that is nearest to its middle, at most this far: word times are that wrong.
REACH_S = 0.35

_MARKS = "，。？！、；：…—,.?!;:"
_PARTICLES = tuple("了吧啊呀嘛呢吗哦啦")
_CONJUNCTIONS = (
    *("但是", "可是", "不过", "然而", "所以", "因此", "于是", "因为", "由于", "而且", "并且", "如果", "要是", "假如"),
    *("虽然", "尽管", "否则", "不然", "然后", "接着", "结果", "只要", "只有", "除非", "即使", "哪怕", "既然", "无论"),
)
_QUESTION_WORDS = re.compile(
    "什么|怎么|为何|哪|谁|几|多少|多久|多大|是不是|有没有|能不能|会不会|要不要|好不好|可不可以"
)
_QUESTION = re.compile("(?:吗|怎么样|好不好|对不对|是不是|行不行|可以吗)$")
_HAN = re.compile(r"[㐀-鿿]")


def restored(words: Sequence[Word], speech: Sequence[Stretch]) -> tuple[Word, ...]:
    """The words with the marks that were missing; `speech` is where the voice activity detector hears somebody."""
    pauses_s = _pauses_s(words, speech)
    marked: list[Word] = []
    clause = ""
    for index, word in enumerate(words):
        text = word.text.strip() if _HAN.match(word.text.strip()) else word.text
        clause += text
        is_last = index + 1 == len(words)
        following = "" if is_last else "".join(item.text for item in words[index + 1 : index + 13])
        if text and text[-1] not in _MARKS and following.lstrip()[:1] not in tuple(_MARKS):
            text += _mark(clause, "" if is_last else following, FULL_STOP_S if is_last else pauses_s[index])
        if text[-1:] in _MARKS:
            clause = ""
        marked.append(dataclasses.replace(word, text=text))
    return tuple(marked)


def is_marked(word: Word) -> bool:
    """Whether a mark stands behind a word."""
    return word.text.rstrip().endswith(tuple(_MARKS))


def _mark(clause: str, following: str, pause_s: float) -> str:
    """The mark after a clause, or none. A space is how some recognisers write that a clause ends."""
    if pause_s >= FULL_STOP_S or (pause_s >= PARTICLE_STOP_S and clause.endswith(_PARTICLES)):
        return _end(clause)
    if pause_s >= COMMA_S or (following.startswith(" ") and _HAN.match(following.strip()) is not None):
        return "，"
    if following.strip().startswith(_CONJUNCTIONS):
        rest = re.split(f"[{_MARKS}]", following.strip(), maxsplit=1)[0]
        if pause_s >= CONJUNCTION_S or (len(clause) >= LONG_CLAUSE and len(rest) >= LEAST_AFTER):
            return "，"
    return ""


def _end(clause: str) -> str:
    asks = _QUESTION.search(clause) is not None
    asks = asks or (clause.endswith(("呢", "呀", "啊")) and _QUESTION_WORDS.search(clause) is not None)
    return "？" if asks else "。"


def _pauses_s(words: Sequence[Word], speech: Sequence[Stretch]) -> list[float]:
    """How long nobody speaks after each word but the last: every pause is given to one boundary of words."""
    boundaries = [(left.end_s + right.start_s) / 2 for left, right in itertools.pairwise(words)]
    pauses_s = [0.0] * len(boundaries)
    index = 0
    for left, right in itertools.pairwise(speech):
        middle_s = (left.end_s + right.start_s) / 2
        while index + 1 < len(boundaries) and abs(boundaries[index + 1] - middle_s) <= abs(
            boundaries[index] - middle_s
        ):
            index += 1
        reach_s = max(REACH_S, (right.start_s - left.end_s) / 2)
        if boundaries and abs(boundaries[index] - middle_s) <= reach_s:
            pauses_s[index] = max(pauses_s[index], right.start_s - left.end_s)
    return pauses_s
