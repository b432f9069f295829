"""What has changed since a decision was proposed, so that nobody approves what nobody has seen."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from stillwatch.response.actions import CLEARING, Finding, Scope
from stillwatch.store.let_be import let_be
from stillwatch.store.tables import cases, decisions, participants, scans, targets


def changes_since(connection: Connection, row: RowMapping, now: dt.datetime) -> list[str]:
    """What a proposed decision was not previewed with, in words; empty where it is as it was."""
    told = []
    if now - row["asked_at"] > dt.timedelta(seconds=row["lasts_s"]):
        asked = f"it waits since {row['asked_at']:%Y-%m-%d}"
        told.append(f"{asked}, which is longer than it would hold")
    newest = connection.execute(
        sa.select(scans.c.id, scans.c.loaded_at).join(cases).where(cases.c.id == row["case_id"])
    ).one()
    # A service looks every hour or less: a scan that finds the same people changes nothing.
    if newest.loaded_at > row["asked_at"] and (gone := _gone(connection, row, newest.id)):
        told.append(
            f"by scan {newest.id}, which was loaded since, {gone:,} of those whom it would hit take no part"
        )
    cleared = decisions.c.finding.in_(CLEARING) & (decisions.c.scope != Scope.PRINCIPAL)
    later = sa.select(decisions.c.id, decisions.c.finding, decisions.c.scope).where(
        cleared,
        decisions.c.case_id == row["case_id"],
        decisions.c.state == "standing",
        decisions.c.id > row["id"],
    )
    for number, finding, scope in connection.execute(later.order_by(decisions.c.id)):
        told.append(
            f"decision {number} found {'the case' if scope == Scope.CAMPAIGN else 'a family'} {finding}"
        )
    found = let_be(row["case_id"], Finding(row["finding"]), row["family_id"]).subquery()
    spared = connection.execute(
        sa.select(sa.func.count()).where(
            targets.c.decision_id == row["id"],
            sa.tuple_(targets.c.account_id, targets.c.end_user_id).in_(
                sa.select(found.c.account_id, found.c.end_user_id)
            ),
        )
    ).scalar_one()
    if spared:
        told.append(f"{spared:,} of those whom it would hit were cleared or won an appeal")
    return told


def _gone(connection: Connection, row: RowMapping, scan_id: int) -> int:
    """How many of those whom it would hit take part by that scan no more."""
    part = sa.select(participants.c.account_id, participants.c.end_user_id).where(
        participants.c.case_id == row["case_id"], participants.c.scan_id == scan_id
    )
    found: int = connection.execute(
        sa.select(sa.func.count()).where(
            targets.c.decision_id == row["id"],
            sa.tuple_(targets.c.account_id, targets.c.end_user_id).not_in(part),
        )
    ).scalar_one()
    return found
