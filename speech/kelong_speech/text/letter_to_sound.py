"""English words that no dictionary lists, by what their letters usually stand for.

Rules in the manner of Elovitz et al., Letter-to-Sound Rules for Automatic Translation of English Text to Phonetics
(1976), written anew for CMUdict's phones: the longest spelling that fits its surroundings is taken at each place. The
first full vowel has the main stress.
"""

import re
from functools import cache
from typing import Final

# spelling, what must stand before and after it (regular expressions), phones; tried in this order, longest first.
_RULES: Final = (
    ("tion", ".", "", "SH AH0 N"), ("sion", "[aeiou]", "", "ZH AH0 N"), ("sion", "", "", "SH AH0 N"),
    ("ture", ".", "$", "CH ER0"), ("ough", "", "t", "AO"), ("ough", "", "$", "OW"), ("ough", "", "", "AH F"),
    ("eigh", "", "", "EY"), ("igh", "", "", "AY"), ("augh", "", "", "AO"), ("tch", "", "", "CH"),
    ("sch", "^", "", "SH"), ("dge", "", "", "JH"), ("eau", "", "", "OW"), ("ck", "", "", "K"),
    ("ch", "", "[rl]", "K"), ("ch", "", "", "CH"), ("sh", "", "", "SH"), ("th", "", "", "TH"), ("ph", "", "", "F"),
    ("gh", "^", "", "G"), ("gh", "", "", ""), ("wh", "", "", "W"), ("wr", "^", "", "R"), ("kn", "^", "", "N"),
    ("gn", "^", "", "N"), ("ps", "^", "", "S"), ("qu", "", "", "K W"), ("ng", "", "$", "NG"),
    ("ng", "", "[aeiouy]", "NG G"), ("ng", "", "", "NG"), ("nk", "", "", "NG K"), ("mb", "", "$", "M"),
    ("sc", "", "[eiy]", "S"), ("zz", "", "", "Z"), ("zh", "", "", "ZH"), ("cc", "", "[eiy]", "K S"),
    ("ee", "", "", "IY"), ("ea", "", "", "IY"), ("oo", "", "k", "UH"), ("oo", "", "", "UW"), ("ai", "", "", "EY"),
    ("ay", "", "", "EY"), ("ei", "", "", "EY"), ("ey", "", "$", "IY"), ("ey", "", "", "EY"), ("au", "", "", "AO"),
    ("aw", "", "", "AO"), ("oa", "", "", "OW"), ("oi", "", "", "OY"), ("oy", "", "", "OY"), ("ou", "", "", "AW"),
    ("ow", "", "$", "OW"), ("ow", "", "", "AW"), ("ew", "", "", "UW"), ("ue", "", "$", "UW"), ("ui", "", "", "UW"),
    ("ie", "", "$", "IY"), ("ie", "", "", "IY"), ("oe", "", "$", "OW"), ("eu", "", "", "Y UW"),
    ("ia", "", "", "IY AH0"), ("io", "", "", "IY OW"), ("iu", "", "", "IY UW"), ("ua", "", "", "W AA"),
    ("uo", "", "", "W OW"), ("eo", "", "", "IY OW"), ("ao", "", "", "AW"), ("ae", "", "", "EY"),
    ("air", "", "", "EH R"), ("ear", "", "", "IH R"), ("eer", "", "", "IH R"), ("are", "", "$", "EH R"),
    ("ore", "", "$", "AO R"), ("ire", "", "$", "AY ER0"), ("ure", "", "$", "Y UH R"),
    ("ar", "", "[^aeiouy]|$", "AA R"), ("er", "", "[^aeiouy]|$", "ER0"), ("ir", "", "[^aeiouy]|$", "ER"),
    ("or", "", "[^aeiouy]|$", "AO R"), ("ur", "", "[^aeiouy]|$", "ER"), ("yr", "", "[^aeiouy]|$", "ER"),
    ("all", "", "", "AO L"), ("le", "[^aeiouy]", "$", "AH0 L"), ("es", "[sxz]|ch|sh", "$", "AH0 Z"),
    ("ed", "[td]", "$", "AH0 D"), ("ex", "^", "[aeiou]", "IH G Z"), ("a", "", "[^aeiouywxr]e$", "EY"),
    ("e", "", "[^aeiouywxr]e$", "IY"), ("i", "", "[^aeiouywxr]e$", "AY"), ("o", "", "[^aeiouywxr]e$", "OW"),
    ("u", "", "[^aeiouywxr]e$", "UW"), ("y", "", "[^aeiouywxr]e$", "AY"), ("e", "[aeiouy].*[^aeiouy]", "$", ""),
    ("e", "[aeiouy][^aeiouy]", "s$", ""), ("a", "", "$", "AH0"), ("e", "", "$", "IY"), ("i", "", "$", "IY"),
    ("o", "", "$", "OW"), ("u", "", "$", "UW"), ("y", "^[^aeiouy]+", "$", "AY"), ("y", "", "$", "IY"),
    ("y", "^", "", "Y"), ("y", "", "[aeiou]", "Y"), ("a", "", "", "AE"), ("e", "", "", "EH"), ("i", "", "", "IH"),
    ("o", "", "", "AA"), ("u", "", "", "AH"), ("y", "", "", "IH"), ("b", "", "", "B"), ("c", "", "[eiy]", "S"),
    ("c", "", "", "K"), ("d", "", "", "D"), ("f", "", "", "F"), ("g", "", "[eiy]", "JH"), ("g", "", "", "G"),
    ("h", "", "", "HH"), ("j", "", "", "JH"), ("k", "", "", "K"), ("l", "", "", "L"), ("m", "", "", "M"),
    ("n", "", "", "N"), ("p", "", "", "P"), ("q", "", "", "K"), ("r", "", "", "R"), ("s", "[aeiouy]", "e$", "Z"),
    ("s", "[bdgvlmnr]", "$", "Z"), ("s", "", "", "S"), ("t", "", "", "T"), ("v", "", "", "V"), ("w", "", "", "W"),
    ("x", "^", "", "Z"), ("x", "", "", "K S"), ("z", "", "", "Z"), ("'", "", "", ""),
)  # fmt: skip
_VOWELS: Final = frozenset(["AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW"])


