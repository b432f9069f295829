"""Links between suspect families: succession, against a plain version of itself and against waves of bans."""

from __future__ import annotations

from itertools import combinations, pairwise

import numpy as np
import pytest

from stillwatch.links.base import Suspects, overlaps
from stillwatch.links.succession import Succession
from stillwatch.signals.succession import HOUR_US, QUIET_US, SOON_US

DAYS = 20


def suspects(*families: list[tuple[float, float]]) -> Suspects:
    """Families of principals that live from one hour to another, and two that span the whole log."""
    lives = np.array([(0.0, 24.0 * DAYS), *(life for family in families for life in family)])
    sizes = np.cumsum([1, *map(len, families)])
    first, last = (lives * HOUR_US).astype(np.int64).T
    own = [np.arange(start, stop, dtype=np.int32) for start, stop in pairwise(sizes.tolist())]
    empty = [np.empty((2, 0), np.int64) for _ in families]
    return Suspects(
        np.arange(len(families), dtype=np.int32) + 10, own, own, empty, len(lives), {}, first, last
    )


def waves(
    rng: np.random.Generator, accounts: int, *, replaced: bool
) -> tuple[list[tuple[float, float]], ...]:
    """Accounts that are banned in waves, a tenth of them every other day, and those that take their place."""
    banned = 24.0 * np.repeat(np.arange(4, 4 + DAYS - 8, 2), accounts // 6) + rng.uniform(
        0, 2, accounts // 6 * 6
    )
    old = [(float(rng.uniform(0, 24)), float(end)) for end in banned]
    starts = banned + rng.uniform(0.5, 5.0, len(banned)) if replaced else rng.uniform(72, 400, len(banned))
    new = [(float(start), 24.0 * DAYS - 1) for start in starts]
    return old, new


def pairs(given: Suspects) -> list[tuple[int, int]]:
    return [(link.first, link.second) for link in Succession().find(given)]


@pytest.mark.parametrize("seed", range(5))
def test_a_family_that_takes_the_place_of_another_joins_it(seed: int) -> None:
    old, new = waves(np.random.default_rng(seed), 60, replaced=True)
    assert pairs(suspects(old, new)) == [(10, 11)]
    assert pairs(suspects(new, old)) == [(10, 11)]


@pytest.mark.parametrize("seed", range(20))
def test_families_that_begin_and_end_for_themselves_stay_apart(seed: int) -> None:
    assert not pairs(suspects(*waves(np.random.default_rng(seed), 60, replaced=False)))


@pytest.mark.parametrize("seed", range(20))
def test_two_operators_under_the_same_waves_of_bans_stay_apart(seed: int) -> None:
    rng = np.random.default_rng(seed)
    one, other = ([*old, *new] for old, new in (waves(rng, 60, replaced=True) for _ in range(2)))
    assert not pairs(suspects(one, other))


def test_one_pair_and_one_day_join_nothing() -> None:
    steady = [(1.0, 24.0 * DAYS - 1)] * 20
    assert not pairs(suspects([*steady, (1.0, 200.0)], [*steady, (202.0, 24.0 * DAYS - 1)]))
    one_day = [(1.0, 200.0 + place / 10) for place in range(30)]
    assert not pairs(suspects(one_day, [(end + 1.5, 24.0 * DAYS - 1) for _, end in one_day]))


def test_the_excess_is_that_of_pairs_counted_one_by_one() -> None:
    old, new = waves(np.random.default_rng(3), 60, replaced=True)
    last = 24 * DAYS
    quiet, soon = QUIET_US // HOUR_US, SOON_US // HOUR_US
    ends = [int(end) for _, end in old if end <= last - quiet]
    begins = [int(start) for start, _ in new if quiet <= start <= last - quiet - soon]
    after = sum(0 < start - end <= soon for start in begins for end in ends)
    before = sum(0 < end - start <= soon for start in begins for end in ends)
    (link,) = Succession().find(suspects(old, new))
    assert f"{len(ends)} principals end, and {after} times" in link.reason
    assert f"{before} would by chance" in link.reason
    assert link.bits == pytest.approx(np.log2((after + 1) / (before + 1)))


def test_common_elements_are_those_of_each_two_sets() -> None:
    rng = np.random.default_rng(5)
    sets = [np.unique(rng.integers(0, 200, size)) for size in rng.integers(0, 60, 40)]
    plain = {
        (first, second): len(np.intersect1d(sets[first], sets[second]))
        for first, second in combinations(range(len(sets)), 2)
    }
    found = {
        (first, second): count
        for first, others, common in overlaps(sets)
        for second, count in zip(others.tolist(), common.tolist(), strict=True)
    }
    assert found == {pair: common for pair, common in plain.items() if common}
    assert not list(overlaps([]))
