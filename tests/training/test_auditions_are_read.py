"""An audition is spoken by the readings of its order: its lexicon and its polyphone model."""

from __future__ import annotations

import dataclasses

import pytest
from kelong_contract import codec, layout, manifests, orders
from kelong_speech.text import frontend, polyphones
from kelong_trainer.scoring import auditions, speaking

ONLY_THE_MODEL_DECIDES = "他背着我。"


@pytest.fixture
def sound(bench, tmp_path):
    """The WAV of a text's audition by a step with random weights."""
    publisher, save, _ = bench.publisher(bench.lease("one"), step=2)
    publisher.save(save)
    publisher.close()

    def hear(text: str, lexicon: dict[str, str] | None = None, model: polyphones.PolyphoneModel | None = None) -> bytes:
        wanted = (orders.AuditionText(name="hello", text=text),)
        order = dataclasses.replace(bench.order(), auditions=wanted)
        lexed = frontend.Lexicon.from_entries(lexicon or {})
        reader = frontend.FrontEnd(lexicon=lexed, polyphones=model)
        report = speaking.hear(bench.store, order, 2, tmp_path / "weights", None, front_end=reader)
        [audition] = report.auditions
        return bench.store.get(audition.key)

    return hear


def test_a_word_of_the_lexicon_is_said_as_it_says(sound) -> None:
    lexicon = {"银行": "yin2 xing2"}
    assert sound("在银行。", lexicon) == sound("在银行[yin2 xing2]。")
    assert sound("在银行。", lexicon) != sound("在银行。")


def test_the_polyphone_model_decides(sound) -> None:
    without = polyphones.open_model(polyphones.NONE)
    said = frontend.FrontEnd(polyphones=without).analyse(ONLY_THE_MODEL_DECIDES)
    assert said.tones != frontend.analyse(ONLY_THE_MODEL_DECIDES).tones
    assert sound(ONLY_THE_MODEL_DECIDES, model=without) != sound(ONLY_THE_MODEL_DECIDES)


def test_a_model_that_is_not_to_be_had_is_the_reason_that_nothing_is_heard(bench, here, tmp_path) -> None:
    publisher, save, _ = bench.publisher(bench.lease("one"), step=2)
    publisher.save(save)
    publisher.close()
    context = bench.context()
    missing = dataclasses.replace(context.order.model.sources, polyphone=f"path:{tmp_path}/nowhere")
    order = dataclasses.replace(context.order, model=dataclasses.replace(context.order.model, sources=missing))

    with auditions.running(dataclasses.replace(context, order=order)) as heard:
        heard.add(2)
        heard.finish()

    key = layout.audition_report(bench.place, 2)
    report = codec.loads(manifests.AuditionReport, bench.store.get(key), key)
    [failure] = report.failures
    assert "there is no folder" in failure.message
