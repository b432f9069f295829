"""What a first start makes, and that a second one makes nothing."""

from __future__ import annotations

import pytest

from stillwatch.response.policy import Policy
from stillwatch.review.serving import FIRST, begin
from stillwatch.store.cases import queue
from stillwatch.store.database import Store
from stillwatch.store.scans import all_scans
from stillwatch.store.users import all_users


def test_a_first_start_makes_an_admin_and_says_how_to_load_a_scan(store: Store) -> None:
    said: list[str] = []
    begin(store, Policy(), demo=False, say=said.append)
    assert [(one["name"], one["role"]) for one in all_users(store)] == [(FIRST, "admin")]
    assert len([line for line in said if "with the password" in line]) == 1
    assert "stillwatch review load DIR" in said[-1]
    said.clear()
    begin(store, Policy(), demo=False, say=said.append)
    assert len(all_users(store)) == 1
    assert not any("password" in line for line in said)


@pytest.mark.slow
def test_an_empty_store_is_filled_with_the_demo_once(store: Store) -> None:
    said: list[str] = []
    begin(store, Policy(), demo=True, say=said.append)
    found = queue(store)["rows"]
    assert len(found) >= 3
    assert {row["verdict"] for row in found} == {"extraction"}
    begin(store, Policy(), demo=True, say=said.append)
    assert len(all_scans(store)) == 1
    assert queue(store)["rows"] == found
