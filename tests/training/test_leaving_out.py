"""A share of the clips is trained without its text features, another in the speaker's usual style."""

from __future__ import annotations

import torch
from kelong_speech import draws
from kelong_trainer.training import leaving_out

CLIPS = tuple(f"clip {number}" for number in range(400))


def left_out(workshop, step: int = 1, **shares: float):
    """The batch's text before and after, many copies of one clip under names of their own."""
    text = workshop.batch(("a", 7, 24)).text
    many = {name: value.expand(len(CLIPS), *value.shape[1:]) for name, value in vars(text).items() if value is not None}
    text = type(text)(**many)
    styles = leaving_out.replacing_styles(workshop.config(), "fixed")
    given = {"text_feature_share": 0.0, "style_share": 0.0, **shares}
    return text, leaving_out.apply(text, draws.Draws(3, step, CLIPS), styles, **given)


def test_about_the_ordered_share_of_clips_is_spoken_from_its_phonemes(workshop) -> None:
    before, after = left_out(workshop, text_feature_share=0.2)
    silent = (after.text_features == 0).all(dim=(1, 2))
    assert 0.14 < silent.float().mean() < 0.26
    assert after.text_features[~silent].equal(before.text_features[~silent])
    assert after.phone_ids.equal(before.phone_ids) and after.style.equal(before.style)


def test_about_the_ordered_share_of_clips_gets_the_speakers_usual_style(workshop) -> None:
    before, after = left_out(workshop, style_share=0.1)
    usual = torch.tensor(workshop.config().speakers[1].style)
    replaced = (after.style - usual).abs().amax(dim=1) < 1e-6
    assert 0.06 < replaced.float().mean() < 0.14
    assert after.style[~replaced].equal(before.style[~replaced])


def test_which_clips_they_are_changes_from_step_to_step_and_nothing_else_changes_it(workshop) -> None:
    chosen = [left_out(workshop, step, style_share=0.3)[1].style for step in (1, 1, 2)]
    assert chosen[0].equal(chosen[1]) and not chosen[0].equal(chosen[2])


def test_what_is_left_out_of_one_kind_does_not_tell_what_is_of_the_other(workshop) -> None:
    _, after = left_out(workshop, style_share=0.5, text_feature_share=0.5)
    silent = (after.text_features == 0).all(dim=(1, 2))
    usual = (after.style - torch.tensor(workshop.config().speakers[1].style)).abs().amax(dim=1) < 1e-6
    assert 0.15 < (silent & usual).float().mean() < 0.35


def test_as_the_original_one_vector_of_unit_length_stands_for_all(workshop) -> None:
    styles = leaving_out.replacing_styles(workshop.config(), "as-original")
    assert styles is not None
    assert torch.allclose(styles.norm(dim=1), torch.ones(2)) and styles[0].equal(styles[1])
    settings = workshop.settings(profile="as-original", text_feature_dropout=0.2, style_dropout=0.1)
    assert (settings.text_feature_dropout, settings.style_dropout) == (0.0, 0.1)


def test_a_model_without_text_features_or_style_has_nothing_to_leave_out(plain_workshop) -> None:
    assert leaving_out.replacing_styles(plain_workshop.config(), "fixed") is None
    text = plain_workshop.batch().text
    after = leaving_out.apply(text, draws.Draws(3, 1, ("a", "bb")), None, text_feature_share=0.0, style_share=0.5)
    assert after == text
