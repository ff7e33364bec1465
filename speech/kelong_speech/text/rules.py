"""What the tables of reading rules are made of: a pattern, and what is said for it.

A rule's pattern is tried where a digit, a Latin letter or a sign stands; the first rule that answers has the whole
match. Rules see the text around the match, because a number's company decides how it is read.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

NUMBER: Final = r"(?:\d{1,3}(?:,\d{3})+(?!\d)|\d+)(?:\.\d+)?"
"""A quantity: 12, 12.5, 1,234.56. The separator of thousands must part off three digits each time."""

TO: Final = r" ?(?:-|–|—|~|～|〜|−) ?"
"""What stands between the two ends of a range, in signs."""

TO_OR_WORD: Final = rf"({TO}|[至到])"
"""The same in signs or in words, as a group for `to`."""

END: Final = r"(?![\dA-Za-z.]*\d)"
"""No more of a number follows."""


class Rule(NamedTuple):
    """`say` gets the match and answers with what is said, or None when the rule does not apply after all."""

    pattern: re.Pattern[str]
    say: Callable[[re.Match[str]], str | None]


def rule(pattern: str) -> Callable[[Callable[[re.Match[str]], str | None]], Rule]:
    """Makes a rule of a function: its pattern, in which a space stands for itself."""
    compiled = re.compile(pattern, re.ASCII)
    return lambda say: Rule(compiled, say)


def before(match: re.Match[str], length: int = 12) -> str:
    """The text that leads up to the match."""
    return match.string[max(0, match.start() - length) : match.start()]


def after(match: re.Match[str], length: int = 12) -> str:
    """The text that follows the match."""
    return match.string[match.end() : match.end() + length]


def to(link: str) -> str:
    """What is said between the ends of a range: the word that is written, 到 for a sign."""
    return "至" if link == "至" else "到"


def table(pairs: str) -> dict[str, str]:
    """A sign and its reading, a sign and its reading, and so on, between white space."""
    words = pairs.split()
    return dict(zip(words[::2], words[1::2], strict=True))


def words(listed: str) -> list[str]:
    """Words listed between white space."""
    return listed.split()
