"""Whom a decision would hit, by the latest scan of its case."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from stillwatch.response.actions import CLEARING, Action, Scope
from stillwatch.response.decision import Hit, Preview, Wanted
from stillwatch.response.policy import Policy
from stillwatch.store import StoreError
from stillwatch.store.bounds import approval_with, hit_alone
from stillwatch.store.cases import case_of
from stillwatch.store.let_be import not_let_be
from stillwatch.store.tables import NOBODY, cases, decisions, families, participants, targets


def preview_within(
    connection: Connection,
    wanted: Wanted,
    policy: Policy,
    start: int = 0,
    most: int | None = None,
    by: tuple[str, dt.datetime] | None = None,
) -> tuple[Preview, str]:
    """Whom a decision would hit, and its case, inside a transaction; ``wanted`` was checked.

    ``by``: who would decide and when; what they hit alone on the case counts towards what takes a second person.

    The database counts them; of the principals themselves only as many are read as are asked for.
    """
    case_id = case_of(connection, wanted.case_id)
    clears = wanted.finding in CLEARING
    people, matched = _subject(connection, wanted, case_id)
    whole = connection.execute(sa.select(sa.func.count()).select_from(people)).scalar_one()
    if wanted.scope is Scope.PRINCIPAL and not whole:
        held = " and nothing holds on them" if clears else ""
        raise StoreError(f"that principal takes no part in {case_id} by its latest scan{held}")
    hit = sa.true() if clears else not_let_be(connection, people, case_id, wanted.finding, wanted.family_id)
    innocent, every, extraction = (
        sa.func.coalesce(sa.func.sum(each), 0)
        for each in (1 - people.c.probability, people.c.exchanges, people.c.extraction_exchanges)
    )
    accounts = sa.func.count(people.c.account_id.distinct())
    counted = connection.execute(
        sa.select(sa.func.count(), accounts, innocent, every, extraction).where(hit)
    ).one()
    told = (people.c[name] for name in Hit._fields)
    listed = sa.select(*told).where(hit).order_by(people.c.account_id, people.c.end_user_id)
    hits = tuple(
        Hit(account, user or None, probability, exchanges, within)
        for account, user, probability, exchanges, within in connection.execute(
            listed.offset(start).limit(most)
        )
    )
    who = sa.select(people.c.account_id, people.c.end_user_id).where(hit)
    alone = hit_alone(connection, case_id, *by) if by and wanted.action is not Action.OBSERVE else {}
    named = {(account, user) for account, user in connection.execute(who)} if alone else set()
    others = {one: probability for one, probability in alone.items() if one not in named}
    approval = approval_with(
        wanted.action, counted[0], float(counted[2]), others, by[0] if by else "", policy
    )
    shown = Preview(
        counted[0], counted[1], float(counted[2]), int(counted[3]), int(counted[4]), whole - counted[0],
        int(wanted.scope is Scope.FAMILY), approval, matched, hits,
        _cleared_families(connection, case_id) if wanted.scope is not Scope.FAMILY and not clears else 0,
    )  # fmt: skip
    return shown, case_id


def _subject(connection: Connection, wanted: Wanted, case_id: str) -> tuple[sa.Subquery, int | None]:
    """The principals that a decision is about, by the latest scan of the case; of a family also what it matched.

    Who is cleared may have left the case since an action began to hold: these are of the subject too, with no exchanges.
    """
    newest = connection.execute(sa.select(cases.c.scan_id).where(cases.c.id == case_id)).scalar_one()
    own = [participants.c.case_id == case_id, participants.c.scan_id == newest]
    held = [decisions.c.case_id == case_id]
    matched = None
    if wanted.scope is Scope.PRINCIPAL:
        for table, where in ((participants, own), (targets, held)):
            where += [
                table.c.account_id == wanted.account_id,
                table.c.end_user_id == (wanted.end_user_id or NOBODY),
            ]
    if wanted.scope is Scope.FAMILY:
        held.append(decisions.c.family_id == wanted.family_id)
        campaign_id, matched = _family(connection, wanted, case_id, newest, held)
        own.append(participants.c.campaign_id == campaign_id)
    columns = [participants.c[name] for name in Hit._fields]
    here = sa.select(*columns).where(*own)
    if wanted.finding not in CLEARING:
        return here.subquery(), matched
    part = sa.select(participants.c.account_id, participants.c.end_user_id).where(*own)
    left = (
        sa.select(
            targets.c.account_id,
            targets.c.end_user_id,
            sa.func.max(targets.c.probability).label("probability"),
            sa.literal(0).label("exchanges"),
            sa.literal(0).label("extraction_exchanges"),
        )
        .join(decisions)
        .where(*held, *_holds(), sa.tuple_(targets.c.account_id, targets.c.end_user_id).not_in(part))
        .group_by(targets.c.account_id, targets.c.end_user_id)
    )
    return sa.union_all(here, left).subquery(), matched


def _cleared_families(connection: Connection, case_id: str) -> int:
    found = sa.select(sa.func.count(decisions.c.family_id.distinct())).where(
        decisions.c.case_id == case_id,
        decisions.c.state == "standing",
        decisions.c.finding.in_(CLEARING),
        decisions.c.scope == Scope.FAMILY,
    )
    return int(connection.execute(found).scalar_one())


def _holds() -> tuple[sa.ColumnElement[bool], ...]:
    return (
        decisions.c.state == "standing",
        decisions.c.finding.not_in(CLEARING),
        targets.c.lifted_at.is_(None),
    )


def _family(
    connection: Connection,
    wanted: Wanted,
    case_id: str,
    newest: int,
    held: Sequence[sa.ColumnElement[bool]],
) -> tuple[str | None, int]:
    """The campaign of a family and what it matched, by the latest scan; or of one that is gone while an action holds."""
    found = connection.execute(
        sa.select(families.c.campaign_id, families.c.matched).where(
            families.c.family_id == wanted.family_id, families.c.scan_id == newest
        )
    ).first()
    if found is not None and found.campaign_id is not None:
        return found.campaign_id, found.matched
    holds = sa.select(decisions.c.id).join(targets).where(*held, *_holds()).limit(1)
    if wanted.finding in CLEARING and connection.execute(holds).first() is not None:
        return None, 0
    raise StoreError(f"{case_id} has no family {wanted.family_id}; `stillwatch review show` names them")
