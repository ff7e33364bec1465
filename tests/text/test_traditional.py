"""Traditional characters: read as the simplified ones they stand for, without touching simplified texts."""

import pathlib
from collections.abc import Callable

import hypothesis
import opencc
import pytest
from hypothesis import strategies
from kelong_speech.text import frontend, normalise, traditional

TABLES = pathlib.Path(__file__).parent / "tables", pathlib.Path(__file__).parent / "held_out"

ROWS = [
    ("銀行的行長說長江很長。", "银行的行长说长江很长。"),
    ("頭髮乾淨了，他重複了幾遍。", "头发干净了，他重复了几遍。"),
    ("爲什麼大家都覺得音樂很快樂，睡覺了。", "为什么大家都觉得音乐很快乐，睡觉了。"),
    ("乾隆皇帝的後代喝乾了酒，乾杯！", "乾隆皇帝的后代喝干了酒，干杯！"),
    ("慰藉不是藉口，瞭望時瞭解。", "慰藉不是借口，瞭望时了解。"),
    ("皇后在後面，太后以後再來。", "皇后在后面，太后以后再来。"),
    ("哪吒鬧海，捱餓的人做酒麴。", "哪吒闹海，捱饿的人做酒麴。"),
    ("這裏那裡，羣眾衆人，牀上喫麵。", "这里那里，群众众人，床上吃面。"),
    ("揹著包，衞生的枱面，屋簷下化粧。", "背着包，卫生的台面，屋檐下化妆。"),
    ("不行，金樂", "不行，金乐"),  # compatibility ideographs
    ("𠮷野家的糺紛", "𠮷野家的糺纷"),  # what would become a character of no dictionary stays
    ("\ud800銀行", "\ud800银行"),
    # 著
    ("著急，睡著，看著書，衣著講究，他很執著。", "着急，睡着，看着书，衣着讲究，他很执着。"),
    ("著名的原著，顯著的名著，譯著和專著。", "著名的原著，显著的名著，译著和专著。"),
    ("拿著作業本，看著名單，對著錄音機說話。", "拿着作业本，看着名单，对着录音机说话。"),
    ("大家討論著，配合著，翻譯著，報名著呢。", "大家讨论着，配合着，翻译着，报名着呢。"),
    ("穿著有點髒，接著有人說話。", "穿着有点脏，接着有人说话。"),
    ("他著有多部小說，並著有詩集。穿著有彈性的褲子。", "他著有多部小说，并著有诗集。穿着有弹性的裤子。"),
    ("魯迅著有《吶喊》，見微知著。", "鲁迅著有《呐喊》，见微知著。"),
    # nothing but what may stand in either
    ("看著我", "看着我"),
    ("不要著急", "不要着急"),
    ("什麽？你走以後就乾杯！", "什么？你走以后就干杯！"),
    ("等於是", "等于是"),
]

SIMPLIFIED = [
    *("乾隆，乾坤，乾县，徐乾学，南宋乾道年间", "著作，著名，著有《蛙鸣集》，鲁迅著，在家著书，满洲著姓"),
    *("瞭望，慰藉，狼藉，皇后，太后，前后", "老幺，幺麽小丑，樊於期，宫商角徵羽，东閤，氾胜之，苍朮，甯先生"),
    *(
        "干净，干活，重复，反覆，蒜薹，哪吒，叱吒",
        "着急，睡着，着陆，出发，头发，一只，只有",
        "里面，公里，台风，天台，面条",
    ),
]


@pytest.mark.parametrize(("written", "simplified"), ROWS)
def test_traditional_characters_become_simplified_one_for_one(written: str, simplified: str) -> None:
    assert traditional.simplified(written) == simplified


@pytest.mark.parametrize("text", SIMPLIFIED)
def test_simplified_text_stays_as_it_is(text: str) -> None:
    assert traditional.simplified(text) == text


@pytest.mark.parametrize(
    ("written", "pinyin"),
    [
        ("銀行的行長", "yin2 hang2 de5 hang2 zhang3"),
        ("長江", "chang2 jiang1"),
        ("音樂", "yin1 yue4"),
        ("睡覺", "shui4 jiao4"),
        ("乾淨", "gan1 jing4"),
        ("重複", "chong2 fu4"),
        ("乾隆", "qian2 long2"),
        ("著作等身", "zhu4 zuo4 deng3 shen1"),
        ("睡著了", "shui4 zhao2 le5"),
        ("他很著急", "ta1 hen3 zhao2 ji2"),
        ("玩兒", "war2"),
        ("女兒", "nv3 er2"),
        ("2個，兩隻鳥", "liang3 ge5 , liang3 zhi1 niao3"),
        ("3萬元，60公裏", "san1 wan4 yuan2 , liu4 shi2 gong1 li3"),
        ("行[hang2]長[chang2]", "hang2 chang2"),
        ("銀行[yin2 xing2]的頭髮", "yin2 xing2 de5 tou2 fa5"),
        ("玩兒[wanr2]吧", "war2 ba5"),
    ],
)
def test_traditional_text_is_read_as_simplified_text_is(read: Callable[[str], str], written: str, pinyin: str) -> None:
    assert read(written) == pinyin


