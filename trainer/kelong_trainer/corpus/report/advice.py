"""What a person can do to get more, or better, out of their recordings: a few sentences, the most useful first.

Pure: a corpus in, sentences out. They stand in status and on the report's page.
"""

from __future__ import annotations

import collections
import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from kelong_contract import corpora

from kelong_trainer.scoring import held_out

NAMED = 3  # recordings in a sentence; the page's table has them all
LEAST_S = 10.0  # what is worth a sentence
LITTLE_S = 600.0  # below this a voice lacks sounds; people are told to bring 30 to 60 minutes
MOSTLY = 0.5  # a recording of which this share is somebody else's is better taken away whole
NOISY_FLOOR_DBFS = -45.0  # a quiet room is at -60; at -45 a fan or a street is heard in every pause
NARROW_RATE_HZ = 22_050  # holds nothing above 11 kHz; a voice sounds dull long before telephone quality
DAMAGED_PACKETS = 1
GATED_SPEECH_S = 300.0  # in so much speech anybody breathes, unless a gate or a denoiser took it away
GATED_BREATHS_PER_MINUTE = 0.5
DOUBTFUL_SHARE = 0.2  # of the clips with grade C
READ_ALOUD = 0.7
WEIGHTY = 1e9  # for what comes first however few seconds it is about


@dataclass(frozen=True, kw_only=True)
class Advice:
    """One piece of advice in both languages. `weight` is how many seconds it is about, or what puts it first."""

    chinese: str
    english: str
    weight: float


def advise(corpus: corpora.Corpus) -> tuple[Advice, ...]:
    """What to do about the corpus, by the seconds that it is about."""
    found: list[Advice] = []
    for rule in _RULES:
        found += rule(corpus)
    found.sort(key=lambda advice: -advice.weight)
    return tuple(found)


def folder(corpus: corpora.Corpus) -> str:
    """The folder that all recordings lie in, with its last slash; empty where they share none."""
    folders = (recording.key.split("/")[:-1] for recording in corpus.recordings)
    levels = itertools.takewhile(lambda names: len(set(names)) == 1, zip(*folders, strict=False))
    return "".join(f"{names[0]}/" for names in levels)


def short_names(corpus: corpora.Corpus) -> dict[str, str]:
    """What people call the recordings: their keys without the folder that all of them lie in."""
    shared = folder(corpus)
    return {recording.key: recording.key.removeprefix(shared) for recording in corpus.recordings}


def amount(seconds: float) -> tuple[str, str]:
    """Seconds as people say them, in Chinese and in English."""
    if seconds < 99.5:
        return f"{seconds:.0f} 秒", f"{seconds:.0f} seconds"
    if seconds < 7200:
        return f"{seconds / 60:.0f} 分钟", f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} 小时", f"{seconds / 3600:.1f} hours"


def _lost(corpus: corpora.Corpus, *reasons: str) -> dict[str, float]:
    """The seconds of each recording that are left out for one of the reasons, most first."""
    seconds: dict[str, float] = collections.defaultdict(float)
    for item in corpus.rejections:
        if item.reason in reasons:
            seconds[item.recording] += item.duration_s
    return dict(sorted(seconds.items(), key=lambda pair: -pair[1]))


def _list(corpus: corpora.Corpus, keys: Iterable[str]) -> tuple[str, str]:
    """The first few recordings by name, in Chinese and in English, and how many more there are."""
    short, named = short_names(corpus), list(keys)
    first, more = [short[key] for key in named[:NAMED]], len(named) - NAMED
    if more > 0:
        return f"{'、'.join(first)} 等 {len(named)} 个文件", f"{', '.join(first)} and {more} more"
    return "、".join(first), ", ".join(first)


def _other_speaker(corpus: corpora.Corpus) -> list[Advice]:
    lost = _lost(corpus, "OtherSpeaker")
    spoken: dict[str, float] = collections.defaultdict(float)
    for clip in corpus.clips:
        spoken[clip.recording] += clip.duration_s
    found = []
    whole = {key: taken for key, taken in lost.items() if taken >= MOSTLY * (taken + spoken[key])}
    for group, chinese, english in (
        (whole, "请删去 {0}", "remove {0}"),
        (
            {key: taken for key, taken in lost.items() if key not in whole},
            "别人说话的部分不会用于训练（{0}）；也可以给那个人单独一个文件夹，作为另一位说话人",
            "they are left out of {0}; give that person a folder and a speaker of their own to use them",
        ),
    ):
        seconds = sum(group.values())
        if seconds >= LEAST_S:
            (zh, en), (files_zh, files_en) = amount(seconds), _list(corpus, group)
            found.append(
                Advice(
                    chinese=f"有 {zh}是别人的声音：{chinese.format(files_zh)}。",
                    english=f"{en} are another speaker's: {english.format(files_en)}.",
                    weight=seconds,
                )
            )
    return found


