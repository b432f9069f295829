"""What the store gives to others: the actions that hold, for a gateway, and the decisions, for the next scan."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from stillwatch.response.actions import CLEARING, Action, Finding, Scope
from stillwatch.response.snapshot import HeldAction, Snapshot
from stillwatch.store import StoreError
from stillwatch.store.cases import case_of
from stillwatch.store.database import Store
from stillwatch.store.let_be import REVERSED, because_of, because_of_appeal, kin, let_be
from stillwatch.store.tables import appeals, campaigns, decisions, head, participants, targets
from stillwatch.store.templates import read_templates


def snapshot(store: Store, now: dt.datetime) -> Snapshot:
    """All actions that hold now or will; whoever enforces compares ``from`` and ``until`` with its own clock."""
    query = (
        sa.select(
            targets.c.account_id,
            targets.c.end_user_id,
            targets.c.starts_at,
            *(
                decisions.c[name]
                for name in (
                    "id",
                    "case_id",
                    "scope",
                    "family_id",
                    "action",
                    "parameters",
                    "campaign_id",
                    "until",
                )
            ),
        )
        .join(decisions)
        .where(
            decisions.c.state == "standing",
            decisions.c.until > now,
            decisions.c.finding.not_in(CLEARING),
            targets.c.lifted_at.is_(None),
        )
        .order_by(decisions.c.id, targets.c.account_id, targets.c.end_user_id)
    )
    with store.reading() as connection:
        rows = connection.execute(query).all()
        templates = read_templates(connection, (row.family_id for row in rows if row.family_id))
    return Snapshot(now, tuple(held_action(row._mapping) for row in rows), templates)


def version(store: Store) -> int:
    """A number that every change of the store raises: that of the last entry of its audit log."""
    with store.reading() as connection:
        return int(connection.execute(sa.select(head.c.number)).scalar_one())


def held_action(row: Mapping[Any, Any]) -> HeldAction:
    """The action of a target with its decision's columns."""
    return HeldAction(
        Scope(row["scope"]),
        row["account_id"],
        row["end_user_id"] or None,
        row["family_id"],
        Action(row["action"]),
        dict(row["parameters"]),
        f"case {row['case_id']}, decision {row['id']}",
        row["campaign_id"],
        row["starts_at"],
        row["until"],
    )


FORGOTTEN = "forgotten-"
"""How the name of a principal begins that was removed."""


def label_rows(store: Store) -> list[dict[str, Any]]:
    """Decisions and answers to appeals as rows of ``labels.parquet``, the last one on each subject.

    What is proposed, refused or taken back decides nothing, nor does an answer that upheld it. A decision keeps its
    finding when its action has run out. A case may have been called otherwise in every scan, so each name of it gets a
    row. Whoever is let be is so by every name of a case that shares a family with theirs. ``unsure`` says nothing against a
    clearing that stands.
    """
    with store.reading() as connection:
        names: dict[str, set[str]] = {}
        known = sa.select(campaigns.c.case_id, campaigns.c.campaign_id).distinct()
        for case_id, campaign_id in connection.execute(known):
            names.setdefault(case_id, set()).add(campaign_id)
        made = connection.execute(sa.select(decisions).where(decisions.c.state == "standing")).all()
        answered = connection.execute(
            sa.select(appeals, decisions.c.finding)
            .join(decisions, decisions.c.id == appeals.c.decision_id)
            .where(
                sa.or_(
                    appeals.c.state == "reversed",  # who won stays so, whatever becomes of the decision
                    (appeals.c.state == "upheld") & (decisions.c.state == "standing"),
                )
            )
        ).all()
        grounds = _grounds(made, answered)
        clears = [*(one for one in made if one.finding in CLEARING), *answered]
        spared = _spared(connection, {one.case_id for one in clears})
    rows: dict[tuple[Any, ...], dict[str, Any]] = {}
    ordered = [(one.decided_at, 0, one.id, one) for one in made]
    ordered += [(one.answered_at, 1, one.id, one) for one in answered]
    for at, appealed, _, one in sorted(ordered, key=lambda row: row[:3]):
        base = {"decision": one.finding, "source": "appeal" if appealed else "review", "decided_at": at}
        if str(one.account_id or "").startswith(FORGOTTEN):
            continue
        if appealed:
            _of_appeal(rows, base, one, names[one.case_id])
            continue
        if one.scope == Scope.FAMILY:
            _keep(rows, base | {"family_id": one.family_id})
            continue
        person = {"account_id": one.account_id, "end_user_id": one.end_user_id or None}
        for name in sorted(names[one.case_id]):
            _keep(rows, base | {"campaign_id": name} | (person if one.scope == Scope.PRINCIPAL else {}))
    for case_id, account, user, because in spared:
        row = grounds[because] | {"account_id": account, "end_user_id": user or None}
        for name in sorted(names[case_id]):
            _keep(rows, row | {"campaign_id": name}, over=False)
    return list(rows.values())


