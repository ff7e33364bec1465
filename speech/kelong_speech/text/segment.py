"""Words and their parts of speech, from jieba behind an interface.

jieba writes a cache into the shared temporary folder, logs to stderr and warns on import; none of that happens here:
the dictionary is read once, in memory, when the segmenter is made.
"""

import logging
import warnings
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from kelong_speech.text import tagging


class Word(NamedTuple):
    """A word with its part of speech in ICTCLAS letters: n noun, v verb, r pronoun, m numeral, ..."""

    text: str
    tag: str


class Segmenter(Protocol):
    """Cuts text into words; safe to use from several threads."""

    def words(self, text: str) -> Sequence[Word]:
        """The words of a text, in order; joined they give the text again."""

    def halves(self, word: str) -> tuple[str, str]:
        """A word cut in two at its shortest inner word; the second part is empty if it has none."""


class JiebaSegmenter:
    """jieba 0.42 with its own dictionary and hidden Markov model for unknown words."""

    def __init__(self) -> None:
        with warnings.catch_warnings():
            # Invalid escapes in jieba's source and its use of pkg_resources; neither concerns us.
            warnings.simplefilter("ignore")
            import jieba
            import jieba.posseg
        logger = logging.getLogger("jieba")
        logger.removeHandler(jieba.log_console)
        logger.setLevel(logging.WARNING)
        # jieba.posseg has loaded one table of tags for jieba's default tokenizer on import; a second copy costs 100 MB.
        tokenizer: Any = jieba.dt
        with tokenizer.lock:
            if not tokenizer.initialized:
                # What `initialize` does, without a cache file that anyone on the machine could have put there.
                tokenizer.FREQ, tokenizer.total = tokenizer.gen_pfdict(tokenizer.get_dict_file())
                tokenizer.initialized = True
        self._tokenizer = tokenizer
        self._tagger: Any = tagging.of_jieba(jieba.posseg)

    def words(self, text: str) -> list[Word]:
        """The words of a text with their tags."""
        return [Word(pair.word, pair.flag) for pair in self._tagger.cut(text)]

    def halves(self, word: str) -> tuple[str, str]:
        """A word cut at the shortest word that jieba's search mode finds in it."""
        shortest = min(self._tokenizer.cut_for_search(word), key=len)
        if word.startswith(shortest):
            return shortest, word[len(shortest) :]
        return word[: -len(shortest)], shortest
