"""Written Chinese to an utterance: what the trainer, the server and the batch door all read texts with.

Nothing is loaded on import; the dictionaries are large: they are read at the first use and shared by
all threads and front ends. The same text and settings always give the same utterance. There is no limit on length
here: a caller that needs one sets its own.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from kelong_speech.text import (
    as_original,
    corrections,
    english,
    normalise,
    phonemes,
    phrases,
    pinyin,
    sandhi,
    segment,
    symbols,
)
from kelong_speech.text.corrections import BadLexicon, Lexicon
from kelong_speech.text.utterance import Ids, UnspeakableText, Utterance

if TYPE_CHECKING:
    from kelong_speech.text import polyphones

__all__ = ["BadLexicon", "FrontEnd", "Ids", "Lexicon", "Profile", "UnspeakableText", "Utterance", "analyse", "warm_up"]


class Profile(StrEnum):
    """Whose rules: ours, or those the original's base models and voices were trained with."""

    FIXED = "fixed"
    AS_ORIGINAL = "as-original"


class FrontEnd:
    """Reads texts by one profile, with a lexicon and a model for polyphones. Safe to use from several threads.

    `polyphones` None is the model that installs with the packages. `Profile.AS_ORIGINAL` uses neither lexicon nor
    model: it reads as the original did.
    """

    def __init__(
        self,
        profile: Profile = Profile.FIXED,
        *,
        lexicon: Lexicon = corrections.NOTHING,
        polyphones: "polyphones.PolyphoneModel | None" = None,
    ) -> None:
        self.profile = profile
        self._lexicon = lexicon
        self._polyphones = polyphones

    def analyse(self, text: str) -> Utterance:
        """The utterance for a written text.

        Raises UnspeakableText, with the position in `text`, when something in it cannot be said or when nothing is left
        to say. `Profile.AS_ORIGINAL` deletes what it does not know, as the original did, and also gives an empty
        utterance.
        """
        if self.profile is Profile.AS_ORIGINAL:
            return _as_original(text)
        units = normalise.units(text, self._lexicon)
        if all(unit.text in symbols.MARKS for unit in units):
            raise UnspeakableText("There is nothing to say: the text holds no word.", 0)
        return _compose(text, units, _said(units, self._polyphones or _bundled_polyphones()))

    @property
    def polyphone_identity(self) -> str:
        """Which polyphone model reads, for a voice's config; `none` where the profile uses none. Loads the model."""
        if self.profile is Profile.AS_ORIGINAL:
            return "none"
        return (self._polyphones or _bundled_polyphones()).identity

    def warm_up(self) -> None:
        """Loads what the first text would load, so that no request has to wait for it."""
        self.analyse("一" if self.profile is Profile.AS_ORIGINAL else "一5mi，OK")


def analyse(text: str, profile: Profile = Profile.FIXED, lexicon: Lexicon = corrections.NOTHING) -> Utterance:
    """`FrontEnd(profile, lexicon=lexicon).analyse(text)`."""
    return FrontEnd(profile, lexicon=lexicon).analyse(text)


def warm_up(profile: Profile = Profile.FIXED) -> None:
    """Loads what the first call of `analyse` would load."""
    FrontEnd(profile).warm_up()


T = TypeVar("T")


class _Once(Generic[T]):
    """Something that takes long to load: loaded once, by whoever needs it first."""

    def __init__(self, load: Callable[[], T]) -> None:
        self._load = load
        self._lock = threading.Lock()
        self._loaded: T | None = None

    def __call__(self) -> T:
        if self._loaded is None:
            with self._lock:
                if self._loaded is None:
                    self._loaded = self._load()
        return self._loaded


def _open_bundled() -> "polyphones.PolyphoneModel":
    from kelong_speech.text import polyphones  # it brings numpy

    return polyphones.open_model(None)


_segmenter: Final = _Once(segment.JiebaSegmenter)
_reader: Final = _Once(lambda: sandhi.PieceReader(_segmenter(), phrases.PhraseReader()))
_original_reader: Final = _Once(lambda: as_original.PieceReader(_segmenter(), pinyin.WordReader()))
_bundled_polyphones: Final = _Once(_open_bundled)

_MARKS: Final = frozenset(symbols.MARKS + symbols.INLINE_MARKS)
# Stands for a Latin word in the Chinese text around it; no dictionary has it.
_FOREIGN: Final = "\ue000"
_ZH: Final = symbols.LANGUAGE_IDS["ZH"]
_EN: Final = symbols.LANGUAGE_IDS["EN"]

_Said = tuple[pinyin.Syllable, ...]


