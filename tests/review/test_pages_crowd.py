"""Fifty analysts at once, over HTTP: no decision is lost and none is made twice."""

from __future__ import annotations

from pathlib import Path

from stillwatch.response.policy import Policy
from stillwatch.store.database import Store
from stillwatch.store.loading import load
from tests.review.crowd import crowd
from tests.review.results import accounts, campaign, write_result
from tests.review.serving import NOW, served

ANALYSTS, CONTESTED = 50, 3


def test_fifty_analysts_at_once_lose_no_decision_and_make_none_twice(store: Store, tmp_path: Path) -> None:
    names = [f"c-{number}" for number in range(CONTESTED + ANALYSTS)]
    found = [campaign(name, [f"f-{name}"], accounts(name, 3)) for name in names]
    load(store, write_result(tmp_path / "result", found), "root", Policy(), NOW)
    with served(store) as address:
        came = crowd(store, address, ANALYSTS, names[:CONTESTED], names[CONTESTED:])
    assert came.told == dict.fromkeys(names, 1)
    assert came.refused == CONTESTED * (ANALYSTS - 1)
    assert (came.other, came.lost, came.doubled, came.broken) == ({}, 0, 0, "")
