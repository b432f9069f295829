"""The scans that were loaded, and what changed between two of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from stillwatch.store import StoreError
from stillwatch.store.cases import PAGE
from stillwatch.store.database import Store
from stillwatch.store.in_common import moved
from stillwatch.store.tables import campaigns, scans

CHANGES = ("new", "gone", "kept")
"""Cases that the later scan alone has, the earlier alone, or both."""


def all_scans(store: Store) -> list[dict[str, Any]]:
    """Every scan that was loaded, the newest first."""
    query = sa.select(scans.c.id, scans.c.name, scans.c.loaded_at, scans.c.first_seen, scans.c.last_seen)
    with store.reading() as connection:
        return [dict(row) for row in connection.execute(query.order_by(scans.c.id.desc())).mappings()]


def differences(
    store: Store, first: int, second: int, change: str = "new", start: int = 0, most: int = PAGE
) -> dict[str, Any]:
    """How the cases of two scans differ: ``counts`` by change, and the ``rows`` of one change, the largest first.

    A row has the case ``before`` and ``after``, either of which may be null, and for a case that both have how many
    principals ``joined`` and ``left``.
    """
    with store.reading() as connection:
        sides = {number: _scan(connection, number) for number in (first, second)}
        here, there = (first, second) if change == "gone" else (second, first)
        names = _names(connection, here, there, change == "kept", start, most + 1)
        shown = names[:most]
        before, after = _by_case(connection, first, shown), _by_case(connection, second, shown)
        rows: list[dict[str, Any]] = [
            {
                "case_id": name,
                "before": before.get(name),
                "after": after.get(name),
                "joined": None,
                "left": None,
            }
            for name in shown
        ]
        if change == "kept":
            changed = moved(connection, shown, first, second)
            for row in rows:
                row["joined"], row["left"] = changed[row["case_id"]]
        counts = _counts(connection, first, second)
    return {
        "first": sides[first],
        "second": sides[second],
        "counts": counts,
        "change": change,
        "rows": rows,
        "start": start,
        "more": len(names) > most,
    }


def _scan(connection: Connection, number: int) -> dict[str, Any]:
    query = sa.select(scans.c.id, scans.c.name, scans.c.loaded_at, scans.c.first_seen, scans.c.last_seen)
    found = connection.execute(query.where(scans.c.id == number)).mappings().first()
    if found is None:
        raise StoreError(f"there is no scan {number}; the page of scans names them")
    return dict(found)


def _found_by(here: int, there: int, *, both: bool) -> sa.ColumnElement[bool]:
    """Campaigns of one scan of which another has the case too, or has not."""
    other = campaigns.alias()
    elsewhere = sa.exists().where(other.c.scan_id == there, other.c.case_id == campaigns.c.case_id)
    return (campaigns.c.scan_id == here) & (elsewhere if both else ~elsewhere)


def _names(connection: Connection, here: int, there: int, both: bool, start: int, most: int) -> list[str]:
    """Cases of one scan that another has too, or has not; the largest first."""
    query = (
        sa.select(campaigns.c.case_id).where(_found_by(here, there, both=both)).group_by(campaigns.c.case_id)
    )
    ordered = query.order_by(sa.func.sum(campaigns.c.exchanges).desc(), campaigns.c.case_id)
    return list(connection.execute(ordered.offset(start).limit(most)).scalars())


def _counts(connection: Connection, first: int, second: int) -> dict[str, int]:
    """Cases by change."""
    many = sa.select(sa.func.count(campaigns.c.case_id.distinct()))
    kept = connection.execute(many.where(_found_by(second, first, both=True))).scalar_one()
    before, after = (
        connection.execute(many.where(campaigns.c.scan_id == number)).scalar_one()
        for number in (first, second)
    )
    return {"new": after - kept, "gone": before - kept, "kept": kept}


def _by_case(connection: Connection, scan_id: int, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Some cases of a scan; of several campaigns in one the surest names the verdict."""
    query = sa.select(
        campaigns.c.case_id,
        campaigns.c.verdict,
        campaigns.c.probability,
        campaigns.c.exchanges,
        campaigns.c.principals,
    )
    found: dict[str, dict[str, Any]] = defaultdict(
        lambda: {"verdict": "", "probability": -1.0, "exchanges": 0, "principals": 0}
    )
    for case_id, verdict, probability, exchanges, principals in connection.execute(
        query.where(campaigns.c.scan_id == scan_id, campaigns.c.case_id.in_(names))
    ):
        row = found[case_id]
        row["exchanges"] += exchanges
        row["principals"] += principals
        if probability > row["probability"]:
            row.update(verdict=verdict, probability=probability)
    return dict(found)
