"""The queue, a case, an account, and a search."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from stillwatch.store import ConflictError, StoreError, audit
from stillwatch.store.database import Store
from stillwatch.store.tables import (
    NOBODY,
    accounts,
    campaigns,
    cases,
    decisions,
    families,
    participants,
    scans,
    targets,
)

STATES = ("new", "in_review", "decided")
APPEALED = "appealed"
ORDERS: Mapping[str, tuple[sa.ColumnElement[Any], ...]] = {
    "certainty": (cases.c.probability.desc(), cases.c.exchanges.desc(), cases.c.id),
    "size": (cases.c.exchanges.desc(), cases.c.id),
    "age": (cases.c.opened_at, cases.c.id),
}
PAGE = 50
"""Rows of a list at once."""
AT_ONCE = 400
"""Values that one query names."""


def queue(
    store: Store,
    state: str | None = None,
    order: str = "certainty",
    start: int = 0,
    most: int = PAGE,
    assignee: str | None = None,
) -> dict[str, Any]:
    """Cases in order: ``rows``, ``counts`` by state, ``start``, and ``more`` where the list goes on.

    ``state`` may be ``appealed`` too: whatever state a case is in, somebody waits for the answer to an appeal.
    """
    query = sa.select(cases).order_by(*ORDERS[order]).offset(start).limit(most + 1)
    if state == APPEALED:
        query = query.where(cases.c.appeals > 0)
    elif state is not None:
        query = query.where(cases.c.state == state)
    if assignee is not None:
        query = query.where(cases.c.assignee == assignee)
    with store.reading() as connection:
        rows = [dict(row) for row in connection.execute(query).mappings()]
        counted = sa.select(cases.c.state, sa.func.count()).group_by(cases.c.state)
        counts: dict[str, int] = {name: count for name, count in connection.execute(counted)}
        appealed = connection.execute(sa.select(sa.func.count()).where(cases.c.appeals > 0)).scalar_one()
    return {
        "rows": rows[:most],
        "appealed": appealed,
        "counts": {state: counts.get(state, 0) for state in STATES},
        "state": state,
        "order": order,
        "start": start,
        "more": len(rows) > most,
    }


def case_of(connection: Connection, name: str) -> str:
    """The case of an id: its own, or that of a campaign of any scan. Raises :class:`StoreError` where there is none."""
    if connection.execute(sa.select(cases.c.id).where(cases.c.id == name)).first():
        return name
    query = sa.select(campaigns.c.case_id).where(campaigns.c.campaign_id == name)
    found = connection.execute(query.order_by(campaigns.c.scan_id.desc()).limit(1)).scalar()
    if found is None:
        raise StoreError(f"there is no case {name}; `stillwatch review list` names them")
    return str(found)


def case(store: Store, name: str) -> dict[str, Any]:
    """A case: how it stands, its campaigns by its latest scan, the decisions on it, and how often it was seen."""
    with store.reading() as connection:
        case_id = case_of(connection, name)
        row = dict(connection.execute(sa.select(cases).where(cases.c.id == case_id)).mappings().one())
        here = (campaigns.c.case_id == case_id) & (campaigns.c.scan_id == row["scan_id"])
        found = connection.execute(sa.select(campaigns.c.dossier).where(here)).scalars().all()
        ordered = sorted(found, key=lambda one: (-one["scale"]["exchanges"], one["campaign_id"]))
        made = sa.select(decisions).where(decisions.c.case_id == case_id).order_by(decisions.c.id.desc())
        past = [dict(one) for one in connection.execute(made).mappings()]
        counted = (
            sa.select(targets.c.decision_id, sa.func.count(), sa.func.count(targets.c.lifted_at))
            .join(decisions)
            .where(decisions.c.case_id == case_id)
            .group_by(targets.c.decision_id)
        )
        hits = {number: (whole, lifted) for number, whole, lifted in connection.execute(counted)}
        for one in past:
            one["hit"], one["lifted"] = hits.get(one["id"], (0, 0))
        seen = sa.select(scans.c.id, scans.c.name, scans.c.loaded_at).where(
            scans.c.id.in_(sa.select(campaigns.c.scan_id).where(campaigns.c.case_id == case_id))
        )
        row["scans"] = [dict(one) for one in connection.execute(seen.order_by(scans.c.id)).mappings()]
        row["overview"] = connection.execute(
            sa.select(scans.c.overview).where(scans.c.id == row["scan_id"])
        ).scalar_one()
    return {**row, "campaigns": ordered, "decisions": past}


def version_of(store: Store, name: str) -> tuple[int, str | None]:
    """The version of a case, and who is at work on it."""
    with store.reading() as connection:
        query = sa.select(cases.c.version, cases.c.assignee).where(cases.c.id == case_of(connection, name))
        version, assignee = connection.execute(query).one()
    return version, assignee


def members(
    store: Store, case_id: str, scan_id: int, start: int = 0, most: int | None = None
) -> list[dict[str, Any]]:
    """Principals of a case by one of its scans, those with the most extraction first."""
    query = (
        sa.select(participants)
        .where(participants.c.case_id == case_id, participants.c.scan_id == scan_id)
        .order_by(
            participants.c.extraction_exchanges.desc(), participants.c.account_id, participants.c.end_user_id
        )
        .offset(start)
        .limit(most)
    )
    with store.reading() as connection:
        return [_named(row) for row in connection.execute(query).mappings()]


def spans(store: Store, case_id: str, scan_id: int, most: int) -> list[dict[str, Any]]:
    """When principals of a case were seen and in which campaign, those with the most extraction first: for pictures,
    which need nothing else of so many rows."""
    columns = [
        participants.c[name]
        for name in (
            "campaign_id",
            "account_id",
            "end_user_id",
            "extraction_exchanges",
            "first_seen",
            "last_seen",
        )
    ]
    here = (participants.c.case_id == case_id, participants.c.scan_id == scan_id)
    ordered = (participants.c.extraction_exchanges.desc(), *columns[1:3])
    query = sa.select(*columns).where(*here).order_by(*ordered).limit(most)
    names = [column.name for column in columns]
    with store.reading() as connection:
        return [dict(zip(names, row, strict=True)) for row in connection.execute(query).all()]


def matched(store: Store, scan_id: int, names: Sequence[str]) -> list[int]:
    """Exchanges of each of some families of a scan that are matched to their campaign, those with none left out."""
    counts: list[int] = []
    with store.reading() as connection:
        for start in range(0, len(names), AT_ONCE):
            query = sa.select(families.c.matched).where(
                families.c.scan_id == scan_id, families.c.family_id.in_(names[start : start + AT_ONCE])
            )
            counts += connection.execute(query.where(families.c.matched > 0)).scalars()
    return counts


def _named(row: Mapping[Any, Any]) -> dict[str, Any]:
    """A row with None for the end user of a principal that is an account."""
    return dict(row) | {"end_user_id": row["end_user_id"] or None}


def account(store: Store, account_id: str) -> dict[str, Any]:
    """An account with its judged end users, by scan; the cases that it is in, and what hits it or did."""
    with store.reading() as connection:
        query = sa.select(accounts).where(accounts.c.account_id == account_id)
        ordered = query.order_by(accounts.c.scan_id.desc(), accounts.c.end_user_id)
        rows = [_named(row) for row in connection.execute(ordered).mappings()]
        if not rows:
            raise StoreError(f"no scan that was loaded has the account {account_id}")
        within = (
            sa.select(participants, cases.c.state)
            .join(cases)
            .where(participants.c.account_id == account_id)
            .order_by(participants.c.scan_id.desc())
        )
        part = [_named(row) for row in connection.execute(within).mappings()]
        acted = (
            sa.select(
                targets,
                *(decisions.c[name] for name in ("case_id", "action", "finding", "scope", "state", "until")),
            )
            .join(decisions)
            .where(targets.c.account_id == account_id)
            .order_by(targets.c.decision_id.desc())
        )
        hits = [_named(row) for row in connection.execute(acted).mappings()]
    return {"account_id": account_id, "rows": rows, "cases": part, "decisions": hits}


def search(store: Store, words: str, most: int = PAGE) -> dict[str, Any]:
    """Cases, families and accounts whose id begins with what was typed."""
    text = words.strip()
    if not text:
        return {"words": "", "cases": [], "families": [], "accounts": []}
    with store.reading() as connection:
        in_order = _in_order(connection, cases.c.id)
        found = sa.select(cases).where(_begins(in_order, text)).order_by(in_order).limit(most)
        by_case = [dict(row) for row in connection.execute(found).mappings()]
        query = (
            sa.select(families.c.family_id, families.c.campaign_id, families.c.verdict, campaigns.c.case_id)
            .outerjoin(
                campaigns,
                (families.c.scan_id == campaigns.c.scan_id)
                & (families.c.campaign_id == campaigns.c.campaign_id),
            )
            .where(families.c.family_id.in_(_first(connection, families.c.family_id, text, most)))
            .distinct()
        )
        by_family = [
            dict(row)
            for row in connection.execute(query.order_by(families.c.family_id).limit(most)).mappings()
        ]
        by_account = _first(connection, accounts.c.account_id, text, most)
    return {"words": text, "cases": by_case, "families": by_family, "accounts": by_account}


def _first(connection: Connection, column: sa.Column[str], text: str, most: int) -> list[str]:
    """The first ids that begin with a text, each once."""
    in_order = _in_order(connection, column)
    query = sa.select(in_order).where(_begins(in_order, text)).distinct().order_by(in_order).limit(most)
    return list(connection.execute(query).scalars())


def _in_order(connection: Connection, column: sa.Column[str]) -> sa.ColumnElement[str]:
    """A column in the order of its bytes: the order of an index in both databases, whatever language one speaks."""
    return column if connection.dialect.name == "sqlite" else sa.collate(column, "C")


def _begins(in_order: sa.ColumnElement[str], text: str) -> sa.ColumnElement[bool]:
    """A range, which an index answers."""
    return (in_order >= text) & (in_order < text + "\U0010ffff")


def take(store: Store, name: str, by: str, now: dt.datetime, *, over: bool = False) -> str:
    """Assign a case to whoever takes it; ``over``: from whoever has it. Raises :class:`ConflictError` otherwise."""
    with store.writing() as connection:
        case_id = case_of(connection, name)
        holder, state = connection.execute(
            sa.select(cases.c.assignee, cases.c.state).where(cases.c.id == case_id)
        ).one()
        if holder == by:
            return case_id
        if holder is not None and not over:
            raise ConflictError(
                f"{holder} is at work on {case_id}; ask them, or take it over if they cannot go on"
            )
        values = {"assignee": by, "changed_at": now, "version": cases.c.version + 1}
        if state == "new":
            values["state"] = "in_review"
        connection.execute(cases.update().where(cases.c.id == case_id).values(values))
        audit.append(connection, now, by, "case.taken", case_id, {"from": holder})
    return case_id


def release(store: Store, name: str, by: str, now: dt.datetime) -> str:
    """Give a case back to the queue."""
    with store.writing() as connection:
        case_id = case_of(connection, name)
        holder, state = connection.execute(
            sa.select(cases.c.assignee, cases.c.state).where(cases.c.id == case_id)
        ).one()
        if holder != by:
            raise ConflictError(f"{case_id} is with {holder or 'nobody'}; only they can give it back")
        back = "new" if state == "in_review" else state
        connection.execute(
            cases.update()
            .where(cases.c.id == case_id)
            .values(assignee=None, state=back, changed_at=now, version=cases.c.version + 1)
        )
        audit.append(connection, now, by, "case.released", case_id, {})
    return case_id


def principal_key(account_id: str, end_user_id: str | None) -> tuple[str, str]:
    """A principal as the tables hold it."""
    return account_id, end_user_id or NOBODY
