"""Promises for any text at all."""

import re
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kelong_speech.text import frontend, symbols

COMMON = (
    "的一是不了人我在有他这为之大来以个中上们到说国和地也子时道出而要于就下得可你年生自会那后能对着事其里所去行过家十用发天如然"
    "作方成者多日都三小军二无同么经法当起与好看学进种将还分此心前面又定见只主没公从儿老虎想走很远水果展览馆妈哥"
)
MARKS_AND_DIGITS = "，。！？：；、…—“”（）《》·~\n 0123456789.%-:/"
LATIN = st.text(st.sampled_from("abcdefghijklmnopqrstuvwxyzAEIOUTSGPX0123456789 '’.-+#@/&éＡ"), max_size=12)
WRITABLE = st.text(
    st.sampled_from(COMMON + MARKS_AND_DIGITS) | st.characters(min_codepoint=0x4E00, max_codepoint=0x9FA5), max_size=40
)
INLINE = st.sampled_from(["[sp1]", "[sp4]", "[br2]", "[hang2]", "[", "]", "［", "[sp", "1,000", "2024年", "100%"])
_INLINE_MARK = re.compile(rf"\[(?:{'|'.join(symbols.INLINE_MARKS)})\]")
RELAXED = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])


def _check(said: frontend.Utterance) -> None:
    assert sum(said.word2ph) == len(said.phones) == len(said.tones)
    assert len(said.word2ph) == len(said.spoken) + 2
    ids = said.ids()
    length = 2 * len(said.phones) + 1
    assert len(ids.phone_ids) == len(ids.tone_ids) == len(ids.language_ids) == sum(ids.word2ph) == length
    assert max(ids.phone_ids) < len(symbols.SYMBOLS)
    assert max(ids.tone_ids) < 12
    silent = (symbols.PAD, *symbols.MARKS, *symbols.INLINE_MARKS)
    for phone, tone, language in zip(said.phones, said.tones, said.language_ids, strict=True):
        if language == symbols.LANGUAGE_IDS["ZH"]:
            assert (tone == 0) == (phone in silent)
        else:
            assert tone == 0 or phone[0] in "aeiou"


def _check_spans(said: frontend.Utterance, profile: frontend.Profile = frontend.Profile.FIXED) -> None:
    """Ordered, inside the text, and with nothing left out but what is not heard."""
    assert len(said.spans) == len(said.spoken)
    for before, after in pairwise(said.spans):
        assert before == after or before[1] <= after[0]
    covered = {place for start, end in said.spans for place in range(start, end)}
    assert all(0 <= place < len(said.written) for place in covered)
    if profile is frontend.Profile.AS_ORIGINAL:
        return  # it leaves out whatever it does not know
    in_marks = {place for mark in _INLINE_MARK.finditer(said.written) for place in range(*mark.span())}
    left_out = {char for place, char in enumerate(said.written) if place not in covered | in_marks}
    assert all(char.isspace() or unicodedata.category(char) in ("Cf", "Mn") for char in left_out)


@RELAXED
@given(text=st.lists(WRITABLE | INLINE | LATIN, max_size=4).map("".join))
@pytest.mark.parametrize("profile", list(frontend.Profile))
def test_chinese_and_marks_give_an_utterance_that_fits_together(profile: frontend.Profile, text: str) -> None:
    try:
        said = frontend.analyse(text, profile)
    except frontend.UnspeakableText as refusal:
        assert 0 <= refusal.position <= len(text)
        return
    _check(said)
    _check_spans(said, profile)
    assert said == frontend.analyse(text, profile)


@RELAXED
@given(text=st.text(st.characters(codec=None), max_size=30))
@pytest.mark.parametrize("profile", list(frontend.Profile))
def test_any_text_is_spoken_or_refused_with_a_place_in_it(profile: frontend.Profile, text: str) -> None:
    try:
        said = frontend.analyse(text, profile)
        _check(said)
        _check_spans(said, profile)
    except frontend.UnspeakableText as refusal:
        assert 0 <= refusal.position <= len(text)
        assert refusal.message


@RELAXED
@given(text=st.text(st.sampled_from("0123456789.,:/-+~%℃$¥年月日点分个米kg第 =*()<>²×"), min_size=1, max_size=20))
def test_any_heap_of_digits_and_signs_is_spoken_or_refused(text: str) -> None:
    try:
        said = frontend.analyse(text)
        _check(said)
        _check_spans(said)
    except frontend.UnspeakableText as refusal:
        assert 0 <= refusal.position < len(text)


def test_every_common_character_can_be_said() -> None:
    for char in COMMON:
        assert frontend.analyse(char).word2ph == (1, 2, 1), char


def test_threads_share_the_front_end_and_agree() -> None:
    texts = [f"我有{count}个苹果，{count}月{count}日，老虎和纸老虎。" for count in range(1, 13)] * 4
    alone = [frontend.analyse(text) for text in texts]
    with ThreadPoolExecutor(max_workers=8) as pool:
        assert list(pool.map(frontend.analyse, texts)) == alone
