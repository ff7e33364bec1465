"""Written Chinese to an utterance: the one function that the trainer, the server and the batch door call.

Nothing is loaded on import; the dictionaries (220 MB, about three seconds) are read at the first call and shared by
all threads. The same text and profile always give the same utterance. There is no limit on length here: a caller that
needs one sets its own.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import Final

from kelong_speech.text import as_original, normalise, phonemes, pinyin, sandhi, segment, symbols
from kelong_speech.text.utterance import Ids, UnspeakableText, Utterance

__all__ = ["Ids", "Profile", "UnspeakableText", "Utterance", "analyse", "warm_up"]


class Profile(StrEnum):
    """Whose rules: ours, or those the original's base models and voices were trained with."""

    FIXED = "fixed"
    AS_ORIGINAL = "as-original"


def analyse(text: str, profile: Profile = Profile.FIXED) -> Utterance:
    """The utterance for a written text.

    Raises UnspeakableText, with the position in `text`, when something in it cannot be said or when nothing is left to
    say. `Profile.AS_ORIGINAL` deletes what it does not know, as the original did, and also gives an empty utterance.
    Safe to call from several threads.
    """
    return _front_end.analyser(profile)(text)


def warm_up(profile: Profile = Profile.FIXED) -> None:
    """Loads what the first call would load, so that no request has to wait for it."""
    _front_end.analyser(profile)


class _FrontEnd:
    """Owns the dictionaries: each is loaded once, by whoever needs it first."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._segmenter: segment.Segmenter | None = None
        self._analysers: dict[Profile, Callable[[str], Utterance]] = {}

    def analyser(self, profile: Profile) -> Callable[[str], Utterance]:
        analyser = self._analysers.get(profile)
        if analyser:
            return analyser
        with self._lock:
            if profile not in self._analysers:
                self._segmenter = self._segmenter or segment.JiebaSegmenter()
                self._analysers[profile] = _ANALYSERS[profile](self._segmenter)
            return self._analysers[profile]


class _Fixed:
    """Our own reading."""

    def __init__(self, segmenter: segment.Segmenter) -> None:
        self._normaliser = normalise.Normaliser()
        self._reader = sandhi.PieceReader(segmenter, pinyin.PhraseReader())

    def __call__(self, written: str) -> Utterance:
        units = self._normaliser.units(written)
        if all(unit.text in symbols.MARKS for unit in units):
            raise UnspeakableText("There is nothing to say: the text holds no Chinese character.", 0)
        said: list[pinyin.Syllable] = []
        for phrase in _phrases(units):
            if phrase[0].text in _ALL_MARKS:
                said.append(pinyin.Syllable(phrase[0].text, 0))
                continue
            given = {place: unit.reading for place, unit in enumerate(phrase) if unit.reading}
            said += self._reader.read("".join(unit.text for unit in phrase), given)
        spoken = "".join("," if unit.text in symbols.INLINE_MARKS else unit.text for unit in units)
        return _utterance(written, spoken, said, [unit.position for unit in units])


class _AsOriginal:
    """The original's reading, with its mistakes."""

    def __init__(self, segmenter: segment.Segmenter) -> None:
        self._reader = as_original.PieceReader(segmenter, pinyin.WordReader())

    def __call__(self, written: str) -> Utterance:
        spoken = as_original.normalise(written)
        said = [syllable for piece in as_original.pieces(spoken) for syllable in self._reader.read(piece)]
        # The original keeps no places; the first character of that kind in the written text is the best there is.
        return _utterance(written, spoken, said, [max(written.find(char), 0) for char in spoken])


_ANALYSERS: Final[dict[Profile, Callable[[segment.Segmenter], Callable[[str], Utterance]]]] = {
    Profile.FIXED: _Fixed,
    Profile.AS_ORIGINAL: _AsOriginal,
}
_ALL_MARKS: Final = frozenset(symbols.MARKS + symbols.INLINE_MARKS)


def _phrases(units: Sequence[normalise.Unit]) -> Iterator[list[normalise.Unit]]:
    """Runs of characters, and each mark alone."""
    phrase: list[normalise.Unit] = []
    for unit in units:
        if unit.text in _ALL_MARKS:
            yield from filter(None, (phrase, [unit]))
            phrase = []
        else:
            phrase.append(unit)
    if phrase:
        yield phrase


def _utterance(written: str, spoken: str, said: Sequence[pinyin.Syllable], positions: Sequence[int]) -> Utterance:
    """Phones and tones of the syllables: two for each, one for a mark, and `_` at both ends."""
    phones, tones, word2ph = [symbols.PAD], [0], [1]
    for char, syllable, position in zip(spoken, said, positions, strict=True):
        if syllable.spelling in _ALL_MARKS:
            phones.append(syllable.spelling)
            tones.append(0)
            word2ph.append(1)
        elif phonemes.is_syllable(syllable.spelling):
            phones += phonemes.phones(syllable.spelling)
            tones += [syllable.tone] * 2
            word2ph.append(2)
        else:
            raise UnspeakableText(
                f"The character {char} has no reading this voice knows; write another, or its pinyin behind it, "
                f"such as {char}[hang2].",
                position,
            )
    return Utterance.from_phones(
        written=written,
        spoken=spoken,
        phones=[*phones, symbols.PAD],
        tones=[*tones, 0],
        word2ph=[*word2ph, 1],
    )


_front_end = _FrontEnd()
