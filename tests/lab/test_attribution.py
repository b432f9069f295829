"""Shapley values and interactions against all orders of sources, written out."""

from __future__ import annotations

from itertools import combinations, permutations

import numpy as np
import pytest

from stillwatch.lab.attribution import interaction, shapley
from stillwatch.lab.experiments.attribution import SUBSETS

SOURCES = "ORT"


def drawn(seed):
    rng = np.random.default_rng(seed)
    return {frozenset(some): rng.random((3, 5)) for some in SUBSETS}


def naive_shapley(cells, source):
    gains = []
    for order in permutations(SOURCES):
        before = frozenset(order[: order.index(source)])
        gains.append(cells[before | {source}] - cells[before])
    return np.mean(gains, axis=0)


def naive_pair(cells, first, second):
    """Mean over orders in which a pair comes as one: Grabisch & Roubens' index of two sources."""
    rest = [source for source in SOURCES if source not in (first, second)]
    total = []
    for order in permutations(["pair", *rest]):
        base = frozenset(order[: order.index("pair")])
        total.append(
            cells[base | {first, second}] - cells[base | {first}] - cells[base | {second}] + cells[base]
        )
    return np.mean(total, axis=0)


def test_shares_are_the_mean_over_all_orders_and_sum_to_the_whole_gain():
    cells = drawn(1)
    found = {source: shapley(cells, source) for source in SOURCES}
    for source in SOURCES:
        np.testing.assert_allclose(found[source], naive_shapley(cells, source), atol=1e-12)
    np.testing.assert_allclose(
        sum(found.values()), cells[frozenset(SOURCES)] - cells[frozenset()], atol=1e-12
    )


def test_interactions_are_what_sources_give_together_and_nothing_where_they_only_add_up():
    cells = drawn(2)
    for pair in combinations(SOURCES, 2):
        np.testing.assert_allclose(interaction(cells, pair), naive_pair(cells, *pair), atol=1e-12)
    worth = {"O": 0.1, "R": 0.2, "T": 0.4}
    adding = {some: np.array(sum(worth[source] for source in some)) for some in SUBSETS}
    for size in (2, 3):
        for some in combinations(SOURCES, size):
            assert float(interaction(adding, some)) == pytest.approx(0)
    needing = {some: np.array(float(some == frozenset(SOURCES))) for some in SUBSETS}
    assert float(interaction(needing, SOURCES)) == 1
    assert float(shapley(needing, "T")) == pytest.approx(1 / 3)
