"""What the front end gives back: an utterance ready for the model, or the reason why a text cannot be spoken.

The trainer makes utterances of its clips' texts and the server of requests; both feed the model from `Utterance.ids()`,
so what was trained is what is said.
"""

import bisect
import dataclasses
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

from kelong_speech.text import symbols


class UnspeakableText(ValueError):
    """A text, or one place in it, that no phones stand for.

    `message` is a sentence for whoever wrote the text; `position` counts characters of the written text from 0.
    """

    def __init__(self, message: str, position: int):
        super().__init__(message)
        self.message = message
        self.position = position

    def __reduce__(self) -> tuple[type[Self], tuple[str, int]]:
        return type(self), (self.message, self.position)


@dataclass(frozen=True, kw_only=True)
class Ids:
    """The model's integer inputs, blanks inserted: n phones became 2n+1 of each of the first three.

    `word2ph` says how many of them each spoken character has, in order, the two edges included; its sum is 2n+1.
    """

    phone_ids: tuple[int, ...]
    tone_ids: tuple[int, ...]
    language_ids: tuple[int, ...]
    word2ph: tuple[int, ...]


def insert_blanks(ids: Sequence[int]) -> tuple[int, ...]:
    """The blank rule: id 0 before, between and after all items. The only place it is written."""
    blanked = [0] * (2 * len(ids) + 1)
    blanked[1::2] = ids
    return tuple(blanked)


def blanked_word2ph(word2ph: Sequence[int]) -> tuple[int, ...]:
    """The blank rule seen from the characters: each has its phones and as many blanks, the first edge one more."""
    return (2 * word2ph[0] + 1, *(2 * count for count in word2ph[1:]))


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One text as the model reads it.

    `spoken` holds one character for every entry of `word2ph` but the two edges: it is what the text encoder is fed.
    A pause or breath mark is nothing that is written: its phone belongs to the character, mark or edge before it, and
    the text encoder reads on as if there were none.
    A Latin word stands there in its letters, which share its phones in order, so some of them have none; a space of no
    phones parts it from the next one.

    `phones`, `tones`, `language_ids` and `word2ph` include the `_` at both ends. Tones count within their language:
    0 to 5 for Chinese, 0 to 3 for English.

    `spans` says for each spoken character which part of `written` it was read from, as [start, end). Characters read
    from one thing together, such as those of a number, have the same span; otherwise each begins where the one before
    it ended, or later. Only white space, characters without width, marks in brackets and what `as-original` deletes lie
    in no span.
    """

    written: str
    spoken: str
    phones: tuple[str, ...]
    tones: tuple[int, ...]
    word2ph: tuple[int, ...]
    language_ids: tuple[int, ...]
    spans: tuple[tuple[int, int], ...]

    def __post_init__(self) -> None:
        faults = [*self._phone_faults(), *self._span_faults()]
        if faults:
            raise ValueError(f"The utterance {self.written!r} does not fit together: {'; '.join(faults)}.")

    def _phone_faults(self) -> Iterator[str]:
        if not symbols.SYMBOL_IDS.keys() >= set(self.phones):
            yield f"phones {sorted(set(self.phones) - symbols.SYMBOL_IDS.keys())} are not in the symbol table"
        if len(self.tones) != len(self.phones):
            yield f"{len(self.phones)} phones have {len(self.tones)} tones"
        if len(self.language_ids) != len(self.phones):
            yield f"{len(self.phones)} phones have {len(self.language_ids)} languages"
        if sum(self.word2ph) != len(self.phones) or min(self.word2ph, default=-1) < 0:
            yield f"word2ph gives {sum(self.word2ph)} phones, there are {len(self.phones)}"
        if len(self.word2ph) != len(self.spoken) + 2:
            yield f"{len(self.spoken)} spoken characters need {len(self.spoken) + 2} word2ph entries"
        said = set(zip(self.language_ids, self.tones, strict=False))
        if not said <= _TONES:
            yield f"tones must be 0 to 5, or 0 to 3 in English, got language and tone {sorted(said - _TONES)}"
        if self.phones[:1] != (symbols.PAD,) or self.phones[-1:] != (symbols.PAD,) or len(self.phones) < 2:
            yield f"phones must begin and end with {symbols.PAD!r}"

    def _span_faults(self) -> Iterator[str]:
        if len(self.spans) != len(self.spoken):
            yield f"{len(self.spoken)} spoken characters have {len(self.spans)} spans"
        before = (0, 0)
        for span in self.spans:
            if span != before and not before[1] <= span[0] < span[1] <= len(self.written):
                yield f"the span {span} after {before} is empty, goes back or leaves the text"
            before = span

    @classmethod
    def from_phones(
        cls,
        *,
        written: str,
        spoken: str,
        phones: Sequence[str],
        tones: Sequence[int],
        word2ph: Sequence[int],
        language_ids: Sequence[int] = (),
        spans: Sequence[Sequence[int]] = (),
    ) -> Self:
        """An utterance from phones someone else chose (a corrected label, a lexicon); raises ValueError if unfit.

        Without languages all is Chinese; without spans each character may come from anywhere in the text.
        """
        return cls(
            written=written,
            spoken=spoken,
            phones=tuple(phones),
            tones=tuple(tones),
            word2ph=tuple(word2ph),
            language_ids=tuple(language_ids) or (symbols.LANGUAGE_IDS["ZH"],) * len(phones),
            spans=tuple((start, end) for start, end in spans) or ((0, len(written)),) * len(spoken),
        )

    def with_marks(self, marks: Iterable[tuple[str, int]]) -> Self:
        """The utterance with pauses and breaths in it: names of marks, each after so many characters of `written`.

        A mark inside of what is read together, such as a number, comes after it. Marks after the same character keep
        their order. Raises ValueError for a name that is no mark's.
        """
        added: list[list[str]] = [[] for _ in self.word2ph]
        starts = [start for start, _ in self.spans]
        for name, after in marks:
            if name not in symbols.INLINE_MARKS:
                raise ValueError(f"{name!r} is no mark, expected one of {', '.join(symbols.INLINE_MARKS)}")
            added[bisect.bisect_left(starts, after)].append(name)
        phones, tones, languages = list[str](), list[int](), list[int]()
        position = 0
        for count, names in zip(self.word2ph, added, strict=True):
            phones += [*self.phones[position : position + count], *names]
            tones += [*self.tones[position : position + count], *(0 for _ in names)]
            languages += [*self.language_ids[position : position + count], *(_CHINESE for _ in names)]
            position += count
        counts = (count + len(names) for count, names in zip(self.word2ph, added, strict=True))
        return dataclasses.replace(
            self, phones=tuple(phones), tones=tuple(tones), word2ph=tuple(counts), language_ids=tuple(languages)
        )

    def ids(self) -> Ids:
        """The model's inputs, blanks inserted. A blank's language is 0, Chinese."""
        tones = zip(self.tones, self.language_ids, strict=True)
        return Ids(
            phone_ids=insert_blanks([symbols.SYMBOL_IDS[phone] for phone in self.phones]),
            tone_ids=insert_blanks([tone + _OFFSETS[language] for tone, language in tones]),
            language_ids=insert_blanks(self.language_ids),
            word2ph=blanked_word2ph(self.word2ph),
        )


_CHINESE: Final = symbols.LANGUAGE_IDS["ZH"]
_OFFSETS: Final = {number: symbols.TONE_OFFSETS[name] for name, number in symbols.LANGUAGE_IDS.items()}
_TONES: Final = frozenset(
    (number, tone) for name, number in symbols.LANGUAGE_IDS.items() for tone in range(symbols.TONE_COUNTS[name])
)
