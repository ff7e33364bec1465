from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from kelong_contract import layout

VOICE = layout.Voice(namespace="studio", name="khazix", uid="6f1c")


def test_keys_are_as_the_documentation_says() -> None:
    assert (
        layout.checkpoint_file(VOICE, 1000, 2, "state.json")
        == "voices/studio/khazix/6f1c/checkpoints/1000/2/state.json"
    )
    assert layout.checkpoint_manifest(VOICE, 1000) == "voices/studio/khazix/6f1c/checkpoints/1000/manifest.json"
    assert layout.pins(VOICE) == "voices/studio/khazix/6f1c/pins.json"
    assert layout.audition(VOICE, 1000, "greeting") == "voices/studio/khazix/6f1c/auditions/1000/greeting.wav"
    assert layout.synthesis_item(layout.synthesis("studio", "welcome"), "a", "wav") == "synthesis/studio/welcome/a.wav"


@given(step=st.integers(0, 10**9), attempt=st.integers(1, 10**6))
def test_a_manifests_key_gives_its_step_back_and_no_other_key_does(step: int, attempt: int) -> None:
    assert layout.checkpoint_step(VOICE, layout.checkpoint_manifest(VOICE, step)) == step
    assert layout.checkpoint_step(VOICE, layout.checkpoint_file(VOICE, step, attempt, "manifest.json")) is None
    assert layout.lease_number(VOICE, layout.lease(VOICE, attempt)) == attempt
    assert layout.lease_number(VOICE, layout.checkpoint_manifest(VOICE, step)) is None


@pytest.mark.parametrize(
    ("made", "expected"),
    [
        (layout.recordings("studio", "khazix/"), "recordings/studio/khazix/"),
        (layout.recordings("studio", "khazix"), "recordings/studio/khazix/"),
        (layout.recordings("studio", ""), "recordings/studio/"),
        (layout.model_source("studio", "whisper-base"), "models/whisper-base/"),
        (layout.model_source("studio", "./mine"), "models/studio/mine/"),
    ],
)
def test_prefixes_stay_in_the_namespaces_part(made: str, expected: str) -> None:
    assert made == expected
