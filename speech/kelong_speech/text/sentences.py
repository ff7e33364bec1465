"""Spoken text as polyphone models are shown it: in sentences, with the marks of written Chinese."""

from typing import Final

# The marks of spoken text as the sentences were written that the models have seen.
_WRITTEN_MARKS: Final = str.maketrans({",": "，", ".": "。", "?": "？", "!": "！", "-": "—", "'": "“"})
_LONGEST: Final = 200  # characters


def as_written(text: str) -> str:
    """A spoken text with the marks of written Chinese, which models were taught on; of the same length."""
    return text.translate(_WRITTEN_MARKS)


def places(text: str) -> list[tuple[int, int]]:
    """Where sentences begin and end, none longer than 200 characters: what a model is shown at a time."""
    found: list[tuple[int, int]] = []
    start = 0
    for place, char in enumerate(text):
        if char in "。！？…" or place + 1 - start == _LONGEST or place + 1 == len(text):
            found.append((start, place + 1))
            start = place + 1
    return found
