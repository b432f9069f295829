"""The audit log is whole, or says where it is not; the tables are those of the migrations."""

from __future__ import annotations

import datetime as dt
import json
import stat
from dataclasses import replace
from pathlib import Path

import pytest
import sqlalchemy as sa
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy.exc import DBAPIError

from stillwatch.store import StoreError, audit
from stillwatch.store.database import Store, open_store
from stillwatch.store.tables import METADATA
from stillwatch.store.tables import audit as log

NOW = dt.datetime(2026, 3, 10, 12, 0, 0, 123456, tzinfo=dt.UTC)


@pytest.fixture
def written(store: Store) -> Store:
    for number in range(6):
        with store.writing() as connection:
            audit.append(
                connection, NOW, "ann", "note", f"case {number}", {"number": number, "word": "naïve"}
            )
    return store


def tamper(store: Store, *lines: str) -> None:
    """What somebody does who may write the database: the triggers go first."""
    with store.writing() as connection:
        if connection.dialect.name == "sqlite":
            connection.execute(sa.text("DROP TRIGGER audit_keep_update"))
            connection.execute(sa.text("DROP TRIGGER audit_keep_delete"))
            connection.execute(sa.text("DROP TRIGGER audit_keep_insert"))
        else:
            connection.execute(sa.text("DROP TRIGGER audit_keep_insert ON audit"))
            connection.execute(sa.text("DROP TRIGGER audit_keep ON audit"))
        for line in lines:
            connection.execute(sa.text(line))


def test_a_log_that_nobody_touched_is_whole(written: Store) -> None:
    found = audit.verify(written)
    assert (found.entries, found.broken) == (6, "")
    assert audit.verify(written, (6, found.last)).broken == ""
    assert [one.number for one in audit.entries(written, newest=True, most=2)] == [6, 5]
    assert [one.number for one in audit.entries(written, subject="case 3")] == [4]


def slip_in(number: int | str, source: int = 2) -> str:
    """An entry of somebody who did nothing, made of one that is there."""
    return (
        f"INSERT INTO audit (number, at, actor, kind, subject, details, previous, hash) SELECT {number}, at, 'carol', "
        f"kind, subject, details, previous, hash FROM audit WHERE number = {source}"
    )


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit SET actor = 'bob' WHERE number = 2",
        "DELETE FROM audit",
        *(slip_in(number) for number in (0, -7, 8)),
        slip_in("number").replace("INSERT", "INSERT OR REPLACE"),
    ],
)
def test_the_database_refuses_to_change_an_entry(written: Store, change: str) -> None:
    if written.engine.dialect.name != "sqlite":
        change = change.replace("OR REPLACE ", "")
    with pytest.raises(DBAPIError, match="only ever added to"), written.writing() as connection:
        connection.execute(sa.text(change))
    assert audit.verify(written).broken == ""


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("UPDATE audit SET actor = 'bob' WHERE number = 3", "entry 3 was altered"),
        ("UPDATE audit SET details = '{}' WHERE number = 6", "entry 6 was altered"),
        ("UPDATE audit SET at = '2026-03-10 12:00:01+00:00' WHERE number = 1", "entry 1 was altered"),
        ("DELETE FROM audit WHERE number = 3", "entry 3 is missing: after 2 comes 4"),
        ("DELETE FROM audit WHERE number = 1", "entry 1 is missing: after 0 comes 2"),
        ("DELETE FROM audit WHERE number > 4", "the log ends at entry 4, and 6 were written"),
        ("UPDATE audit_head SET number = 5", "the log ends at entry 6, and 5 were written"),
        (slip_in(0), "entry 0 was slipped in: the first is 1"),
        (slip_in(-7), "entry -7 was slipped in: the first is 1"),
        (slip_in(7), "entry 7 does not follow the entry before it"),
    ],
)
def test_every_way_to_tamper_is_found(written: Store, change: str, message: str) -> None:
    if "at = " in change and written.engine.dialect.name == "sqlite":
        change = change.replace("+00:00", ".000000")
    tamper(written, change)
    assert message in audit.verify(written).broken