@cache
def _compiled() -> dict[str, list[tuple[str, re.Pattern[str], re.Pattern[str], str]]]:
    rules: dict[str, list[tuple[str, re.Pattern[str], re.Pattern[str], str]]] = {}
    for spelling, before, after, phones in sorted(_RULES, key=lambda rule: -len(rule[0])):
        compiled = (spelling, re.compile(f"(?:{before})$"), re.compile(f"(?:{after})"), phones)
        rules.setdefault(spelling[0], []).append(compiled)
    return rules


def read(word: str) -> str:
    """CMUdict phones with stress for a word in small letters: `bert` is B ER0 T. Doubled consonants are said once."""
    said: list[str] = []
    place = 0
    while place < len(word):
        if place and word[place] == word[place - 1] and word[place] not in "aeiou":
            place += 1
            continue
        for spelling, before, after, phones in _compiled()[word[place]]:
            fits = word.startswith(spelling, place) and after.match(word[place + len(spelling) :])
            if fits and before.search(word[:place]):
                said += phones.split()
                place += len(spelling)
                break
    return _stressed(said) or "AH0"


def _stressed(said: list[str]) -> str:
    """The first full vowel has the main stress, the others none."""
    stress = "1"
    for place, phone in enumerate(said):
        if phone in _VOWELS:
            said[place] = phone + stress
            stress = "0"
    if stress == "1":  # only weak vowels, if any: the first bears it
        weak = next((place for place, phone in enumerate(said) if phone[-1] == "0"), None)
        if weak is not None:
            said[weak] = said[weak][:-1] + "1"
    return " ".join(said)