def _by_reason(*reasons: str, chinese: str, english: str) -> Callable[[corpora.Corpus], list[Advice]]:
    """A rule about seconds that are left out: {0} is how many, {1} of which recordings."""

    def rule(corpus: corpora.Corpus) -> list[Advice]:
        lost = _lost(corpus, *reasons)
        seconds = sum(lost.values())
        if seconds < LEAST_S:
            return []
        (zh, en), (files_zh, files_en) = amount(seconds), _list(corpus, lost)
        return [
            Advice(chinese=chinese.format(zh, files_zh), english=english.format(en, files_en), weight=seconds),
        ]

    return rule


def _by_file(reason: corpora.Reason, *, chinese: str, english: str) -> Callable[[corpora.Corpus], list[Advice]]:
    """A rule about whole files, of which nobody knows how many seconds are lost: {0} is which."""

    def rule(corpus: corpora.Corpus) -> list[Advice]:
        lost = [item.recording for item in corpus.rejections if item.reason == reason]
        if not lost:
            return []
        zh, en = _list(corpus, lost)
        return [Advice(chinese=chinese.format(zh), english=english.format(en), weight=WEIGHTY)]

    return rule


def _notes(corpus: corpora.Corpus) -> list[Advice]:
    if not corpus.notes:
        return []
    return [
        Advice(
            chinese="有的文件名、链接、列表里的行、录音旁边的文字不能照用：报告的备注里列出了，请改正。",
            english="some names, links, lines of a list or texts beside recordings cannot be used as they are: the "
            "report's notes name them, mend them there.",
            weight=WEIGHTY,
        )
    ]


def _damaged(corpus: corpora.Corpus) -> list[Advice]:
    damaged = [
        item
        for item in corpus.recordings
        if item.sound is not None and item.sound.damaged_packets >= DAMAGED_PACKETS and item.duration_s
    ]
    if not damaged:
        return []
    zh, en = _list(corpus, [item.key for item in damaged])
    return [
        Advice(
            chinese=f"{zh} 有损坏的部分，已经略过：有原件的话请重新上传。",
            english=f"parts of {en} are damaged and were left out: upload the original if there is one.",
            weight=sum(item.duration_s for item in damaged),
        )
    ]


def _narrow(corpus: corpora.Corpus) -> list[Advice]:
    spoken = {clip.recording for clip in corpus.clips}
    spoken |= {item.recording for item in corpus.rejections if item.sha256}
    narrow = [
        item
        for item in corpus.recordings
        if item.key in spoken and item.sound is not None and item.sound.rate_hz < NARROW_RATE_HZ
    ]
    seconds = sum(item.duration_s for item in narrow)
    if seconds < LEAST_S:
        return []
    zh, en = _list(corpus, [item.key for item in narrow])
    highest_khz = max(item.sound.rate_hz for item in narrow if item.sound is not None) / 2000
    return [
        Advice(
            chinese=f"{zh} 里没有 {highest_khz:g} kHz 以上的声音，听起来会发闷：请用 44.1 或 48 kHz 录音。",
            english=f"there is nothing above {highest_khz:g} kHz in {en}, which sounds dull: record at 44.1 or 48 kHz.",
            weight=seconds,
        )
    ]


def _noise(corpus: corpora.Corpus) -> list[Advice]:
    used = {clip.recording for clip in corpus.clips}
    loud = {
        item.key: item.noise_floor_dbfs
        for item in corpus.listenings
        if item.key in used and item.noise_floor_dbfs > NOISY_FLOOR_DBFS
    }
    if not loud:
        return []
    keys = sorted(loud, key=lambda key: -loud[key])
    zh, en = _list(corpus, keys)
    worst = loud[keys[0]]
    return [
        Advice(
            chinese=f"{zh} 的底噪有 {worst:.0f} dBFS：换个安静的房间，关掉风扇和空调。",
            english=f"the quiet between words is as loud as {worst:.0f} dBFS in {en}: record in a quieter room.",
            weight=sum(clip.duration_s for clip in corpus.clips if clip.recording in loud),
        )
    ]


def _gated(corpus: corpora.Corpus) -> list[Advice]:
    speech_s = sum(stretch.end_s - stretch.start_s for item in corpus.listenings for stretch in item.speech)
    breaths = sum(len(item.breaths) for item in corpus.listenings)
    if speech_s < GATED_SPEECH_S or breaths >= GATED_BREATHS_PER_MINUTE * speech_s / 60:
        return []
    zh, en = amount(speech_s)
    return [
        Advice(
            chinese=f"{zh}的说话里几乎听不到换气：录音时请关掉降噪和噪声门，克隆的声音才会换气。",
            english=f"hardly a breath is heard in {en} of speech: switch off denoiser and noise gate, so that the "
            "voice learns to breathe.",
            weight=LEAST_S,
        )
    ]


def _doubtful(corpus: corpora.Corpus) -> list[Advice]:
    trained = held_out.trained_on(corpus)
    poor = [clip for clip in trained if clip.grade == "C" and not clip.corrected]
    if not poor or len(poor) < DOUBTFUL_SHARE * len(trained):
        return []
    seconds = sum(clip.duration_s for clip in poor)
    zh, en = amount(seconds)
    return [
        Advice(
            chinese=f"{len(poor)} 个片段（{zh}）只有 C 级：请听一听，改正文字，或者去掉。",
            english=f"{len(poor)} clips ({en}) have grade C only: listen to them, fix their texts or drop them.",
            weight=seconds,
        )
    ]


