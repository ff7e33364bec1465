from __future__ import annotations

import dataclasses
import math
import re

import pytest
from kelong_contract import codec, orders

VOICE = orders.VoiceName(namespace="studio", name="khazix", uid="6f1c")
ORDER = orders.TrainingOrder(
    voice=VOICE,
    speakers=(orders.Speaker(name="Khazix"),),
    dataset=orders.Dataset(type="S3", prefix="recordings/studio/khazix/"),
    auditions=(orders.AuditionText(name="greeting", text="大家好。"),),
)


def test_an_order_travels_as_json() -> None:
    assert codec.loads(orders.TrainingOrder, codec.dumps(ORDER), "the order") == ORDER


def test_a_wrong_order_lists_every_fault_in_one_error() -> None:
    document = codec.encode(ORDER)
    document["speakers"] = [{"name": "甲"}, {"name": "甲", "prefix": "/etc"}]
    document["dataset"]["prefix"] = "../other"
    document["model"]["sources"]["recogniser"] = "http://somewhere"
    document["training"] |= {"max_steps": 1000, "interval_steps": 1}
    document["auditions"][0]["speaker"] = "乙"
    with pytest.raises(codec.Malformed) as error:
        codec.decode(orders.TrainingOrder, document, "the order")
    message = str(error.value)
    for part in ("'甲' is given twice", "'/etc'", "'../other'", "http://somewhere", "max_steps/200", "'乙'"):
        assert part in message


@pytest.mark.parametrize(
    "address",
    ["hub:openai/whisper-base@main", "store:whisper-base", "store:./mine/v2", "path:/models/x", "none"],
)
def test_a_model_source_follows_the_grammar(address: str) -> None:
    assert orders.is_source(address)


@pytest.mark.parametrize(
    "address", ["", "whisper-base", "hub:x", "hub:a/b", "store:/etc", "store:../x", "store:a/../b", "path:x"]
)
def test_what_does_not_follow_the_grammar_is_no_source(address: str) -> None:
    assert not orders.is_source(address)


def test_slicing_bounds_must_be_in_order() -> None:
    with pytest.raises(ValueError, match="slicing"):
        dataclasses.replace(ORDER, slicing=orders.Slicing(aim_min_s=20.0))


@pytest.mark.parametrize(
    ("setting", "said"),
    [
        ({"learning_rate": -1.0}, "learning_rate is -1, expected a finite number above 0"),
        ({"learning_rate": math.inf}, "learning_rate is inf, expected a finite"),
        ({"learning_rate": math.nan}, "learning_rate is nan, expected a finite"),
        ({"ema_decay": 1.0}, "ema_decay is 1, expected more than 0 and less than 1"),
        ({"workers": 65}, "workers is 65, expected 1 to 64"),
        ({"style_dropout": 1.5}, "style_dropout is 1.5, expected 0 to 1"),
        ({"max_steps": 0}, "max_steps is 0, expected 1 to 10000000"),
        ({"weights": orders.LossWeights(mel=-1.0)}, "weights.mel is -1, expected 0 to 1000"),
    ],
)
def test_a_number_out_of_its_range_is_named(setting, said) -> None:
    with pytest.raises(ValueError, match=re.escape(said)):
        dataclasses.replace(ORDER, training=dataclasses.replace(ORDER.training, **setting))
