"""What becomes of a decided case that gains principals: whoever replaces a banned account inherits its case.

The case comes back into the queue. A decision hits the newcomers by itself only where whoever made it said so, and no
more of them than the policy allows.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from random import SystemRandom

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from stillwatch.response.actions import Finding
from stillwatch.response.policy import Policy
from stillwatch.store import audit
from stillwatch.store.tables import cases, decisions, participants, targets

Principal = tuple[str, str]
CLEARING = (Finding.INNOCENT, Finding.LICENSED)


def follow(
    connection: Connection,
    case_id: str,
    gained: Sequence[Principal],
    by: str,
    policy: Policy,
    now: dt.datetime,
) -> int:
    """Let the standing decisions that follow their case hit whom it has gained; return how many were hit.

    A case that was cleared as a whole stays decided.
    """
    standing = connection.execute(
        sa.select(decisions).where(
            decisions.c.case_id == case_id, decisions.c.state == "standing", decisions.c.until > now
        )
    ).all()
    if any(row.scope == "campaign" and row.finding in CLEARING for row in standing):
        return 0
    hit: set[Principal] = set()
    for decision in standing:
        if not decision.follows:
            continue
        room = max(policy.followed - decision.gained, 0)
        chosen = gained[:room]
        if chosen:
            _hit(connection, case_id, decision, chosen, now)
        hit.update(chosen)
        told = {"case": case_id, "gained": len(chosen), "beyond_the_policy": len(gained) - len(chosen)}
        audit.append(connection, now, by, "decision.followed", f"decision {decision.id}", told)
    if len(hit) < len(gained):
        connection.execute(
            cases.update()
            .where(cases.c.id == case_id, cases.c.state == "decided")
            .values(state="new", assignee=None)
        )
    return len(hit)


def start(decided_at: dt.datetime, spread_s: int) -> dt.datetime:
    """The moment from which one principal is hit, drawn evenly from the span, from a source that nobody can guess."""
    return decided_at + dt.timedelta(seconds=SystemRandom().uniform(0, spread_s))


def _hit(
    connection: Connection,
    case_id: str,
    decision: sa.Row[tuple[object, ...]],
    chosen: Sequence[Principal],
    now: dt.datetime,
) -> None:
    newest = sa.select(cases.c.scan_id).where(cases.c.id == case_id).scalar_subquery()
    query = sa.select(participants.c.account_id, participants.c.end_user_id, participants.c.probability)
    known = {
        (row.account_id, row.end_user_id): row.probability
        for row in connection.execute(
            query.where(participants.c.case_id == case_id, participants.c.scan_id == newest)
        )
    }
    rows = [
        {
            "decision_id": decision.id,
            "account_id": account,
            "end_user_id": user,
            "probability": known[account, user],
            "starts_at": start(now, decision.spread_s),
        }
        for account, user in chosen
        if (account, user) in known
    ]
    if rows:
        connection.execute(targets.insert(), rows)
        connection.execute(
            decisions.update()
            .where(decisions.c.id == decision.id)
            .values(gained=decisions.c.gained + len(rows))
        )
