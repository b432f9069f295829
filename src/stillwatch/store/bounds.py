"""What one person does alone on a case, added up: many small decisions are bounded like a large one."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from stillwatch.response.actions import CLEARING, Action
from stillwatch.response.decision import approval_of
from stillwatch.response.policy import Policy
from stillwatch.store.tables import decisions, targets

Principal = tuple[str, str]


def hit_alone(connection: Connection, case_id: str, by: str, now: dt.datetime) -> dict[Principal, float]:
    """Whom somebody's own decisions hit, now or later, that nobody approved; with their probabilities."""
    query = (
        sa.select(targets.c.account_id, targets.c.end_user_id, sa.func.max(targets.c.probability))
        .join(decisions)
        .where(
            decisions.c.case_id == case_id,
            decisions.c.asked_by == by,
            decisions.c.approved_by.is_(None),
            decisions.c.state == "standing",
            decisions.c.until > now,
            decisions.c.action != Action.OBSERVE,
            decisions.c.finding.not_in(CLEARING),
            targets.c.lifted_at.is_(None),
        )
        .group_by(targets.c.account_id, targets.c.end_user_id)
    )
    return {(account, user): probability for account, user, probability in connection.execute(query)}


def approval_with(
    action: Action,
    principals: int,
    innocent: float,
    others: Mapping[Principal, float],
    by: str,
    policy: Policy,
) -> str:
    """Why a second person must approve, with the ``others`` whom the same person hits alone; or empty."""
    if text := approval_of(action, principals, innocent, policy):
        return text
    doubted = sum(1 - probability for probability in others.values())
    text = approval_of(action, principals + len(others), innocent + doubted, policy)
    return f"with the {len(others):,} whom {by} hits alone on this case, {text}" if text else ""
