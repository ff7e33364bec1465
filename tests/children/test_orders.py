"""What a VoiceModel says, as it reaches the orders."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from kelong_contract import codec, names, orders, resources
from kelong_operator import order_book, settings, views

Build = Callable[..., Any]
OWNER = views.Owner(kind=names.VOICE_MODEL, namespace="ns", name="khazix", uid="uid-1", generation=3)
LEXICON = {"重庆": "chong2 qing4"}


def trained(built: Any) -> orders.TrainingOrder:
    return codec.loads(orders.TrainingOrder, built.order["data"][names.ORDER_FILE].encode(), "order")


def served(built: Any) -> orders.ServingOrder:
    variables = {item["name"]: item.get("value") for item in built.pods["server"]["containers"][0]["env"]}
    return codec.loads(orders.ServingOrder, variables[names.ENV_SERVING_ORDER].encode(), "order")


def test_what_a_voice_leaves_out_is_what_an_order_leaves_out(build: Build) -> None:
    order = trained(build({"audition": {"texts": [{"name": "a", "text": "好"}]}}))
    plain = orders.TrainingOrder(voice=order.voice, speakers=order.speakers, dataset=order.dataset)
    assert order.training == plain.training
    assert (order.text, order.init, order.device.ranks) == (plain.text, plain.init, None)


@pytest.mark.parametrize(
    ("said", "field", "expected"),
    [
        ({"workers": 4}, "workers", 4),
        ({"weights": {"mel": "10.5", "wavlmFeature": "0"}}, "weights", orders.LossWeights(mel=10.5, wavlm_feature=0)),
        ({"durationDiscriminator": "On"}, "duration_discriminator", "On"),
        ({"freeze": ["TextFeatures", "Style"]}, "freeze", ("TextFeatures", "Style")),
        ({"emaDecay": "0.999"}, "ema_decay", 0.999),
        ({"textFeatureDropout": "0"}, "text_feature_dropout", 0.0),
        ({"styleDropout": "1.0"}, "style_dropout", 1.0),
    ],
)
def test_an_option_of_training_reaches_the_order(build: Build, said: dict[str, Any], field: str, expected: Any) -> None:
    assert getattr(trained(build({"training": said})).training, field) == expected


def test_every_field_of_an_orders_training_can_be_said_in_a_voice() -> None:
    said = {field.name for field in dataclasses.fields(resources.Training)}
    elsewhere = {"interval_steps", "keep_last"}  # both in `checkpoint`
    assert {field.name for field in dataclasses.fields(orders.Training)} - said == elsewhere
    for pair in ((orders.LossWeights, resources.LossWeights), (orders.Sources, resources.ModelSources)):
        ordered, wished = ({field.name for field in dataclasses.fields(kind)} for kind in pair)
        assert ordered == wished
    default, wished_default = orders.LossWeights(), resources.LossWeights()
    assert {name: float(value) for name, value in vars(wished_default).items()} == vars(default)


def test_ranks_are_of_training_only(build: Build) -> None:
    built = build({"training": {"ranks": 4, "placement": {"gpu": {"count": 0}}}})
    assert trained(built).device == orders.Device(gpus=0, ranks=4)
    assert served(built).device.ranks is None


def test_a_voice_may_begin_with_files(build: Build) -> None:
    pretrained = {"source": "store:./base", "mode": "Resume"}
    built = build({"training": {"init": {"from": "Pretrained", "pretrained": pretrained}}})
    expected = orders.Pretrained(source="store:./base", mode="Resume")
    assert trained(built).init == orders.Init(type="Pretrained", pretrained=expected)
    assert "models/ns/base/" in built.watched, "training that lacks them begins again once they are there"
    fresh = build({"training": {"init": {"from": "Pretrained", "pretrained": pretrained | {"fresh": []}}}})
    assert trained(fresh).init.pretrained.fresh == ()


def test_a_voice_may_begin_with_another() -> None:
    chosen = settings_of({"from": "VoiceModel", "voiceModel": {"name": "elder", "step": 500, "fresh": ["Speakers"]}})
    order = order_book.training_order(*chosen, resources.InitStatus(name="elder", uid="uid-7", step=500))
    voice = orders.VoiceName(namespace="ns", name="elder", uid="uid-7")
    assert order.init == orders.Init(type="VoiceModel", voice_model=orders.OtherVoice(voice=voice, step=500))
    with pytest.raises(ValueError, match="elder that training"):
        order_book.training_order(*chosen)


def settings_of(init: dict[str, Any]) -> tuple[views.Owner, resources.VoiceModelSpec, settings.Settings]:
    program = {"gpuCount": 0}
    preset = {"sources": {"recogniser": "none"}, "training": program, "serving": program}
    configuration = {
        "store": {"endpoint": "http://store:9000", "bucket": "kelong", "secretName": "kelong-store"},
        "images": {"trainer": "trainer:1", "inference": "inference:1"},
        "presets": dict.fromkeys(settings.PRESETS, preset),
    }
    spec = {"speakers": [{"name": "A"}], "dataset": {"source": {"type": "S3", "s3": {"prefix": "a/"}}}}
    voice = resources.voice_model_spec(spec | {"training": {"init": init}})
    return OWNER, voice, codec.decode(settings.Settings, configuration, "settings", codec.camel_case)


def test_sources_come_by_preset_unless_said(build: Build) -> None:
    assert trained(build()).model.sources == orders.Sources(
        recogniser="store:whisper",
        text_encoder="none",
        style="none",
        wavlm="none",
        polyphone="bundled",
        speaker_embedding="bundled",
    )
    said = {"wavlm": "store:wavlm", "polyphone": "store:g2pw", "speakerEmbedding": "none"}
    sources = trained(build({"model": {"preset": "zh-clap", "sources": said}})).model.sources
    assert (sources.wavlm, sources.polyphone, sources.speaker_embedding) == ("store:wavlm", "store:g2pw", "none")


def test_the_lexicon_and_the_polyphones_reach_whatever_reads_texts(build: Build) -> None:
    model = {"preset": "tiny", "sources": {"polyphone": "store:g2pw"}}
    built = build({"text": {"lexicon": LEXICON}, "model": model})
    data = built.batch_order["data"][names.ORDER_FILE].encode()
    for order in (trained(built), served(built), codec.loads(orders.SynthesisOrder, data, "order")):
        sources = order.model.sources if isinstance(order, orders.TrainingOrder) else order.sources
        assert order.text.lexicon == LEXICON
        assert sources.polyphone == "store:g2pw"


@pytest.mark.parametrize(
    ("said", "message"),
    [
        (
            {"text": {"lexicon": {"Wi Fi": "wai1 fai1", "好": "hao3"}}},
            "'Wi Fi' has the entry 'wai1 fai1', expected pin",
        ),
        ({"text": {"lexicon": {"重庆": "chong2"}}}, "'chong2' of 1 syllables for 2 characters"),
        (
            {"text": {"lexicon": LEXICON}, "training": {"profile": "as-original"}},
            "text.lexicon cannot be used with training.profile as-original",
        ),
    ],
)
def test_a_lexicon_that_no_worker_could_use_makes_no_order(build: Build, said: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(said)


def test_a_lexicon_may_ask_for_erhua(build: Build) -> None:
    assert trained(build({"text": {"lexicon": {"玩儿": "wanr2"}}})).text.lexicon == {"玩儿": "wanr2"}


def test_another_lexicon_is_another_rollout_and_no_other_wish_of_training(build: Build) -> None:
    before, after = build(), build({"text": {"lexicon": LEXICON}})
    assert before.deployment["spec"]["template"] != after.deployment["spec"]["template"]
    marks = [built.job["metadata"]["annotations"] for built in (before, after)]
    assert marks[0][names.ANNOTATION_WISH] == marks[1][names.ANNOTATION_WISH]
    assert marks[0][names.ANNOTATION_TEXT] != marks[1][names.ANNOTATION_TEXT]


def test_the_longest_lexicon_fits_into_a_variable_of_a_pod(build: Build) -> None:
    words = {f"{number:03}" + "重" * 17: " ".join(["zhuang4"] * 20) for number in range(256)}
    built = build({"text": {"lexicon": words}})
    variables = {item["name"]: item.get("value") for item in built.pods["server"]["containers"][0]["env"]}
    assert len(variables[names.ENV_SERVING_ORDER].encode()) < 128 * 1024, "Linux takes no longer one"
