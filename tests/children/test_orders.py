"""What a VoiceModel says, as it reaches the orders."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
from kelong_contract import codec, names, orders, presets, resources
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
    assert order.dataset == orders.Dataset(type="S3", prefix="recordings/ns/khazix/")
    assert (order.slicing, order.judging, order.review) == (plain.slicing, plain.judging, False)


def test_what_a_small_voice_leaves_out_is_the_presets(build: Build) -> None:
    built = build({"model": {"preset": "small"}})
    order, usual = trained(built), presets.DEFAULTS["small"]
    assert (order.training.learning_rate, order.training.ema_decay) == (usual.learning_rate, usual.ema_decay)
    assert order.slicing == usual.slicing
    data = built.batch_order["data"][names.ORDER_FILE].encode()
    said = codec.loads(orders.SynthesisOrder, data, "order").settings
    assert (said.sdp_ratio, said.noise, said.noise_w) == (usual.sdp_ratio, usual.noise, 0.8)


def test_a_small_voice_may_be_trained_otherwise(build: Build) -> None:
    said = {"learningRate": "0.0005", "emaDecay": "0"}
    training = trained(build({"model": {"preset": "small"}, "training": said})).training
    assert (training.learning_rate, training.ema_decay) == (0.0005, None)


def recordings(**fields: Any) -> dict[str, Any]:
    return {"dataset": {"source": {"type": "S3", "s3": {"prefix": "khazix/"}}} | fields}


def test_recordings_may_be_an_archive(build: Build) -> None:
    http = {"url": "https://example.com/a.zip", "sha256": "b" * 64, "prefix": "a/"}
    built = build({"dataset": {"source": {"type": "HTTP", "http": http}}})
    expected = orders.Dataset(type="HTTP", url="https://example.com/a.zip", sha256="b" * 64, prefix="a/")
    assert trained(built).dataset == expected
    assert not any(prefix.startswith("recordings/") for prefix in built.watched)


def test_a_list_of_clips_reaches_the_order(build: Build) -> None:
    said = recordings(format="EsdList", manifest="lists/esd.list", corrections="mine.jsonl")
    dataset = trained(build(said)).dataset
    assert (dataset.format, dataset.manifest, dataset.corrections) == ("EsdList", "lists/esd.list", "mine.jsonl")
    assert dataset.prefix == "recordings/ns/khazix/"


def test_lengths_of_clips_that_are_said_move_those_that_are_not(build: Build) -> None:
    order = trained(build(recordings(slicing={"maxSeconds": 9})))
    assert order.slicing == orders.Slicing(aim_min_s=9, aim_max_s=9, min_s=2, max_s=9)


def test_thresholds_reach_the_order_and_none_switches_one_off(build: Build) -> None:
    said = {"minGrade": "B", "minDnsmos": "none", "minSnrDb": "6", "maxSyllablesPerSecond": "10.5"}
    judging = trained(build(recordings(judging=said))).judging
    expected = orders.Judging(min_grade="B", min_dnsmos=None, min_snr_db=6, max_syllables_per_s=10.5)
    assert judging == expected


def test_every_threshold_of_an_order_can_be_said_in_a_voice(build: Build) -> None:
    said = {field.name.replace("_per_second", "_per_s") for field in dataclasses.fields(resources.Judging)}
    assert said == {field.name for field in dataclasses.fields(orders.Judging)}
    switched_off = {codec.camel_case(field.name): "none" for field in dataclasses.fields(resources.Judging)}
    judging = trained(build(recordings(judging=switched_off | {"minGrade": "C"}))).judging
    assert {value for name, value in vars(judging).items() if name != "min_grade"} == {None}


def test_a_review_is_ordered_and_is_no_other_wish_of_training(build: Build) -> None:
    before, after = build(), build({"review": True})
    assert (trained(before).review, trained(after).review) == (False, True)
    marks = [built.job["metadata"]["annotations"] for built in (before, after)]
    assert marks[0][names.ANNOTATION_WISH] == marks[1][names.ANNOTATION_WISH]
    assert marks[0][names.ANNOTATION_PREPARING] != marks[1][names.ANNOTATION_PREPARING]


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
        second_recogniser="none",
        aligner="none",
    )
    heard = {"secondRecogniser": "store:whisper-small", "aligner": "store:./wav2vec2"}
    sources = trained(build({"model": {"preset": "tiny", "sources": heard}})).model.sources
    assert (sources.second_recogniser, sources.aligner) == ("store:whisper-small", "store:./wav2vec2")
    said = {"wavlm": "store:wavlm", "polyphone": "store:g2pw", "speakerEmbedding": "none"}
    sources = trained(build({"model": {"preset": "zh-clap", "sources": said}})).model.sources
    assert (sources.wavlm, sources.polyphone, sources.speaker_embedding) == ("store:wavlm", "store:g2pw", "none")


def test_servers_and_batches_speak_in_the_precision_of_serving_and_training_has_its_own(build: Build) -> None:
    for said, spoken, learnt in (
        ({}, "FP32", "FP32"),
        ({"serving": {"precision": "BF16"}}, "BF16", "FP32"),
        ({"training": {"precision": "BF16"}}, "FP32", "BF16"),
    ):
        built = build(said)
        data = built.batch_order["data"][names.ORDER_FILE].encode()
        assert served(built).precision == codec.loads(orders.SynthesisOrder, data, "order").precision == spoken
        assert trained(built).training.precision == learnt


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
    assert marks[0][names.ANNOTATION_PREPARING] != marks[1][names.ANNOTATION_PREPARING]


def test_the_longest_lexicon_fits_into_a_variable_of_a_pod(build: Build) -> None:
    words = {f"{number:03}" + "重" * 17: " ".join(["zhuang4"] * 20) for number in range(256)}
    built = build({"text": {"lexicon": words}})
    variables = {item["name"]: item.get("value") for item in built.pods["server"]["containers"][0]["env"]}
    assert len(variables[names.ENV_SERVING_ORDER].encode()) < 128 * 1024, "Linux takes no longer one"