def _as_original(written: str) -> Utterance:
    """The original's reading, with its mistakes."""
    spoken, spans = as_original.normalise(written)
    reader = _original_reader()
    said = [(syllable,) for piece in as_original.pieces(spoken) for syllable in reader.read(piece)]
    units = [normalise.Unit(char, start, end) for char, (start, end) in zip(spoken, spans, strict=True)]
    return _compose(written, units, said)


def _said(units: Sequence[normalise.Unit], model: "polyphones.PolyphoneModel") -> list[_Said]:
    """The syllables of each unit; a mark's is itself, and a Latin word, which is read elsewhere, has none."""
    chars = [_in_context(unit) for unit in units]
    context = "".join(chars)
    choices = model.choices(context)
    said: list[_Said] = [()] * len(units)
    begin = place = 0
    for first, last in _phrases(units):
        begin = place
        given: dict[int, pinyin.Syllable] = {}
        for index in range(first, last):
            given.update(enumerate(units[index].reading, place - begin))
            place += len(chars[index])
        if units[first].text in _MARKS:
            said[first] = (pinyin.Syllable(units[first].text, 0),)
            continue
        phrase = context[begin:place]
        if given or phrase.strip(_FOREIGN):
            syllables = iter(_reader().read(phrase, given, choices[begin:place]))
            for index in range(first, last):
                said[index] = tuple(next(syllables) for _ in chars[index])
    return said


def _in_context(unit: normalise.Unit) -> str:
    """What the unit is in the eyes of those who read Chinese in context: one character for each of its syllables."""
    if unit.reading:
        return unit.text if len(unit.text) == len(unit.reading) == 1 else _FOREIGN * len(unit.reading)
    if unit.text in symbols.INLINE_MARKS:
        return ","
    return _FOREIGN if unit.text.isascii() and unit.text.replace("'", "").isalpha() else unit.text.strip(" ")


def _phrases(units: Sequence[normalise.Unit]) -> Iterator[tuple[int, int]]:
    """Runs of units between marks, and each mark alone, as [first, last)."""
    first = 0
    for index, unit in enumerate(units):
        if unit.text in _MARKS and not unit.reading:
            if first < index:
                yield first, index
            yield index, index + 1
            first = index + 1
    if first < len(units):
        yield first, len(units)


def _compose(written: str, units: Sequence[normalise.Unit], said: Sequence[_Said]) -> Utterance:
    """Phones, tones and languages of all units, and `_` at both ends."""
    spoken: list[str] = []
    spans: list[tuple[int, int]] = []
    phones, tones, languages, word2ph = [symbols.PAD], [0], [_ZH], [1]
    for unit, syllables in zip(units, said, strict=True):
        if unit.text in symbols.INLINE_MARKS and not unit.reading:
            phones.append(unit.text)
            tones.append(0)
            languages.append(_ZH)
            word2ph[-1] += 1
            continue
        language, shares = _shares(unit, syllables)
        for share in shares:
            word2ph.append(len(share))
            for phone, tone in share:
                phones.append(phone)
                tones.append(tone)
                languages.append(language)
        spoken.append(unit.text)
        spans += [(unit.start, unit.end)] * len(unit.text)
    return Utterance(
        written=written,
        spoken="".join(spoken),
        phones=(*phones, symbols.PAD),
        tones=(*tones, 0),
        word2ph=(*word2ph, 1),
        language_ids=(*languages, _ZH),
        spans=tuple(spans),
    )


def _shares(unit: normalise.Unit, syllables: _Said) -> tuple[int, Sequence[Sequence[tuple[str, int]]]]:
    """The language of a unit, and the phones with their tones of each of its characters."""
    if unit.text == " ":
        return _ZH, [()]
    if not unit.reading and (not syllables or syllables[0].spelling == _FOREIGN):
        return _EN, english.read(unit.text)
    shares = [_phones(unit, syllable) for syllable in syllables]
    if len(shares) != len(unit.text) and unit.text not in _MARKS:
        return _ZH, english.deal([phone for share in shares for phone in share], len(unit.text))
    return _ZH, shares


def _phones(unit: normalise.Unit, syllable: pinyin.Syllable) -> Sequence[tuple[str, int]]:
    if syllable.spelling in _MARKS:
        return [(syllable.spelling, 0)]
    if not phonemes.is_sayable(syllable.spelling):
        raise UnspeakableText(
            f"The character {unit.text} has no reading this voice knows; write another, or its pinyin behind it, "
            f"such as {unit.text}[hang2].",
            unit.start,
        )
    return [(phone, syllable.tone) for phone in phonemes.phones(syllable.spelling)]
