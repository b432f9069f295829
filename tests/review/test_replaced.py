"""Accounts that replace banned ones come to the case of those: on a simulated operator, found by real scans."""

from __future__ import annotations

import datetime as dt
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stillwatch.arena import Operator, Recipe, simulate
from stillwatch.keys import Keys
from stillwatch.response.actions import Action, Finding
from stillwatch.response.decision import Wanted
from stillwatch.response.policy import Policy
from stillwatch.scan import Options, scan
from stillwatch.sketching import Source
from stillwatch.store.cases import queue
from stillwatch.store.database import open_store
from stillwatch.store.decisions import approve, decide
from stillwatch.store.loading import load
from stillwatch.store.reading import snapshot

KEYS = Keys(local=b"a key for the tests of replaced accounts")


def test_replaced_accounts_inherit_the_case(tmp_path: Path) -> None:
    operator = Operator(accounts=30, camouflage=0.5, replacement="random_days", exchanges_per_account=40)
    simulate(Recipe(innocents=300, exchanges=6_000, operators=(operator,)), tmp_path / "log")
    log = pq.read_table(tmp_path / "log" / "exchanges.parquet")
    middle = dt.datetime(2026, 3, 9, tzinfo=dt.UTC)
    pq.write_table(log.filter(pc.less(log["started_at"], pa.scalar(middle))), tmp_path / "week.parquet")
    for name, place in (
        ("first", tmp_path / "week.parquet"),
        ("second", tmp_path / "log" / "exchanges.parquet"),
    ):
        scan(Source((place,)), tmp_path / name, KEYS, Options())
    truth = pq.read_table(tmp_path / "log" / "truth.parquet")
    guilty = set(truth.filter(truth["extraction"])["account_id"].to_pylist())

    store = open_store(str(tmp_path / "review.db"))
    policy = Policy(followed=1_000)
    load(store, tmp_path / "first", "ann", policy, middle)
    (first,) = queue(store)["rows"]
    asked = Wanted(
        first["id"], Finding.EXTRACTION, Action.SUSPEND, "one hand", spread=dt.timedelta(0), follows=True
    )
    approve(store, decide(store, asked, "ann", policy, middle), "bob", middle)
    before = {one.account_id for one in snapshot(store, middle).actions}

    found = load(store, tmp_path / "second", "ann", policy, middle + dt.timedelta(days=7))
    after = {one.account_id for one in snapshot(store, middle + dt.timedelta(days=7)).actions}
    fresh = (after & guilty) - before
    assert found.opened == ()
    assert [row["id"] for row in queue(store)["rows"]] == [first["id"]]
    assert len(fresh) >= 20
    assert len(after & guilty) >= 0.95 * len(guilty)
    assert after - guilty == set()
    store.close()
