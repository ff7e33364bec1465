"""A lexicon of the order is what the server speaks by; one that is none stops it with its entry named."""

import threading
from typing import Any

import numpy as np
import pytest
from kelong_contract import orders
from kelong_inference import loading
from kelong_inference.endings import BadOrder

SETTINGS = orders.SynthesisSettings(seed=3)


def test_a_word_is_said_by_the_lexicon_of_the_order(published: Any, ready: loading.Ready) -> None:
    order = published.serving_order(text=orders.Text(lexicon={"银行": "yin2 xing2", "AI": "ei1 ai4"}))
    corrected = loading.load(order, published.environment, threading.Event()).speaker
    for plain, marked in [("银行", "银行[yin2 xing2]"), ("说AI吧", "说AI[ei1 ai4]吧")]:
        said = corrected.say(plain, SETTINGS).samples
        assert np.array_equal(said, ready.speaker.say(marked, SETTINGS).samples)
        assert not np.array_equal(said, ready.speaker.say(plain, SETTINGS).samples)


ONLY_THE_MODEL_DECIDES = "他背着我。"


@pytest.mark.parametrize("door", ["server", "batch"])
def test_the_readings_of_an_order_are_those_of_its_door(published: Any, ready: loading.Ready, door: str) -> None:
    given = {"text": orders.Text(lexicon={"银行": "yin2 xing2"}), "sources": orders.Sources(polyphone="none")}
    items = orders.SynthesisInput(type="Inline", items=(orders.Item(id="a", text="好"),))
    order = published.serving_order(**given) if door == "server" else published.synthesis_order(items, **given)
    speaker = loading.load(order, published.environment, threading.Event()).speaker
    for text, said in [("银行", "银行[yin2 xing2]"), (ONLY_THE_MODEL_DECIDES, "他背[bei1]着我。")]:
        samples = speaker.say(text, SETTINGS).samples
        assert np.array_equal(samples, ready.speaker.say(said, SETTINGS).samples)
        assert not np.array_equal(samples, ready.speaker.say(text, SETTINGS).samples)


def test_a_lexicon_that_is_none_is_refused_with_its_entry(published: Any) -> None:
    order = published.serving_order(text=orders.Text(lexicon={"银行": "yinhang"}))
    with pytest.raises(BadOrder, match="'银行' has the entry 'yinhang'"):
        loading.load(order, published.environment, threading.Event())
