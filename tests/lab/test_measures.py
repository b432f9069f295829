"""Intervals cover the truth, differences are paired, and a control takes away what is not about safeguards."""

from __future__ import annotations

import numpy as np
import pytest

from stillwatch.lab.experiments.skill_and_safeguard import judged
from stillwatch.lab.measures import (
    Estimate,
    bootstrap,
    bootstrap_by_seed,
    exchanges_to_share,
    verdict,
)


def planted(rng, seeds, prompts, effect):
    """Differences with an effect, noise of seeds, of prompts, and of each pair."""
    return (
        effect
        + 0.1 * rng.normal(size=(seeds, 1))
        + 0.1 * rng.normal(size=(1, prompts))
        + 0.3 * rng.normal(size=(seeds, prompts))
    )


def test_intervals_cover_a_planted_effect_about_as_often_as_they_say():
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(200):
        found = bootstrap(planted(rng, 12, 64, 0.05), draws=400)
        covered.append(found.low <= 0.05 <= found.high)
    assert 0.85 < np.mean(covered) < 0.99


def test_an_interval_knows_that_the_seeds_differ():
    rng = np.random.default_rng(2)
    noisy = np.repeat(rng.normal(size=(9, 1)), 64, axis=1)
    found = bootstrap(noisy)
    assert found.high - found.low > 2 * noisy[:, 0].std() / 3
    pooled = bootstrap(np.resize(noisy.ravel(), (576, 1)))
    assert pooled.high - pooled.low < (found.high - found.low) / 4


def test_a_difference_is_the_weighted_mean_that_loops_give():
    rng = np.random.default_rng(3)
    values = rng.random((3, 4))
    draws = []
    for _ in range(4000):
        seeds, prompts = rng.integers(0, 3, 3), rng.integers(0, 4, 4)
        draws.append(np.mean([[values[seed, prompt] for prompt in prompts] for seed in seeds]))
    found = bootstrap(values)
    assert found.value == pytest.approx(values.mean())
    assert [found.low, found.high] == pytest.approx(np.quantile(draws, [0.025, 0.975]), abs=0.02)


def test_statistics_of_seeds_are_resampled_by_seed():
    found = bootstrap_by_seed(np.array([1.0, 2.0, 4.0, 8.0]), lambda values: float(np.median(values)))
    assert found.value == 3.0
    assert 1.0 <= found.low < 3.0 < found.high <= 8.0


def test_half_of_the_gain_is_found_between_points_before_them_or_never():
    assert exchanges_to_share([10, 100], [0.6, 0.9]) == 10
    assert exchanges_to_share([10, 100], [0.1, 0.2]) == float("inf")
    assert exchanges_to_share([10, 1000], [0.0, 1.0]) == pytest.approx(100)


@pytest.mark.parametrize(
    ("estimate", "said"),
    [
        (Estimate(0.1, 0.02, 0.2, 9), "holds"),
        (Estimate(0.1, -0.02, 0.2, 9), "undecided"),
        (Estimate(-0.1, -0.2, -0.05, 9), "does not hold"),
        (Estimate(0.1, 0.02, 0.2, 8), "undecided: 8 seeds, 9 are needed"),
    ],
)
def test_a_verdict_needs_nine_seeds_and_an_interval_on_one_side(estimate, said):
    assert verdict(estimate) == said


@pytest.mark.parametrize(
    ("estimate", "said"),
    [
        (Estimate(-0.4, -0.6, -0.2, 9), "holds"),
        (Estimate(0.4, 0.2, 0.6, 9), "does not hold: the other loses more"),
        (Estimate(0.0, -0.3, 0.3, 9), "undecided"),
        (Estimate(-0.4, -0.6, -0.2, 3), "undecided: 3 seeds, 9 are needed"),
    ],
)
def test_a_safeguard_loses_more_only_where_the_whole_interval_says_so(estimate, said):
    assert judged(estimate) == said