def sentences() -> list[str]:
    """What is written in the tables of readings."""
    files = [file for folder in TABLES for file in sorted(folder.glob("*.tsv")) if file.name != "known_wrong.tsv"]
    lines = [line for file in files for line in file.read_text("utf-8").splitlines()[1:]]
    return [line.split("\t")[0] for line in lines if line and not line.startswith("#")]


def test_no_sentence_of_the_tables_is_touched() -> None:
    assert len(sentences()) > 700
    assert [text for text in sentences() if traditional.simplified(text) != text] == []


@pytest.mark.parametrize("standard", ["s2t", "s2tw", "s2hk"])
def test_the_tables_in_traditional_characters_are_read_as_in_simplified_ones(standard: str) -> None:
    complicate = opencc.OpenCC(standard).convert

    def phones(text: str) -> list[tuple[str, int]]:
        utterance = frontend.analyse(text)
        return list(zip(utterance.phones, utterance.tones, strict=True))

    wrong = [text for text in sentences() if phones(complicate(text)) != phones(text)]
    assert wrong == []


@hypothesis.given(strategies.text(strategies.sampled_from("银銀行长長乾干著着麽於後髮发。,5a[hang2] \ud800糺金")))
def test_every_character_keeps_its_place_and_twice_is_once(text: str) -> None:
    once = traditional.simplified(text)
    assert len(once) == len(text)
    assert traditional.simplified(once) == once


def test_the_spoken_text_is_simplified_and_its_spans_are_of_the_written_one() -> None:
    utterance = frontend.analyse("銀行有3萬元，玩兒[wanr2]吧")
    assert utterance.written == "銀行有3萬元，玩兒[wanr2]吧"
    assert utterance.spoken == "银行有三万元,玩儿吧"
    assert utterance.spans == frontend.analyse("银行有3万元，玩儿[wanr2]吧").spans
    assert [utterance.written[start:end] for start, end in utterance.spans][-3:] == ["玩", "兒[wanr2]", "吧"]


def test_a_place_that_cannot_be_spoken_is_counted_in_the_written_text() -> None:
    with pytest.raises(frontend.UnspeakableText) as caught:
        frontend.analyse("銀行の")
    assert caught.value.position == 2


@pytest.mark.parametrize(
    ("entries", "written", "pinyin"),
    [
        ({"銀行": "yin2 xing2"}, "銀行和银行", "yin2 xing2 he2 yin2 xing2"),
        ({"银行": "yin2 xing2"}, "銀行和银行", "yin2 xing2 he2 yin2 xing2"),
        ({"銀行": "yin2 xing2", "银行": "yin2 hang4"}, "銀行的银行", "yin2 xing2 de5 yin2 hang4"),
        ({"银行": "yin2 xing2"}, "銀行[yin2 hang4]", "yin2 hang4"),
        ({"乾": "qian2"}, "頭髮乾，干净", "tou2 fa5 qian2 , gan1 jing4"),
        ({"行長": "hang2 chang2"}, "银行行长", "yin2 hang2 hang2 chang2"),
        ({"长": "zhang3", "銀行長": "yin2 hang2 chang2"}, "銀行長長", "yin2 hang2 chang2 zhang3"),
        ({"玩兒": "wanr2"}, "玩儿，玩兒", "war2 , war2"),
    ],
)
def test_a_lexicon_holds_in_both_scripts(
    spelled: Callable[[frontend.Utterance], str], entries: dict[str, str], written: str, pinyin: str
) -> None:
    lexicon = frontend.Lexicon.from_entries(entries)
    assert spelled(frontend.analyse(written, lexicon=lexicon)) == pinyin


def test_the_original_reads_characters_as_they_are_written() -> None:
    spoken = frontend.analyse("銀行", frontend.Profile.AS_ORIGINAL).spoken
    assert spoken == "銀行"
    assert [unit.text for unit in normalise.units("銀行")] == ["银", "行"]
