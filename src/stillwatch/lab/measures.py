"""What is measured on the outcomes: curves, N50, transfer, and their intervals.

An interval is a paired bootstrap over seeds and prompts at once: both are resampled with replacement, the same draw
for all that is compared (Owen 2007 on crossed random effects; it errs to the wide side). Arrays of hits have the
shape [S, Q], seeds and prompts.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[np.float64]
DRAWS = 4000
LEVEL = 0.95
LEAST_GAIN = 1e-9  # a teacher that is no better than chance has nothing to give


@dataclass(frozen=True, slots=True)
class Estimate:
    """A number with its interval."""

    value: float
    low: float
    high: float
    seeds: int

    def text(self) -> str:
        """The number as tables print it.

        >>> Estimate(0.07212, 0.041, 0.1, 9).text()
        '+0.072 [+0.041, +0.100]'
        """
        return f"{self.value:+.3f} [{self.low:+.3f}, {self.high:+.3f}]"


def bootstrap(differences: Numbers, draws: int = DRAWS, seed: int = 0) -> Estimate:
    """Mean over seeds and prompts with its interval: differences [S, Q], paired by seed and by prompt.

    >>> bootstrap(np.full((9, 20), 0.25)).text()
    '+0.250 [+0.250, +0.250]'
    """
    seeds, prompts = differences.shape
    drawn = _weighted(differences, _weights(seeds, prompts, draws, seed))
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(differences.mean()), float(low), float(high), seeds)


def bootstrap_of(
    arms: Sequence[Numbers], statistic: Callable[[Numbers], Numbers], draws: int = DRAWS, seed: int = 0
) -> Estimate:
    """A statistic of the means of several arms, all resampled by the same draw of seeds and prompts.

    Args:
        arms: hits [S, Q] each.
        statistic: means [arms, draws] -> [draws].
        draws: resamples.
        seed: of the resamples.
    """
    seeds, prompts = arms[0].shape
    weights = _weights(seeds, prompts, draws, seed)
    drawn = statistic(np.stack([_weighted(arm, weights) for arm in arms]))
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    whole = statistic(np.array([[arm.mean()] for arm in arms]))
    return Estimate(float(whole[0]), float(low), float(high), seeds)


def bootstrap_by_seed(values: Numbers, statistic: Callable[[Numbers], float], draws: int = DRAWS) -> Estimate:
    """A statistic of one number a seed, with an interval over seeds alone: values [S]."""
    drawn = np.array([statistic(values[each]) for each in _drawn(len(values), draws)])
    return _estimate(statistic(values), drawn, len(values))


def mean_by_seed(values: Numbers, draws: int = DRAWS) -> Estimate:
    """:func:`bootstrap_by_seed` of the mean, all draws at once.

    >>> mean_by_seed(np.array([0.25, 0.5, 0.75])) == bootstrap_by_seed(np.array([0.25, 0.5, 0.75]), np.mean)
    True
    """
    drawn = values[_drawn(len(values), draws)].mean(axis=1)
    return _estimate(float(values.mean()), drawn, len(values))


@cache
def _drawn(seeds: int, draws: int) -> npt.NDArray[np.int64]:
    """Seeds of each resample: int64[draws, seeds], always the same."""
    return np.random.default_rng(0).integers(0, seeds, (draws, seeds))


def _estimate(value: float, drawn: Numbers, seeds: int) -> Estimate:
    low, high = np.quantile(drawn, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return Estimate(float(value), float(low), float(high), seeds)


@lru_cache(maxsize=2)  # hundreds of megabytes for ten thousand test images, and the same ones every time
def _weights(seeds: int, prompts: int, draws: int, seed: int) -> tuple[Numbers, Numbers]:
    rng = np.random.default_rng([seed, seeds, prompts])
    of_seeds = rng.multinomial(seeds, np.full(seeds, 1 / seeds), draws) / seeds
    of_prompts = rng.multinomial(prompts, np.full(prompts, 1 / prompts), draws) / prompts
    return of_seeds, of_prompts


def _weighted(values: Numbers, weights: tuple[Numbers, Numbers]) -> Numbers:
    of_seeds, of_prompts = weights
    result: Numbers = ((of_seeds @ values) * of_prompts).sum(axis=1)
    return result


def exchanges_to_share(exchanges: Sequence[int], gains: Sequence[float], share: float = 0.5) -> float:
    """Exchanges at which a curve first reaches a share of the teacher's gain, between points on a log scale.

    Infinite where it never does, and the smallest count where the first point has reached it already.

    >>> exchanges_to_share([100, 400, 1600], [0.0, 0.25, 0.75])
    800.0
    """
    if gains[0] >= share:
        return float(exchanges[0])
    for place in range(1, len(gains)):
        if gains[place] >= share:
            part = (share - gains[place - 1]) / (gains[place] - gains[place - 1])
            first, second = np.log(exchanges[place - 1]), np.log(exchanges[place])
            return float(round(np.exp(first + part * (second - first)), 6))
    return float("inf")


def transfer(student: float, teacher: float, base: float) -> float:
    """Share of the teacher's gain over ``base`` that a student has.

    >>> transfer(0.55, 1.0, 0.1)
    0.5
    """
    return round((student - base) / max(teacher - base, LEAST_GAIN), 12)


def verdict(estimate: Estimate, *, least_seeds: int = 9) -> str:
    """What an estimate of "more than nothing" says: holds, does not hold, or undecided.

    It holds where the whole interval lies above zero; "does not hold" where none of it lies above a hundredth.
    """
    if estimate.seeds < least_seeds:
        return f"undecided: {estimate.seeds} seeds, {least_seeds} are needed"
    if estimate.low > 0:
        return "holds"
    if estimate.high <= 0.01:
        return "does not hold"
    return "undecided"
