"""What others are to be told, written in the transaction of the change: what is not sent yet survives the process.

A principal is told of when its action begins for it, and not before: a message at once would undo the random delay.
Whether an action still holds is looked at when it is sent, so what was taken back before it began is told to nobody.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from stillwatch.response.actions import CLEARING
from stillwatch.response.webhooks import BEGINS, ENDS
from stillwatch.store.tables import NOBODY, decisions, outbox, targets


def note(connection: Connection, case_id: str, now: dt.datetime) -> None:
    """Write down what begins and what ends by a change of a case's decisions; may be called as often as one likes."""
    told = (
        (outbox.c.decision_id == targets.c.decision_id)
        & (outbox.c.account_id == targets.c.account_id)
        & (outbox.c.end_user_id == targets.c.end_user_id)
        & (outbox.c.event == ENDS)
        & (outbox.c.due_at > now)
    )
    named = (targets.c.decision_id, targets.c.account_id, targets.c.end_user_id)
    new = (
        sa.select(*named)
        .join(decisions, decisions.c.id == targets.c.decision_id)
        .where(decisions.c.case_id == case_id, holding(now), ~sa.exists().where(told))
    )
    columns = ["decision_id", "account_id", "end_user_id", "event", "due_at"]
    for event, due in ((BEGINS, targets.c.starts_at), (ENDS, decisions.c.until)):
        rows = new.add_columns(sa.literal(event), due)
        connection.execute(outbox.insert().from_select(columns, rows))
    stands = (
        sa.exists()
        .where(
            targets.c.decision_id == outbox.c.decision_id,
            targets.c.account_id == outbox.c.account_id,
            targets.c.end_user_id == outbox.c.end_user_id,
            decisions.c.id == targets.c.decision_id,
            holding(now),
        )
        .correlate(outbox)
    )
    own = sa.select(decisions.c.id).where(decisions.c.case_id == case_id)
    over = (outbox.c.event == ENDS) & (outbox.c.due_at > now) & outbox.c.decision_id.in_(own) & ~stands
    connection.execute(outbox.update().where(over).values(due_at=now))


def holding(now: dt.datetime) -> sa.ColumnElement[bool]:
    """Whether a target is hit, now or later, by its decision."""
    return sa.and_(
        decisions.c.state == "standing",
        decisions.c.until > now,
        decisions.c.finding.not_in(CLEARING),
        targets.c.lifted_at.is_(None),
    )


def tell(
    connection: Connection,
    now: dt.datetime,
    event: str,
    news: Mapping[str, Any],
    principal: tuple[str, str] = (NOBODY, NOBODY),
) -> None:
    """Write down news; with the principal whom it is about, where others must know."""
    row: dict[str, Any] = {
        "event": event,
        "due_at": now,
        "account_id": principal[0],
        "end_user_id": principal[1],
    }
    row["news"] = dict(news)
    connection.execute(outbox.insert(), row)