def test_a_chain_that_was_made_anew_is_found_by_the_hash_that_was_kept(written: Store) -> None:
    kept = audit.verify(written)
    tamper(
        written,
        "DELETE FROM audit WHERE number > 4",
        "UPDATE audit_head SET number = 4, hash = (SELECT hash FROM audit WHERE number = 4)",
    )
    assert audit.verify(written).broken == ""
    assert audit.verify(written, (6, kept.last)).broken == "there is no entry 6, of which a hash was kept"
    for number in range(2):
        with written.writing() as connection:
            audit.append(connection, NOW, "eve", "note", "case", {"number": number})
    assert audit.verify(written, (6, kept.last)).broken == "entry 6 is not the one of which the hash was kept"


def test_an_entry_beyond_the_last_is_found_though_it_is_well_made(written: Store) -> None:
    (last,) = audit.entries(written, newest=True, most=1)
    more = replace(last, number=7, previous=last.hash)
    row = {name: getattr(more, name) for name in audit.Entry.__slots__} | {"hash": more.sealed()}
    with written.writing() as connection:
        connection.execute(log.insert().values(row))  # the next one: no trigger can tell
    assert audit.verify(written).broken == (
        "the log ends at entry 7, and 6 were written: the last ones were slipped in"
    )


def test_a_change_that_fails_leaves_no_entry(written: Store) -> None:
    def fail() -> None:
        with written.writing() as connection:
            audit.append(connection, NOW, "ann", "note", "case", {})
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert audit.verify(written).entries == 6


def test_a_veil_tells_principals_apart_and_names_none(written: Store) -> None:
    with written.reading() as connection:
        words = {audit.veil(connection, *who) for who in (("a", None), ("a", "b"), ("a/b", None))}
        assert audit.veil(connection, "a", None) == audit.veil(connection, "a", "")
    assert len(words) == 3
    assert all(len(word) == len("principal-") + 24 for word in words)


def test_the_migrations_make_the_tables_that_the_program_knows(store: Store) -> None:
    with store.reading() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        differences = compare_metadata(context, METADATA)
    # An index with an operator class or a direction is told of as another one.
    assert [one for one in differences if "_by_id" not in str(one) and "_by_share" not in str(one)] == []


def test_a_store_is_found_again(place: str) -> None:
    for number in (1, 2):
        opened = open_store(place)
        with opened.writing() as connection:
            audit.append(connection, NOW, "ann", "note", "case", {})
        assert audit.verify(opened).entries == number
        opened.close()


def test_a_store_of_a_newer_version_is_refused_and_stays(place: str) -> None:
    opened = open_store(place)
    with opened.writing() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '0099'"))
    opened.close()
    with pytest.raises(StoreError, match=r"a newer one most likely .*'0099'.*; open it with that one"):
        open_store(place)
    engine = sa.create_engine(opened.engine.url)
    with engine.connect() as connection:
        assert connection.execute(sa.text("SELECT version_num FROM alembic_version")).scalar_one() == "0099"
    engine.dispose()


def test_the_file_of_a_store_is_nobody_elses(tmp_path: Path) -> None:
    open_store(str(tmp_path / "review.db")).close()
    assert stat.S_IMODE((tmp_path / "review.db").stat().st_mode) == 0o600


def test_a_place_that_is_no_store_is_an_error_without_its_password(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text(json.dumps({"a": 1}) * 1000)
    for place, message in (
        (str(tmp_path / "no" / "review.db"), "its folder does not exist"),
        (str(tmp_path / "notes.txt"), "is it a database of stillwatch"),
        ("mysql://ann:secret@host/db", "mysql is no database of the store"),
        ("postgresql://ann:secret@127.0.0.1:1/db", "cannot open|not installed"),
    ):
        with pytest.raises(StoreError, match=message) as raised:
            open_store(place)
        assert "secret" not in str(raised.value)