def _little(corpus: corpora.Corpus) -> list[Advice]:
    found = []
    for speaker in corpus.speakers:
        kept_s = sum(clip.duration_s for clip in held_out.trained_on(corpus) if clip.speaker == speaker)
        if kept_s < LITTLE_S:
            zh, en = amount(kept_s)
            found.append(
                Advice(
                    chinese=f"{speaker} 只有 {zh}可用：30 到 60 分钟的录音会好得多。",
                    english=f"only {en} of {speaker} are usable: 30 to 60 minutes make a much better voice.",
                    weight=2 * WEIGHTY,
                )
            )
    return found


def _read_aloud(corpus: corpora.Corpus) -> list[Advice]:
    tones = [clip.measures.reading_tone for clip in corpus.clips if clip.measures.reading_tone is not None]
    if not tones or sum(tones) / len(tones) < READ_ALOUD:
        return []
    return [
        Advice(
            chinese="听起来像在朗读：想要聊天的语气，请录随口说的话，而不是念稿子。",
            english="this sounds read aloud: for a voice that chats, record free talk, not a script.",
            weight=LEAST_S,
        )
    ]


_RULES: tuple[Callable[[corpora.Corpus], list[Advice]], ...] = (
    _little,
    _by_file(
        "Undecodable",
        chinese="{0} 打不开：请重新导出，再上传一次。",
        english="{0} cannot be read: export and upload again.",
    ),
    _by_file(
        "Missing",
        chinese="列表里写了 {0}，却没有这个文件：请上传，或者改正列表。",
        english="a list names {0}, and nothing of that name is there: upload it, or correct the list.",
    ),
    _by_file(
        "UnknownSpeaker",
        chinese="{0} 不属于 spec.speakers 里的任何一位：请放进说话人的文件夹，在列表里写对名字，或者加上这位说话人。",
        english="none of spec.speakers has {0}: put it into a speaker's folder, spell the name in a list as it is "
        "there, or add the speaker.",
    ),
    _by_file(
        "Duplicate",
        chinese="{0} 和另一个文件完全相同，只用了一份：请删去多余的。",
        english="the same recording is there again as {0}, and used once: remove the copy.",
    ),
    _notes,
    _other_speaker,
    _by_reason(
        "Music",
        chinese="有 {0}带着音乐，没有使用（{1}）：请上传没有配乐的录音。",
        english="{0} have music and are not used ({1}): bring recordings without it.",
    ),
    _by_reason(
        "Hum",
        chinese="有 {0}电源的嗡嗡声太大，没有使用（{1}）：请换一根线或一个插座，让话筒远离电源。",
        english="{0} hum too loudly and are not used ({1}): try another cable or socket, away from power supplies.",
    ),
    _by_reason(
        "Noisy",
        "LowQuality",
        chinese="有 {0}噪声太大或音质太差，没有使用（{1}）：换个安静的房间，离话筒近一些。",
        english="{0} are too noisy or too poor in sound ({1}): record in a quieter room, closer to the microphone.",
    ),
    _by_reason(
        "Clipped",
        chinese="有 {0}爆音，没有使用（{1}）：请把录音音量调低一些。",
        english="{0} are clipped and not used ({1}): turn the recording level down.",
    ),
    _by_reason(
        "OtherLanguage",
        chinese="有 {0}不是普通话，没有使用（{1}）。",
        english="{0} are not in Mandarin and not used ({1}).",
    ),
    _by_reason(
        "TooLong",
        chinese="有 {0}没有停顿，切不开（{1}）：说话时请在句子之间稍停一下。",
        english="{0} have no pause to cut in ({1}): pause between sentences, or take music away.",
    ),
    _by_reason(
        "TooShort",
        chinese="有 {0}太短，不够一个片段（{1}）：请说完整的句子，或者把短文件接起来。",
        english="{0} are too short for a clip ({1}): speak in whole sentences, or join short files.",
    ),
    _by_reason(
        "NotListed",
        chinese="有 {0}没有写进列表，没有使用（{1}）：里面有要用的话，请给它单独写一行。",
        english="no line of the list names {0} ({1}): give them a line of their own to use what is said there.",
    ),
    _by_reason(
        "UncertainText",
        "ImplausibleText",
        "NoText",
        "Unspeakable",
        chinese="有 {0}的文字不可靠，没有使用（{1}）：在下面听一听，改好文字就能用上。",
        english="the words of {0} cannot be trusted ({1}): listen to them below and fix their texts to use them.",
    ),
    _by_reason(
        "Silent",
        "NoSpeech",
        chinese="有 {0}没有人说话（{1}）。",
        english="nobody speaks in {0} ({1}).",
    ),
    _damaged,
    _narrow,
    _noise,
    _gated,
    _doubtful,
    _read_aloud,
)
