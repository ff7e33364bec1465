"""The reasons that a program gives for refusing: each reaches the operator, and each is told in an event."""

from __future__ import annotations

import pytest
from kelong_contract import conditions, farewell

TRAINERS = (
    conditions.TOO_FEW_CLIPS,
    conditions.DATASET_INVALID,
    conditions.NAN_LOSS,
    conditions.SPEAKERS_OVERLAP,
    conditions.RECORDINGS_CHANGED,
)


@pytest.mark.parametrize("reason", TRAINERS)
def test_the_last_words_carry_every_reason_of_the_trainer(reason: str) -> None:
    assert farewell.parse(f"{reason}: look here") == (reason, "look here")


@pytest.mark.parametrize("reason", TRAINERS)
def test_a_dataset_that_is_refused_is_told_in_an_event_whatever_the_reason(reason: str) -> None:
    found = conditions.Finding(type=conditions.DATASET_READY, status="False", reason=reason, message="look here")
    [event] = conditions.events((), conditions.merge((), (found,), 1, "2024-01-13T00:00:00Z"))
    assert (event.kind, event.reason, event.message) == ("Warning", "DatasetInvalid", "look here")
