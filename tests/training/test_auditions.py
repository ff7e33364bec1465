"""Steps are heard one after another; one that is gone by then is passed over."""

from __future__ import annotations

from kelong_contract import codec, layout, manifests
from kelong_trainer import auditions


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