def _grounds(made: Sequence[Any], answered: Sequence[Any]) -> dict[str, dict[str, Any]]:
    """How a row tells of each clearing and each appeal that was won, by what :func:`let_be` calls it."""
    told = {
        because_of(one.id): {"decision": one.finding, "source": "review", "decided_at": one.decided_at}
        for one in made
        if one.finding in CLEARING
    }
    innocent = {"decision": Finding.INNOCENT, "source": "appeal"}
    won = (one for one in answered if one.state == REVERSED)
    return told | {because_of_appeal(one.id): innocent | {"decided_at": one.answered_at} for one in won}


def _spared(connection: Connection, found: Iterable[str]) -> list[tuple[str, str, str, str]]:
    """Who takes part in one of some cases or their kin and is let be: case, principal, and because of what."""
    told = []
    for case_id in sorted({name for one in found for name in connection.execute(kin(one)).scalars()}):
        who = let_be(case_id).subquery()
        part = (
            sa.select(who.c.account_id, who.c.end_user_id, sa.func.min(who.c.because))
            .join(
                participants,
                (participants.c.account_id == who.c.account_id)
                & (participants.c.end_user_id == who.c.end_user_id),
            )
            .where(participants.c.case_id == case_id)
            .group_by(who.c.account_id, who.c.end_user_id)
        )
        told += [(case_id, account, user, why) for account, user, why in connection.execute(part)]
    return told


def _of_appeal(
    rows: dict[tuple[Any, ...], dict[str, Any]], base: dict[str, Any], one: Any, names: set[str]
) -> None:
    who = {"account_id": one.account_id, "end_user_id": one.end_user_id or None, "appeal": one.state}
    for name in sorted(names):
        _keep(rows, base | {"campaign_id": name} | who)


def _keep(rows: dict[tuple[Any, ...], dict[str, Any]], row: dict[str, Any], *, over: bool = True) -> None:
    """Keep the last row on each subject; what clears stays, unless another finding than ``unsure`` comes ``over`` it."""
    subject = tuple(row.get(name) for name in ("campaign_id", "family_id", "account_id", "end_user_id"))
    held = rows.get(subject)
    clears = held is not None and (held["decision"] in CLEARING or held.get("appeal") == REVERSED)
    if not clears or (over and row["decision"] != Finding.UNSURE):
        rows[subject] = row


def clearings(store: Store, campaign_id: str) -> tuple[int | None, frozenset[tuple[str, str | None]]]:
    """What people found of a campaign that speaks for it: the decision that clears its case as a whole, if one does,
    and who of it is let be by something else. Nothing of a campaign that was not loaded.
    """
    with store.reading() as connection:
        try:
            case_id = case_of(connection, campaign_id)
        except StoreError:
            return None, frozenset()
        whole = sa.select(sa.func.max(decisions.c.id)).where(
            decisions.c.case_id == case_id,
            decisions.c.state == "standing",
            decisions.c.scope == Scope.CAMPAIGN,
            decisions.c.finding.in_(CLEARING),
        )
        people = connection.execute(let_be(case_id)).all()
        return connection.execute(whole).scalar(), frozenset((one[0], one[1] or None) for one in people)
