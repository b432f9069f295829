"""Decisions as pages show them: what waits for a second person, what stands, and one with whom it hits."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from stillwatch.store import StoreError
from stillwatch.store.cases import PAGE
from stillwatch.store.database import Store
from stillwatch.store.tables import decisions, targets

STATES = ("proposed", "standing", "ended", "undone", "refused")


def all_decisions(store: Store, state: str | None = None, start: int = 0, most: int = PAGE) -> dict[str, Any]:
    """Decisions, the newest first, of one state or all; ``counts`` by state."""
    query = sa.select(decisions).order_by(decisions.c.id.desc()).offset(start).limit(most + 1)
    if state is not None:
        query = query.where(decisions.c.state == state)
    with store.reading() as connection:
        rows = [dict(row) for row in connection.execute(query).mappings()]
        counted = sa.select(decisions.c.state, sa.func.count()).group_by(decisions.c.state)
        counts: dict[str, int] = {name: count for name, count in connection.execute(counted)}
    return {
        "rows": rows[:most],
        "counts": {name: counts.get(name, 0) for name in STATES},
        "state": state,
        "start": start,
        "more": len(rows) > most,
    }


def decision(store: Store, number: int, start: int = 0, most: int = PAGE) -> dict[str, Any]:
    """One decision, and whom it hits: ``targets``, some at a time, and how many there are and were let be."""
    with store.reading() as connection:
        row = connection.execute(sa.select(decisions).where(decisions.c.id == number)).mappings().first()
        if row is None:
            raise StoreError(f"there is no decision {number}")
        of_it = targets.c.decision_id == number
        hit, lifted = connection.execute(
            sa.select(sa.func.count(), sa.func.count(targets.c.lifted_at)).where(of_it)
        ).one()
        query = sa.select(targets).where(of_it).order_by(targets.c.account_id, targets.c.end_user_id)
        shown = connection.execute(query.offset(start).limit(most)).mappings()
        hits = [{**one, "end_user_id": one["end_user_id"] or None} for one in shown]
    return {
        **row,
        "hit": hit,
        "lifted": lifted,
        "targets": hits,
        "start": start,
        "more": start + len(hits) < hit,
    }
