"""What becomes of a decided case that gains principals: whoever replaces a banned account inherits its case.

The case comes back into the queue. A decision hits the newcomers by itself only where whoever made it said so, no more
of them than the policy allows, and never more than the people who made it might have decided on. A campaign that goes on
when its action has run out comes back too.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from random import SystemRandom
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from stillwatch.response.actions import CLEARING, Action
from stillwatch.response.policy import Policy
from stillwatch.store import audit
from stillwatch.store.bounds import Principal, approval_with, hit_alone
from stillwatch.store.let_be import let_be
from stillwatch.store.tables import cases, decisions, families, participants, targets


def follow(
    connection: Connection,
    case_id: str,
    gained: Sequence[Principal],
    by: str,
    policy: Policy,
    now: dt.datetime,
) -> int:
    """Let the standing decisions that follow their case hit whom it has gained; return how many were hit.

    A case that was cleared as a whole stays decided. Whoever was cleared on any case waits for people.
    """
    holds = (decisions.c.until > now) | decisions.c.finding.in_(CLEARING)
    standing = connection.execute(
        sa.select(decisions).where(decisions.c.case_id == case_id, decisions.c.state == "standing", holds)
    ).all()
    if any(row.scope == "campaign" and row.finding in CLEARING for row in standing):
        return 0
    spared = {(row.account_id, row.end_user_id) for row in connection.execute(let_be(case_id, anywhere=True))}
    new = [principal for principal in gained if principal not in spared]
    hit: set[Principal] = set()
    for decision in standing:
        if not decision.follows:
            continue
        alone = {} if decision.approved_by else hit_alone(connection, case_id, decision.asked_by, now)
        chosen = _allowed(decision, _within(connection, case_id, decision, new), alone, policy)
        if chosen:
            _hit(connection, decision, chosen, now)
        hit.update(chosen)
        told = {
            "case": case_id,
            "gained": len(chosen),
            "beyond_the_policy": len(new) - len(chosen),
            "let_be": len(gained) - len(new),
        }
        audit.append(connection, now, by, "decision.followed", f"decision {decision.id}", told)
    if len(hit) < len(gained):
        _ask_again(connection, case_id)
    return len(hit)


def goes_on(connection: Connection, case_id: str, now: dt.datetime) -> bool:
    """Bring a decided case back whose campaign went on after every action on it had ended; whether it was."""
    standing = (decisions.c.case_id == case_id) & (decisions.c.state == "standing")
    held = sa.or_(decisions.c.until > now, decisions.c.finding.in_(CLEARING))
    if connection.execute(sa.select(decisions.c.id).where(standing, held).limit(1)).first() is not None:
        return False
    over = sa.select(sa.func.max(decisions.c.until)).where(standing)
    end = connection.execute(over).scalar()
    last = connection.execute(sa.select(cases.c.last_seen).where(cases.c.id == case_id)).scalar_one()
    return end is not None and last > end and _ask_again(connection, case_id)


def _ask_again(connection: Connection, case_id: str) -> bool:
    decided = (cases.c.id == case_id) & (cases.c.state == "decided")
    return connection.execute(cases.update().where(decided).values(state="new", assignee=None)).rowcount > 0


def _within(
    connection: Connection, case_id: str, decision: sa.Row[Any], gained: Sequence[Principal]
) -> dict[Principal, float]:
    """Those of the newcomers whom a decision is about, with their probabilities: on a family, its campaign's alone."""
    newest = sa.select(cases.c.scan_id).where(cases.c.id == case_id).scalar_subquery()
    query = sa.select(
        participants.c.account_id, participants.c.end_user_id, participants.c.probability
    ).where(participants.c.case_id == case_id, participants.c.scan_id == newest)
    if decision.family_id is not None:
        owner = sa.select(families.c.campaign_id).where(
            families.c.family_id == decision.family_id, families.c.scan_id == newest
        )
        query = query.where(participants.c.campaign_id == owner.scalar_subquery())
    known = {(row[0], row[1]): row[2] for row in connection.execute(query)}
    return {principal: known[principal] for principal in gained if principal in known}


def _allowed(
    decision: sa.Row[Any],
    gained: Mapping[Principal, float],
    alone: Mapping[Principal, float],
    policy: Policy,
) -> dict[Principal, float]:
    """The first of them, up to what the policy allows, and to what takes a second person where there was none.

    ``alone``: whom whoever decided hits without a second person already, by this decision and others.
    """
    chosen: dict[Principal, float] = {}
    innocent = 0.0
    for principal, probability in gained.items():
        innocent += 1 - probability
        asked = (Action(decision.action), len(chosen) + 1, innocent, alone, decision.asked_by, policy)
        if decision.gained + len(chosen) >= policy.followed or (
            decision.approved_by is None and approval_with(*asked)
        ):
            break
        chosen[principal] = probability
    return chosen


def start(decided_at: dt.datetime, spread_s: float) -> dt.datetime:
    """The moment from which one principal is hit, drawn evenly from the span, from a source that nobody can guess."""
    return decided_at + dt.timedelta(seconds=SystemRandom().uniform(0, spread_s))


def _hit(
    connection: Connection, decision: sa.Row[Any], chosen: Mapping[Principal, float], now: dt.datetime
) -> None:
    # A newcomer near the end is hit before it, however long the delay was for the others.
    spread_s = min(decision.spread_s, (decision.until - now).total_seconds())
    rows = [
        {
            "decision_id": decision.id,
            "account_id": account,
            "end_user_id": user,
            "probability": probability,
            "starts_at": start(now, spread_s),
        }
        for (account, user), probability in chosen.items()
    ]
    connection.execute(targets.insert(), rows)
    innocent = sum(1 - probability for probability in chosen.values())
    values = {
        "gained": decisions.c.gained + len(rows),
        "expected_innocent": decisions.c.expected_innocent + innocent,
    }
    connection.execute(decisions.update().where(decisions.c.id == decision.id).values(values))
