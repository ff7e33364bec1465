"""Steps are heard one after another; one that is gone by then is passed over."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import transformers
from kelong_contract import codec, layout, manifests
from kelong_speech import features
from kelong_trainer.scoring import auditions, speaking


def test_a_step_that_was_removed_before_its_turn_does_not_keep_the_next_from_being_heard(bench, here) -> None:
    publisher, save, _ = bench.publisher(bench.lease("one"), step=2)
    publisher.save(save)
    publisher.close()

    with auditions.running(bench.context()) as heard:
        heard.add(1)
        heard.add(2)
        heard.finish()

    assert not bench.store.exists(layout.audition_report(bench.place, 1))
    key = layout.audition_report(bench.place, 2)
    report = codec.loads(manifests.AuditionReport, bench.store.get(key), key)
    assert len(report.auditions) + len(report.failures) == 1


@pytest.fixture
def asked(bench, monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, bool, bool]]:
    """Which steps were handed over, whether to be judged, and whether their mark lay in the store by then."""
    handed: list[tuple[int, bool, bool]] = []
    real = auditions._ask

    def ask(process: Any, step: int, *, judged: bool) -> bool:
        handed.append((step, judged, bench.store.exists(layout.audition_judging(bench.place, step))))
        return real(process, step, judged=judged)

    monkeypatch.setattr(auditions, "_ask", ask)
    return handed


def figures_of(bench, step: int) -> manifests.Figures:
    key = layout.audition_report(bench.place, step)
    return codec.loads(manifests.AuditionReport, bench.store.get(key), key).figures


def test_a_step_whose_judging_never_ended_is_spoken_only_and_the_next_one_is_judged(bench, here, asked) -> None:
    for number in (2, 4):
        publisher, save, _ = bench.publisher(bench.lease("one"), step=number)
        publisher.save(save)
        publisher.close()
    killing = layout.audition_judging(bench.place, 2)
    bench.store.put(killing, b"{}")

    with auditions.running(bench.context()) as heard:
        heard.catch_up()
        heard.finish()

    assert asked == [(2, False, True), (4, True, True)]
    assert figures_of(bench, 2) == manifests.Figures() != figures_of(bench, 4)
    assert bench.store.exists(killing) and not bench.store.exists(layout.audition_judging(bench.place, 4))


def test_after_several_steps_whose_judging_never_ended_none_is_judged(bench, here, asked, caplog) -> None:
    publisher, save, _ = bench.publisher(bench.lease("one"), step=6)
    publisher.save(save)
    publisher.close()
    for number in (2, 4):
        bench.store.put(layout.audition_judging(bench.place, number), b"{}")

    with auditions.running(bench.context()) as heard:
        heard.catch_up()
        heard.finish()

    assert asked == [(6, False, False)] and figures_of(bench, 6) == manifests.Figures()
    assert "no step is judged: judging the steps 2, 4 killed this process" in caplog.text


def test_a_sentence_too_long_for_the_text_encoder_is_named_in_the_report(bench, tmp_path) -> None:
    publisher, save, _ = bench.publisher(bench.lease("one"), step=2, text_feature_channels=24)
    publisher.save(save)
    publisher.close()
    torch.manual_seed(2)
    sizes = {"vocab_size": 8, "hidden_size": 24, "num_hidden_layers": 4, "num_attention_heads": 2}
    positions = {"intermediate_size": 32, "max_position_embeddings": 4}  # two characters and the edges
    transformers.BertModel(transformers.BertConfig(**sizes, **positions)).save_pretrained(tmp_path / "bert")
    (tmp_path / "bert" / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\n你\n好\n", encoding="utf-8")
    encoder = features.TextEncoder.load(tmp_path / "bert")

    report = speaking.hear(bench.store, bench.order(), 2, tmp_path / "weights", encoder)

    [failure] = report.failures
    assert (failure.name, report.auditions) == ("hello", ()) and "the text encoder takes 2" in failure.message
