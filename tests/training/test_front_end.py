"""A voice is spoken to by the rules that its phonemes were made by."""

from __future__ import annotations

import dataclasses

import pytest
from kelong_contract import codec, layout, names, orders
from kelong_speech import config
from kelong_speech.text import frontend
from kelong_trainer.context import BadOrder
from kelong_trainer.stages import phonemes

TEXT = "三百米，百分之一百。"  # the two profiles read it with different tones


@pytest.mark.parametrize("profile", ["fixed", "as-original"])
def test_the_saved_configuration_names_the_front_end_of_the_corpus(bench, run_here, profile: str) -> None:
    order = bench.order(max_steps=1, interval_steps=1, profile=profile)
    corpus = bench.corpus()
    texts = dataclasses.replace(corpus, clips=tuple(dataclasses.replace(clip, text=TEXT) for clip in corpus.clips))
    read = phonemes.run(dataclasses.replace(bench.context(), order=order), texts)
    bench.store.put(layout.corpus(bench.place), codec.dumps(read))
    assert frontend.analyse(TEXT).tones != frontend.analyse(TEXT, frontend.Profile.AS_ORIGINAL).tones

    assert run_here(codec.dumps(order).decode()) == names.EXIT_DONE

    voice = config.from_json(bench.store.get(bench.manifest(1).file("config.json").key))
    assert voice.front_end.profile == profile
    for clip in bench.corpus().clips:
        spoken = frontend.analyse(clip.text, frontend.Profile(voice.front_end.profile))
        assert (spoken.phones, spoken.tones) == (clip.phones, clip.tones)


def test_a_text_must_fit_into_the_frames_of_the_preset(bench) -> None:
    """75 frames a second are fewer than 86: what just fits one preset need not fit another."""
    clip = dataclasses.replace(bench.corpus().clips[0], text="一二三四五六七八九十" * 2)
    symbols = len(frontend.analyse(clip.text).ids().phone_ids)
    tight = dataclasses.replace(bench.corpus(), clips=(dataclasses.replace(clip, samples=symbols * 512),))
    kept = {}
    for preset in ("tiny", "small"):
        order = dataclasses.replace(bench.order(), model=orders.Model(preset=preset))
        read = phonemes.run(dataclasses.replace(bench.context(), order=order), tight)
        kept[preset] = [rejection.reason for rejection in read.rejections]
    assert kept == {"tiny": [], "small": ["ImplausibleText"]}


def test_the_lexicon_is_read_with_and_belongs_to_what_the_phonemes_depend_on(bench) -> None:
    order = dataclasses.replace(bench.order(max_steps=1, interval_steps=1), text=orders.Text(lexicon={"百": "bo2"}))
    plain, corrected = bench.context(), dataclasses.replace(bench.context(), order=order)
    corpus = bench.corpus()
    texts = dataclasses.replace(corpus, clips=(dataclasses.replace(corpus.clips[0], text="三百和GPU"),))
    [clip] = phonemes.run(corrected, texts).clips
    assert clip.phones[3:5] == ("b", "o")
    assert clip.language_ids[-3:] == (2, 2, 0)
    assert phonemes.facts(plain) != phonemes.facts(corrected)


def test_a_lexicon_that_is_none_is_a_bad_order_before_anything_is_heard(bench) -> None:
    order = dataclasses.replace(bench.order(max_steps=1, interval_steps=1), text=orders.Text(lexicon={"百": "bo"}))
    with pytest.raises(BadOrder, match="'百' has the entry 'bo'"):
        phonemes.facts(dataclasses.replace(bench.context(), order=order))


def test_the_polyphone_model_belongs_to_what_the_phonemes_depend_on_and_to_the_configuration(bench) -> None:
    order = bench.order(max_steps=1, interval_steps=1)
    silent = dataclasses.replace(order.model, sources=dataclasses.replace(order.model.sources, polyphone="none"))
    plain = bench.context()
    without = dataclasses.replace(bench.context(), order=dataclasses.replace(order, model=silent))
    assert phonemes.facts(plain) != phonemes.facts(without)
    assert phonemes.front_end(plain).polyphone_identity.startswith("g2pM:")
    assert phonemes.front_end(without).polyphone_identity == "none"


def test_a_polyphone_model_that_is_not_there_stops_before_anything_is_heard(bench, tmp_path) -> None:
    order = bench.order(max_steps=1, interval_steps=1)
    missing = dataclasses.replace(order.model.sources, polyphone=f"path:{tmp_path}/nowhere")
    context = dataclasses.replace(
        bench.context(), order=dataclasses.replace(order, model=dataclasses.replace(order.model, sources=missing))
    )
    with pytest.raises(BadOrder, match="there is no folder"):
        phonemes.facts(context)
