"""Where the default profile leaves the original's way, and why. Each row holds for both profiles."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from kelong_speech.text import frontend

RECORDED = json.loads((Path(__file__).parent / "golden" / "zh_clap_g2p.json").read_text("utf-8"))["cases"]

# written, as the original reads it, as we read it, why
READINGS = [
    ("银行行长", "yin2 xing2 xing5 zhang3", "yin2 hang2 hang2 zhang3", "行长 was unknown, 行行 no doubling"),
    ("换行", "huan4 xing2", "huan4 hang2", "pypinyin 0.50 did not know the word"),
    ("一月", "yi2 yue4", "yi1 yue4", "months are counted, not measured"),
    ("十一月份", "shi2 yi2 yue4 fen4", "shi2 yi1 yue4 fen4", "一 at the end of a number does not change"),
    ("一百二十三", "yi1 bai3 er4 shi2 san1", "yi4 bai3 er4 shi2 san1", "一 before 百 changes within a number too"),
    ("听一听走一走", "ting1 yi1 ting1 zou3 yi1 zou3", "ting1 yi5 ting1 zou3 yi5 zou3", "two X一X end its pass"),
    ("绝不会", "jue2 bu5 hui4", "jue2 bu2 hui4", "不 in the middle of three is neutral only after a verb"),
    ("跑得快", "pao3 de2 kuai4", "pao3 de5 kuai4", "得 is a particle"),
    ("得意地笑了", "de2 yi4 di5 xiao4 le5", "de2 yi4 de5 xiao4 le5", "地 as a particle is de"),
    ("目的", "mu4 di5", "mu4 di4", "not every 的 at the end is the particle"),
    ("金额", "jin1 e5", "jin1 e2", "额 is no particle"),
    ("水滴", "shui3 di5", "shui3 di1", "滴 is no particle"),
    ("酒吧", "jiu3 ba5", "jiu3 ba1", "a word the dictionary knows keeps its tone"),
    ("粒子", "li4 zi5", "li4 zi3", "子 as a particle of physics is full"),
    ("以上", "yi3 shang5", "yi3 shang4", "上 is neutral after a thing, not in adverbs"),
    ("高高兴兴", "gao1 gao5 xing4 xing5", "gao1 gao1 xing4 xing4", "only doubled verbs and kin are neutral"),
    ("走走", "zou3 zou5", "zou2 zou5", "a doubled third-tone verb rises first"),
    ("啊，好", "a5 , hao3", "a1 , hao3", "an interjection is no particle"),
    ("玩儿", "wan2 er2", "war2", "the suffix 儿 is no syllable of its own"),
    ("永远很美", "yong2 yuan2 hen3 mei3", "yong2 yuan3 hen2 mei3", "third tones are paired with what follows"),
    ("一起走", "yi4 qi3 zou3", "yi4 qi2 zou3", "third tones meet across words"),
    ("种地", "zhong4 di5", "zhong4 di4", "not every 地 at the end is the particle"),
    ("东西方", "dong1 xi5 fang1", "dong1 xi1 fang1", "东西 here is east and west, not a thing"),
]  # fmt: skip

# written, what the original speaks, what we speak, why
SPOKEN = [
    ("嗯，呣", "恩,母", "嗯,呣", "the text encoder knows 嗯"),
    ("2024年", "二千零二十四年", "二零二四年", "years are read by digits"),
    ("100%", "一百", "百分之百", "the sign was deleted"),
    ("10:30开会", "十三十开会", "十点三十分开会", "the colon was deleted"),
    ("1,000元", "一,零元", "一千元", "the comma cut the number"),
    ("电话13800138000", "电话一百三十八亿零一十三万八千", "电话幺三八零零幺三八零零零", "a telephone number"),
    ("007", "七", "零零七", "leading zeros were lost"),
    ("$5", ".五", "五美元", "the dollar became a full stop"),
    ("￥100", "一百", "一百元", "the sign was deleted"),
    ("㐀字", "字", "㐀字", "characters beyond the first block were deleted"),
    ("你好\n\n", "你好..", "你好", "empty lines became full stops"),
]

# Of the original's recorded sentences, those we read otherwise: written, what we speak, how we read it, why. Both are
# empty where we refuse.
GOLDEN = json.loads((Path(__file__).parent / "golden" / "differences.json").read_text("utf-8"))

ORIGINAL = frontend.Profile.AS_ORIGINAL


@pytest.mark.parametrize(("written", "theirs", "ours", "why"), READINGS)
def test_a_reading_differs_for_a_reason(
    read: Callable[..., str], written: str, theirs: str, ours: str, why: str
) -> None:
    assert why
    assert read(written, ORIGINAL) == theirs
    assert read(written) == ours


@pytest.mark.parametrize(("written", "theirs", "ours", "why"), SPOKEN)
def test_a_text_is_normalised_otherwise_for_a_reason(written: str, theirs: str, ours: str, why: str) -> None:
    assert why
    assert frontend.analyse(written, ORIGINAL).spoken == theirs
    assert frontend.analyse(written).spoken == ours


@pytest.mark.parametrize(("written", "spoken"), [("abc", "abc"), ("Hello", "Hello"), ("ＧＰＵ", "GPU"), ("é", "e")])
def test_the_original_deletes_latin_words_and_we_speak_them(written: str, spoken: str) -> None:
    assert frontend.analyse(written, ORIGINAL).phones == ("_", "_")
    assert frontend.analyse(written).spoken == spoken


@pytest.mark.parametrize("written", ["", "かな", "Привет", "😀"])
def test_the_original_deletes_what_it_does_not_know_and_we_refuse(written: str) -> None:
    assert frontend.analyse(written, ORIGINAL).phones == ("_", "_")
    with pytest.raises(frontend.UnspeakableText):
        frontend.analyse(written)


def _both(read: Callable[..., str], written: str, profile: frontend.Profile) -> tuple[str, str]:
    try:
        return frontend.analyse(written, profile).spoken, read(written, profile)
    except frontend.UnspeakableText:
        return "", ""


@pytest.mark.parametrize("case", RECORDED, ids=lambda case: case["text"] or "empty")
def test_a_recorded_sentence_is_read_as_the_original_does_or_differs_for_a_reason(
    read: Callable[..., str], case: dict[str, str]
) -> None:
    written = case["text"]
    ours = _both(read, written, frontend.Profile.FIXED)
    listed = {text: (spoken, said) for text, spoken, said, why in GOLDEN if why}.get(written)
    if listed is None:
        assert ours == _both(read, written, ORIGINAL)
    else:
        assert ours == listed
        assert "error" in case or ours != _both(read, written, ORIGINAL)


def test_every_listed_sentence_is_a_recorded_one() -> None:
    assert {written for written, *_ in GOLDEN} <= {case["text"] for case in RECORDED}
    assert len(RECORDED) == 77
