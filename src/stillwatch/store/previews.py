"""Whom a decision would hit, by the latest scan of its case."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from stillwatch.response.actions import Scope
from stillwatch.response.decision import Hit, Preview, Wanted, approval_of
from stillwatch.response.policy import Policy
from stillwatch.store import StoreError
from stillwatch.store.cases import case_of
from stillwatch.store.following import CLEARING
from stillwatch.store.tables import NOBODY, appeals, cases, decisions, families, participants, targets


def preview_within(
    connection: Connection, wanted: Wanted, policy: Policy, start: int = 0, most: int | None = None
) -> tuple[Preview, str]:
    """Whom a decision would hit, and its case, inside a transaction; ``wanted`` was checked.

    The database counts them; of the principals themselves only as many are read as are asked for.
    """
    case_id = case_of(connection, wanted.case_id)
    subject, matched = _subject(connection, wanted, case_id)
    whole = connection.execute(
        sa.select(sa.func.count()).select_from(participants).where(*subject)
    ).scalar_one()
    if wanted.scope is Scope.PRINCIPAL and not whole:
        raise StoreError(f"that principal takes no part in {case_id} by its latest scan")
    if _accuses(wanted):
        who = sa.tuple_(participants.c.account_id, participants.c.end_user_id)
        subject = (*subject, who.not_in(cleared(case_id)))
    innocent, every, extraction = (
        sa.func.coalesce(sa.func.sum(each), 0)
        for each in (
            1 - participants.c.probability,
            participants.c.exchanges,
            participants.c.extraction_exchanges,
        )
    )
    accounts = sa.func.count(participants.c.account_id.distinct())
    counted = connection.execute(
        sa.select(sa.func.count(), accounts, innocent, every, extraction).where(*subject)
    ).one()
    told = (participants.c[name] for name in Hit._fields)
    listed = sa.select(*told).where(*subject).order_by(participants.c.account_id, participants.c.end_user_id)
    hits = tuple(
        Hit(account, user or None, probability, exchanges, within)
        for account, user, probability, exchanges, within in connection.execute(
            listed.offset(start).limit(most)
        )
    )
    shown = Preview(
        counted[0], counted[1], float(counted[2]), int(counted[3]), int(counted[4]), whole - counted[0],
        int(wanted.scope is Scope.FAMILY), approval_of(wanted.action, counted[0], float(counted[2]), policy), matched,
        hits,
    )  # fmt: skip
    return shown, case_id


def _subject(
    connection: Connection, wanted: Wanted, case_id: str
) -> tuple[tuple[sa.ColumnElement[bool], ...], int | None]:
    """The principals that a decision is about, by the latest scan of the case; of a family also what it matched."""
    newest = connection.execute(sa.select(cases.c.scan_id).where(cases.c.id == case_id)).scalar_one()
    here = (participants.c.case_id == case_id, participants.c.scan_id == newest)
    if wanted.scope is Scope.PRINCIPAL:
        person = (
            participants.c.account_id == wanted.account_id,
            participants.c.end_user_id == (wanted.end_user_id or NOBODY),
        )
        return (*here, *person), None
    if wanted.scope is Scope.CAMPAIGN:
        return here, None
    found = connection.execute(
        sa.select(families.c.campaign_id, families.c.matched).where(
            families.c.family_id == wanted.family_id, families.c.scan_id == newest
        )
    ).first()
    if found is None or found.campaign_id is None:
        raise StoreError(f"{case_id} has no family {wanted.family_id}; `stillwatch review show` names them")
    return (*here, participants.c.campaign_id == found.campaign_id), found.matched


def _accuses(wanted: Wanted) -> bool:
    return wanted.finding not in CLEARING


def cleared(case_id: str) -> sa.CompoundSelect[Any]:
    """Principals of a case whom a person cleared by themselves, or who won an appeal."""
    won = sa.select(appeals.c.account_id, appeals.c.end_user_id).where(
        appeals.c.case_id == case_id, appeals.c.state == "reversed"
    )
    query = (
        sa.select(targets.c.account_id, targets.c.end_user_id)
        .join(decisions)
        .where(
            decisions.c.case_id == case_id,
            decisions.c.state == "standing",
            decisions.c.scope == Scope.PRINCIPAL,
            decisions.c.finding.in_(CLEARING),
        )
    )
    return sa.union(query, won)
