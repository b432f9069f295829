"""A result goes into a store whole, or not at all with a reason."""

from __future__ import annotations

import datetime as dt
import random
from pathlib import Path

import pytest

from stillwatch.response.policy import Policy
from stillwatch.store import StoreError
from stillwatch.store.cases import queue
from stillwatch.store.database import Store
from stillwatch.store.loading import LONGEST_NAME, load
from tests.review.results import accounts, campaign, write_result

NOW = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)


def letters(count: int) -> str:
    """Text that no database makes shorter."""
    return "".join(
        random.Random(7).choices("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", k=count)
    )


@pytest.mark.parametrize(
    ("user", "said"), [("\0x", "has a zero byte"), (letters(12_000), "is longer than 2,500 bytes")]
)
def test_a_name_that_a_database_cannot_hold_is_named_and_nothing_is_loaded(
    store: Store, tmp_path: Path, user: str, said: str
) -> None:
    found = [campaign("c-1", ["f-a"], [*accounts("small", 3), ("reseller", user)])]
    result = write_result(tmp_path / "result", found)
    if store.engine.dialect.name == "sqlite":
        load(store, result, "ann", Policy(), NOW)
        assert len(queue(store)["rows"]) == 1
        return
    with pytest.raises(StoreError, match=rf"accounts\.parquet: the name of account 'reseller' .* {said}"):
        load(store, result, "ann", Policy(), NOW)
    assert queue(store)["rows"] == []


def test_the_longest_name_is_loaded(store: Store, tmp_path: Path) -> None:
    name = letters(LONGEST_NAME)
    found = [campaign("c-1", ["f-a"], [*accounts("small", 3), (name, None)])]
    load(store, write_result(tmp_path / "result", found), "ann", Policy(), NOW)
    assert len(queue(store)["rows"]) == 1
