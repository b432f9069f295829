"""Which policy is in use since when: a change of it is an entry of the audit log, and its text is kept."""

from __future__ import annotations

import datetime as dt
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from stillwatch.response.policy import Policy
from stillwatch.store import audit
from stillwatch.store.database import Store
from stillwatch.store.tables import policies


def note_policy(connection: Connection, policy: Policy, by: str, now: dt.datetime) -> None:
    """Note that a policy is used, where it is not the one that was used last."""
    last = connection.execute(
        sa.select(policies.c.digest).order_by(policies.c.number.desc()).limit(1)
    ).scalar()
    if policy.digest == (last or Policy().digest):
        return
    row = {"digest": policy.digest, "text": policy.text, "since": now, "by": by}
    number = connection.execute(policies.insert().returning(policies.c.number), row).scalar_one()
    told = {
        "before": last,
        "now": policy.digest,
        "rules": {rule.name: {"mode": rule.mode, "action": rule.action} for rule in policy.rules},
    }
    audit.append(connection, now, by, "policy.changed", f"policy {number}", told)


def all_policies(store: Store) -> list[dict[str, Any]]:
    """Every policy that was in use, the newest first."""
    with store.reading() as connection:
        query = sa.select(policies).order_by(policies.c.number.desc())
        return [dict(row) for row in connection.execute(query).mappings()]
