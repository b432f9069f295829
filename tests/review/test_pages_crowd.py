"""Fifty analysts at once, over HTTP: no decision is lost and none is made twice."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillwatch.response.policy import Policy
from stillwatch.store.database import Store
from stillwatch.store.loading import load
from tests.review.crowd import crowd
from tests.review.results import accounts, campaign, write_result
from tests.review.serving import NOW, served

ANALYSTS, CONTESTED, PROPOSED = 50, 3, 2


@pytest.mark.parametrize("own", [1, pytest.param(40, marks=pytest.mark.slow)])
def test_fifty_analysts_at_once_lose_no_decision_and_make_none_twice(
    store: Store, tmp_path: Path, own: int
) -> None:
    names = [f"c-{number}" for number in range(PROPOSED + CONTESTED + own * ANALYSTS)]
    found = [campaign(name, [f"f-{name}"], accounts(name, 3)) for name in names]
    load(store, write_result(tmp_path / "result", found), "root", Policy(), NOW)
    proposed, decided = names[:PROPOSED], names[PROPOSED:]
    with served(store) as address:
        came = crowd(store, address, ANALYSTS, decided[:CONTESTED], decided[CONTESTED:], proposed)
    assert came.told == dict.fromkeys(decided, 1)
    assert sorted(came.approved.values()) == [1] * PROPOSED
    assert came.refused == (PROPOSED + CONTESTED) * (ANALYSTS - 1)
    assert (came.other, came.lost, came.doubled, came.broken) == ({}, 0, 0, "")
