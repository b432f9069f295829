"""Who joined a case from one scan to another, and who left: counted when a scan is loaded, as plain sets have it."""

from __future__ import annotations

import datetime as dt
import random
from itertools import permutations
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic import command
from alembic.config import Config

from stillwatch.response.policy import Policy
from stillwatch.store.database import MIGRATIONS, Store
from stillwatch.store.loading import load
from stillwatch.store.retention import expire, forget
from stillwatch.store.scans import differences
from stillwatch.store.tables import in_common, participants
from tests.review.results import Principal, campaign, write_result

NOW = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
SCANS = (1, 2, 3, 4)


@pytest.fixture
def loaded(store: Store, tmp_path: Path) -> Store:
    """Two cases through four scans, of which one case misses one; accounts come, go, and have end users."""
    drawn = random.Random(5)
    people: list[Principal] = [(f"a-{number:02d}", None) for number in range(30)]
    people += [("a-00", f"user-{number}") for number in range(10)]
    for scan in SCANS:
        found = [campaign("c-1", ["f-1"], drawn.sample(people, 18))]
        if scan != 3:
            others = [(name.replace("a-", "b-"), user) for name, user in drawn.sample(people, 15 + scan)]
            found.append(campaign("c-2", ["f-2"], others))
        load(store, write_result(tmp_path / f"scan-{scan}", found, days=6 + scan), "ann", Policy(), NOW)
    return store


def by_sets(store: Store, first: int, second: int) -> dict[str, tuple[int, int]]:
    """Joined and left by case of both scans, from who is in them."""
    within: dict[tuple[str, int], set[tuple[str, str]]] = {}
    with store.reading() as connection:
        for row in connection.execute(sa.select(participants)).mappings():
            principal = row["account_id"], row["end_user_id"]
            within.setdefault((row["case_id"], row["scan_id"]), set()).add(principal)
    return {
        case: (len(now - within[case, first]), len(within[case, first] - now))
        for (case, scan), now in within.items()
        if scan == second and (case, first) in within
    }


def by_page(store: Store, first: int, second: int) -> dict[str, tuple[int, int]]:
    rows = differences(store, first, second, "kept")["rows"]
    return {row["case_id"]: (row["joined"], row["left"]) for row in rows}


def assert_alike(store: Store) -> None:
    for first, second in permutations(SCANS, 2):
        assert by_page(store, first, second) == by_sets(store, first, second), (first, second)


def test_any_two_scans_compare_as_their_sets_do(loaded: Store) -> None:
    assert_alike(loaded)
    moved = by_page(loaded, 1, 4)
    assert set(moved) == {"c-1", "c-2"}
    assert all(min(pair) > 0 for pair in moved.values())


def test_who_is_forgotten_is_counted_no_longer(loaded: Store) -> None:
    before = by_page(loaded, 1, 2)
    with loaded.reading() as connection:
        query = sa.select(participants.c.account_id, participants.c.end_user_id).distinct()
        people = sorted((row[0], row[1]) for row in connection.execute(query))
    account, user = next(one for one in people if one[1])
    forget(loaded, account, user, "ann", NOW)
    assert_alike(loaded)
    for name in {account, people[-1][0], people[-2][0]}:
        forget(loaded, name, None, "ann", NOW)
        assert_alike(loaded)
    assert by_page(loaded, 1, 2) != before


def test_what_is_too_old_leaves_no_count(loaded: Store) -> None:
    with loaded.writing() as connection:
        connection.execute(sa.text("UPDATE cases SET state = 'decided'"))
    expire(loaded, Policy(keep_accounts=dt.timedelta(days=1)), "night", NOW + dt.timedelta(days=90))
    with loaded.reading() as connection:
        assert connection.execute(sa.select(sa.func.count()).select_from(in_common)).scalar_one() == 0


def test_an_older_store_is_counted_when_it_is_opened(loaded: Store) -> None:
    """Back before the table and forward again: the migration counts as loading does."""

    def rows() -> set[tuple[str, int, int, int]]:
        with loaded.reading() as connection:
            query = sa.select(in_common).where(in_common.c.principals > 0)
            return {tuple(row) for row in connection.execute(query)}

    before = rows()
    assert len(before) == 10 + 6
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    for step, name in ((command.downgrade, "0008"), (command.upgrade, "head")):
        with (
            loaded.engine.connect().execution_options(writes=True) as connection,
            connection.begin(),
        ):
            config.attributes["connection"] = connection
            step(config, name)
    assert rows() == before
    assert_alike(loaded)
