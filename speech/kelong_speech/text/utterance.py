"""What the front end gives back: an utterance ready for the model, or the reason why a text cannot be spoken.

The trainer stores utterances with its clips as JSON and the server makes them from requests; both feed the model from
`Utterance.ids()`, so what was trained is what is said.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

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
    A pause or breath mark stands there as a comma, the nearest thing a text encoder knows; `phones` has its name.
    `phones`, `tones` and `word2ph` include the `_` at both ends; tones run from 0 to 5.
    """

    written: str
    spoken: str
    phones: tuple[str, ...]
    tones: tuple[int, ...]
    word2ph: tuple[int, ...]

    def __post_init__(self) -> None:
        unknown = sorted(set(self.phones) - symbols.SYMBOL_IDS.keys())
        faults = []
        if unknown:
            faults.append(f"phones {unknown} are not in the symbol table")
        if len(self.tones) != len(self.phones):
            faults.append(f"{len(self.phones)} phones have {len(self.tones)} tones")
        if sum(self.word2ph) != len(self.phones) or min(self.word2ph, default=0) < 1:
            faults.append(f"word2ph gives {sum(self.word2ph)} phones, there are {len(self.phones)}")
        if len(self.word2ph) != len(self.spoken) + 2:
            faults.append(f"{len(self.spoken)} spoken characters need {len(self.spoken) + 2} word2ph entries")
        if not all(0 <= tone < symbols.TONE_COUNTS["ZH"] for tone in self.tones):
            faults.append(f"tones must be 0 to 5, got {sorted(set(self.tones))}")
        if self.phones[:1] != (symbols.PAD,) or self.phones[-1:] != (symbols.PAD,) or len(self.phones) < 2:
            faults.append(f"phones must begin and end with {symbols.PAD!r}")
        if faults:
            raise ValueError(f"The utterance {self.written!r} does not fit together: {'; '.join(faults)}.")

    @classmethod
    def from_phones(
        cls, *, written: str, spoken: str, phones: Sequence[str], tones: Sequence[int], word2ph: Sequence[int]
    ) -> Self:
        """An utterance from phones someone else chose (a corrected label, a lexicon); raises ValueError if unfit."""
        return cls(written=written, spoken=spoken, phones=tuple(phones), tones=tuple(tones), word2ph=tuple(word2ph))

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """The utterance that `to_json` wrote; a missing, extra or ill-fitting field raises ValueError naming it."""
        fields = set(cls.__dataclass_fields__)
        if document.keys() != fields:
            wrong = sorted(fields ^ document.keys())
            raise ValueError(f"An utterance has the fields {sorted(fields)}; {wrong} are missing or unknown.")
        return cls.from_phones(**document)

    def to_json(self) -> dict[str, Any]:
        """Plain strings and lists, for a JSON file."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    def ids(self) -> Ids:
        """The model's inputs, blanks inserted. Language is Chinese throughout; the blanks' language is 0, also ZH."""
        language = symbols.LANGUAGE_IDS["ZH"]
        offset = symbols.TONE_OFFSETS["ZH"]
        return Ids(
            phone_ids=insert_blanks([symbols.SYMBOL_IDS[phone] for phone in self.phones]),
            tone_ids=insert_blanks([tone + offset for tone in self.tones]),
            language_ids=insert_blanks([language] * len(self.phones)),
            word2ph=blanked_word2ph(self.word2ph),
        )
