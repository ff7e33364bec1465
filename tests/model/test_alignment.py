"""The alignment search finds the best monotonic path, proven against trying every path."""

import itertools

import hypothesis
import hypothesis.strategies as st
import numpy as np
import pytest
import torch
from kelong_speech import alignment


def best_total_by_trying(scores):
    """The largest sum over all ways to give each phoneme, in order, at least one frame."""
    frames, phones = scores.shape
    totals = []
    for cuts in itertools.combinations(range(1, frames), phones - 1):
        edges = [0, *cuts, frames]
        totals.append(sum(scores[edges[p] : edges[p + 1], p].sum() for p in range(phones)))
    return max(totals)


def total_of(scores, durations):
    owners = np.repeat(np.arange(len(durations)), durations)
    return scores[np.arange(len(owners)), owners].sum()


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(st.integers(1, 5), st.integers(0, 5), st.integers(0, 2**32 - 1))
def test_no_path_is_better(phones, spare, seed):
    frames = phones + spare
    scores = np.random.default_rng(seed).normal(size=(frames, phones)).astype(np.float32) * 10
    found = alignment.search(torch.from_numpy(scores)[None], torch.tensor([phones]), torch.tensor([frames]))[0].numpy()
    assert found.min() >= 1 and found.sum() == frames
    assert total_of(scores, found) == pytest.approx(best_total_by_trying(scores), abs=1e-3)


def plainly_searched(scores):
    """The search as its definition reads: a table of best sums, and a way back on which ties stay."""
    frames, phones = scores.shape
    best = np.full((frames, phones), -np.inf, np.float32)
    for frame, phone in itertools.product(range(frames), range(phones)):
        if phone <= frame and phones - phone <= frames - frame:
            before = [best[frame - 1, phone]] if frame else []
            before += [best[frame - 1, phone - 1]] if frame and phone else []
            best[frame, phone] = scores[frame, phone] + (max(before) if frame else 0)
    durations, phone = [0] * phones, phones - 1
    for frame in reversed(range(frames)):
        durations[phone] += 1
        if phone and (phone == frame or best[frame - 1, phone] < best[frame - 1, phone - 1]):
            phone -= 1
    return durations


@hypothesis.settings(deadline=None, max_examples=60)
@hypothesis.given(st.integers(1, 7), st.integers(0, 8), st.sampled_from([1, 2, 1000]), st.integers(0, 2**32 - 1))
def test_among_equal_paths_it_is_the_one_that_stays(phones, spare, values, seed):
    scores = np.random.default_rng(seed).integers(0, values, (phones + spare, phones)).astype(np.float32)
    found = alignment.search(torch.from_numpy(scores)[None], torch.tensor([phones]), torch.tensor([phones + spare]))
    assert found[0].tolist() == plainly_searched(scores)


@pytest.mark.parametrize("threads", [1, 3])
def test_what_is_found_does_not_depend_on_the_number_of_threads(threads, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    scores = torch.randn(5, 60, 20, generator=torch.Generator().manual_seed(4))
    counts, frames = torch.tensor([20, 3, 11, 20, 1]), torch.tensor([60, 60, 12, 20, 59])
    found = alignment.search(scores, counts, frames)
    for item in range(5):
        own = scores[item, : frames[item], : counts[item]].numpy()
        assert found[item, : counts[item]].tolist() == plainly_searched(own)


def test_an_item_is_aligned_as_it_is_alone():
    scores = torch.randn(3, 40, 12, generator=torch.Generator().manual_seed(2))
    phones, frames = torch.tensor([12, 5, 8]), torch.tensor([30, 40, 8])
    together = alignment.search(scores, phones, frames)
    for item in range(3):
        alone = alignment.search(
            scores[item : item + 1, : frames[item], : phones[item]], phones[item : item + 1], frames[item : item + 1]
        )
        assert torch.equal(together[item, : phones[item]], alone[0])
        assert together[item, phones[item] :].sum() == 0


def test_the_scores_are_left_as_they_were():
    scores = torch.randn(1, 6, 3)
    before = scores.clone()
    alignment.search(scores, torch.tensor([3]), torch.tensor([6]))
    assert torch.equal(scores, before)


def test_fewer_frames_than_symbols_are_refused():
    with pytest.raises(ValueError, match="item 1 of the batch has 5 symbols but only 4 frames"):
        alignment.search(torch.zeros(2, 6, 5), torch.tensor([3, 5]), torch.tensor([6, 4]))


def test_likelihoods_are_those_of_a_normal_distribution():
    latent, mean, log_deviation = torch.randn(2, 6, 9), torch.randn(2, 6, 4), 0.3 * torch.randn(2, 6, 4)
    found = alignment.log_likelihoods(latent, mean, log_deviation)
    normal = torch.distributions.Normal(mean.unsqueeze(2), log_deviation.exp().unsqueeze(2))
    expected = normal.log_prob(latent.unsqueeze(3)).sum(dim=1)
    assert torch.allclose(found, expected, atol=1e-4)


def test_noise_is_as_wide_as_an_items_own_scores():
    scores = torch.randn(2, 50, 20) * torch.tensor([1.0, 100.0]).view(2, 1, 1)
    counts, frames = torch.tensor([20, 10]), torch.tensor([50, 30])
    noise = torch.randn(2, 50, 20)
    added = alignment.with_noise(scores, counts, frames, 0.01, noise) - scores
    alone = alignment.with_noise(scores[1:, :30, :10], counts[1:], frames[1:], 0.01, noise[1:, :30, :10])
    assert torch.allclose(added[1, :30, :10], alone[0] - scores[1, :30, :10], rtol=1e-4, atol=1e-6)
    assert float(added[0].std()) == pytest.approx(0.01 * float(scores[0].std()), rel=0.1)


def test_expanding_repeats_each_column_over_its_frames():
    values = torch.tensor([[[1.0, 2.0, 3.0]], [[4.0, 5.0, 6.0]]])
    expanded = alignment.expand(values, torch.tensor([[2, 1, 3], [1, 2, 0]]), 6)
    assert expanded[:, 0].tolist() == [[1, 1, 2, 3, 3, 3], [4, 5, 5, 0, 0, 0]]
