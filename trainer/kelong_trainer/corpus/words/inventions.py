"""Words that a recogniser writes though nobody says them: what it is told, what it learnt from subtitles, what loops.

Called by the transcribe stage; pure. A word is dropped only where the voice activity detector contradicts it: people do
say 谢谢观看 at the end of a film.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from kelong_contract.corpora import Stretch, Word

from kelong_trainer.corpus.words import recogniser

VERSION = 1  # raise when other words than before would be dropped
# A word this far from all speech was said by nobody. Word times are off by 0.18 s (p90), more beside long pauses.
FAR_S = 0.75
# Sure enough that nobody speaks to disbelieve a phrase that subtitles are full of, and to disbelieve everything. Of
# speech the recogniser says at most 0.45 in the middle of sentences, of noise and chords 0.92 and more.
SILENT = 0.6
SURELY_SILENT = 0.85
LEAST_S_PER_CHARACTER = 0.08

# What films and channels end with, and who made their subtitles: Whisper writes it over music and noise.
_CREDITS = re.compile(
    "|".join(
        (
            r"(?:中文)?字幕(?:由|志愿者|製作|制作|提供|组|by|BY|By)[^。，！？]{0,20}",
            r"由?\s*Amara\.?org[^。，！？]{0,12}",
            r"请不吝点赞[^。！？]{0,30}",
            r"打赏支持[^。！？]{0,20}",
            r"明镜(?:与|和)点点栏目?",
            r"(?:感谢|谢谢|多谢)(?:大家|您|你|你们|各位)?(?:的)?(?:观看|收看|收听)",
            r"(?:请|记得|别忘了)?(?:点赞|订阅|转发)[，、 ]?(?:点赞|订阅|转发)[^。！？]{0,10}",
            r"优优独播剧场[^。！？]{0,20}",
            r"我们下(?:期|次)(?:节目|视频)?再见",
            r"(?:词曲|作词|作曲|编曲|词|曲)[ :：]\s*[^。，！？]{1,8}",
        )
    )
)


def believed(words: Sequence[Word], speech: Sequence[Stretch], silence: float) -> tuple[Word, ...]:
    """The words that somebody may have said, in their order; times of words and speech count alike.

    `silence` is how sure the recogniser is that nobody speaks in all of them, 0 to 1.
    """
    if silence > SURELY_SILENT:
        return ()
    near = [word for word in words if _distance_s(word, speech) <= FAR_S]
    text = "".join(word.text for word in near)
    starts = [0]
    for word in near:
        starts.append(starts[-1] + len(word.text))
    dropped: set[int] = set()
    for first, last in _phrases(text):
        touched = [index for index in range(len(near)) if starts[index] < last and starts[index + 1] > first]
        if text[first:last] in recogniser.PROMPT or _is_unsaid([near[index] for index in touched], speech, silence):
            dropped.update(touched)
    return tuple(word for index, word in enumerate(near) if index not in dropped)


def _phrases(text: str) -> list[tuple[int, int]]:
    prompt = recogniser.PROMPT.strip("。")
    echoes = [match.span() for match in re.finditer(re.escape(prompt), text)]
    return echoes + [match.span() for match in _CREDITS.finditer(text)]


def _is_unsaid(words: Sequence[Word], speech: Sequence[Stretch], silence: float) -> bool:
    if silence > SILENT:
        return True
    start_s, end_s = words[0].start_s - FAR_S / 2, words[-1].end_s + FAR_S / 2
    spoken_s = sum(max(0.0, min(item.end_s, end_s) - max(item.start_s, start_s)) for item in speech)
    return spoken_s < LEAST_S_PER_CHARACTER * sum(len(word.text) for word in words)


def _distance_s(word: Word, speech: Sequence[Stretch]) -> float:
    middle_s = (word.start_s + word.end_s) / 2
    gaps_s = (max(item.start_s - middle_s, middle_s - item.end_s, 0.0) for item in speech)
    return min(gaps_s, default=float("inf"))
