"""Tables of a log as a whole, against plain counting: whereabouts, releases, and what requests state."""

from __future__ import annotations

from collections import defaultdict
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stillwatch.engine.duckdb import DuckDBEngine
from stillwatch.fingerprint import SKETCH_SCHEMA
from stillwatch.streams import DAY_US, HOUR_US, NARROW_SCHEMA, narrowed, number, register_log, releases_of

DAYS = 10
NEW, OLD = "model-2", "model-1"


def log(seed: int = 0, accounts: int = 40, exchanges: int = 1500) -> list[dict[str, Any]]:
    """A log in which model-2 comes up on the fifth day; a cloud network serves every country, the others one."""
    rng = np.random.default_rng(seed)
    rows = []
    for _ in range(exchanges):
        account = int(rng.integers(accounts))
        at = int(rng.integers(DAYS * DAY_US))
        home = ("DE", "FR", "US")[account % 3]
        hops = account % 10 == 0 and rng.random() < 0.5
        rows.append(
            dict.fromkeys(SKETCH_SCHEMA.names)
            | {
                "account_id": f"a{account:02d}",
                "principal": account,
                "at_us": at,
                "model": NEW if at > (5 + account % 4) * DAY_US else OLD,
                "country": "BR" if hops else home,
                "asn": 99 if account % 4 == 0 else account % 3,
                "temperature_milli": 200 if account % 2 else None,
            }
        )
    return rows


def tables(rows: list[dict[str, Any]], stated: dict[str, datetime] | None = None) -> dict[str, pa.Table]:
    sketches = pa.Table.from_pylist(rows, SKETCH_SCHEMA)
    engine = DuckDBEngine("256MB", threads=1)
    try:
        model, account, countries = (sketches[name].chunks for name in ("model", "account_id", "country"))
        numbers = number(model)[0], number(account)[0]
        batches = narrowed(sketches.to_batches(), *numbers, countries, frozenset({"BR"}))
        log = pa.Table.from_batches(batches, NARROW_SCHEMA)
        register_log(engine, log, releases_of(sketches, stated or {}))
        return {name: engine.query(f"SELECT * FROM {name}") for name in ("whereabouts", "releases")}
    finally:
        engine.close()


def test_whereabouts_are_those_counted_one_by_one() -> None:
    rows = log()
    by_network: dict[int, dict[str, set[str]]] = defaultdict(lambda: defaultdict(set))
    for row in rows:
        by_network[row["asn"]][row["country"]].add(row["account_id"])
    placeless = set()
    for network, countries in by_network.items():
        sizes = [len(held) for held in countries.values()]
        if sum(sizes) >= 5 and max(sizes) < 0.8 * sum(sizes):
            placeless.add(network)
    assert placeless
    expected = {}
    for place, account in enumerate(sorted({row["account_id"] for row in rows})):
        own = [row for row in rows if row["account_id"] == account]
        hours = defaultdict(set)
        for row in own:
            hours[row["at_us"] // HOUR_US].add(row["country"])
        expected[place] = (
            len(own),
            sum(row["asn"] in placeless for row in own),
            sum(row["country"] == "BR" for row in own),
            sum(len(countries) > 1 for countries in hours.values()),
        )
    found = tables(rows)["whereabouts"].to_pylist()
    names = ("exchanges", "placeless", "outside", "hops")
    assert {row["account"]: tuple(row[name] for name in names) for row in found} == expected
    assert any(counts[3] for counts in expected.values())


@pytest.mark.parametrize("stated", [{}, {NEW: datetime(1970, 1, 7, tzinfo=UTC)}])
def test_releases_are_stated_or_first_uses_and_count_who_moved(stated: dict[str, datetime]) -> None:
    rows = log()
    at = min(row["at_us"] for row in rows if row["model"] == NEW)
    if stated:
        at = 6 * DAY_US
    active, moved = set(), set()
    for row in rows:
        if at <= row["at_us"] < at + DAY_US:
            active.add(row["principal"])
            if row["model"] == NEW:
                moved.add(row["principal"])
    before = {row["principal"] for row in rows if row["at_us"] < at}
    (found,) = tables(rows, stated)["releases"].to_pylist()
    assert (found["model"], found["at_us"]) == (1, at)
    assert (found["principals"], found["moved"]) == (len(active & before), len(moved & before))
    assert found["millionths"] == 1_000_000 * found["moved"] // found["principals"]


def test_a_model_of_few_or_from_the_start_is_no_release() -> None:
    rows = log()
    few = [row | {"model": OLD} if row["principal"] > 5 else row for row in rows]
    assert not tables(few)["releases"].num_rows
    early = [row | {"model": NEW} if row["at_us"] > DAY_US else row for row in rows]
    assert not tables(early)["releases"].num_rows


def test_a_release_of_a_model_that_the_log_lacks_is_left_out() -> None:
    assert not releases_of(
        pa.Table.from_pylist(log(), SKETCH_SCHEMA), {"other": datetime(1970, 1, 7, tzinfo=UTC)}
    )
