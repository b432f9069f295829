"""Decisions: whom they would hit, made, approved by a second person, refused, and taken back.

A decision stands or does not; what it ended comes back when it is taken back. Writers come one after the other
(:meth:`Store.writing`), so of two people who decide at once the second sees what the first did.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from stillwatch.response.actions import Scope
from stillwatch.response.decision import Hit, Preview, Wanted, check
from stillwatch.response.policy import Policy
from stillwatch.store import ConflictError, StoreError, audit, outbox
from stillwatch.store.contradictions import end_contradicted, grounds_of, restore
from stillwatch.store.database import Store
from stillwatch.store.following import start
from stillwatch.store.let_be import settle
from stillwatch.store.policies import note_policy
from stillwatch.store.previews import preview_within
from stillwatch.store.stale import changes_since
from stillwatch.store.tables import NOBODY, cases, decisions, families, participants, targets

RENEWED = dt.timedelta(days=1)
"""How much later than one that says the same a decision ends at least that renews it, and is not made by mistake."""


def preview(
    store: Store,
    wanted: Wanted,
    policy: Policy,
    start: int = 0,
    most: int | None = None,
    by: tuple[str, dt.datetime] | None = None,
) -> Preview:
    """Whom a decision would hit, by the latest scan of its case; nothing is changed.

    ``by``: who would decide and when; what they hit alone on the case already counts towards what takes a second person.
    """
    with store.reading() as connection:
        return preview_within(connection, check(wanted, policy), policy, start, most, by)[0]


def decide(
    store: Store, wanted: Wanted, by: str, policy: Policy, now: dt.datetime, version: int | None = None
) -> int:
    """Make a decision, or propose it where a second person must approve; return its number.

    ``version``: of the case, as whoever decides has seen it; where it changed since, nothing is done.

    Raises:
        ConflictError: the case changed, somebody else is at work on it, or the same decision holds already.
        StoreError: there is no such case, family or principal.
    """
    wanted = check(wanted, policy)
    with store.writing() as connection:
        return decide_within(connection, wanted, by, policy, now, version)


def decide_within(
    connection: Connection, wanted: Wanted, by: str, policy: Policy, now: dt.datetime, version: int | None
) -> int:
    """Decide as a part of a transaction of :meth:`Store.writing`; ``wanted`` was checked."""
    shown, case_id = preview_within(connection, wanted, policy, by=(by, now))
    row = connection.execute(sa.select(cases).where(cases.c.id == case_id)).mappings().one()
    if version is not None and version != row["version"]:
        raise ConflictError(f"{case_id} has changed since you saw it; look again, then decide")
    _refuse_where_another_works(row, by)
    if not shown.hits:
        raise StoreError(
            "it would hit nobody" + (": all were cleared; take that back first" if shown.cleared else ""),
        )
    _refuse_a_second(connection, wanted, case_id, shown.hits, now)
    note_policy(connection, policy, by, now)
    values = _row(wanted, case_id, by, now) | {
        "campaign_id": _campaign(connection, case_id, wanted),
        "principals": shown.principals,
        "expected_innocent": shown.expected_innocent,
        "approval": shown.approval,
    }
    number = int(connection.execute(decisions.insert().returning(decisions.c.id), values).scalar_one())
    hits = [
        {
            "decision_id": number,
            "account_id": hit.account_id,
            "end_user_id": hit.end_user_id or NOBODY,
            "probability": hit.probability,
        }
        for hit in shown.hits
    ]
    connection.execute(targets.insert(), hits)
    kind = "decision.proposed" if shown.approval else "decision.made"
    audit.append(connection, now, by, kind, f"decision {number}", _told(connection, values, policy))
    if shown.approval:
        news = {
            "case": case_id,
            "decision": number,
            "principals": shown.principals,
            "approval": shown.approval,
        }
        outbox.tell(connection, now, "decision.proposed", news)
        _set_case(connection, case_id, now, state="in_review", assignee=by)
    else:
        _let_stand(connection, number, by, now)
    return number


def begins(store: Store, number: int) -> tuple[dt.datetime, dt.datetime] | None:
    """From when a decision hits the first of its principals and from when the last; None before it stands."""
    with store.reading() as connection:
        return _begins(connection, number)


def _begins(connection: Connection, number: int) -> tuple[dt.datetime, dt.datetime] | None:
    query = sa.select(sa.func.min(targets.c.starts_at), sa.func.max(targets.c.starts_at)).where(
        targets.c.decision_id == number, targets.c.lifted_at.is_(None)
    )
    first, last = connection.execute(query).one()
    return None if first is None else (first, last)


def approve(store: Store, number: int, by: str, now: dt.datetime) -> None:
    """Let a proposed decision stand, as it was previewed.

    Raises:
        ConflictError: ``by`` proposed it, it is not open, somebody else is at work on its case, or what it was proposed
            on has changed since.
    """
    with store.writing() as connection:
        row = _open(connection, number, "proposed")
        if row["asked_by"] == by:
            raise ConflictError(f"{by} proposed decision {number}; another person must approve it")
        held = connection.execute(sa.select(cases).where(cases.c.id == row["case_id"])).mappings().one()
        if held["assignee"] != row["asked_by"]:
            _refuse_where_another_works(held, by)
        if changed := changes_since(connection, row, now):
            raise ConflictError(
                f"decision {number} is no longer what was previewed: {'; '.join(changed)}. Look at the case again; to "
                f"propose it anew, refuse this one first (`stillwatch review refuse {number}`) and decide again"
            )
        connection.execute(decisions.update().where(decisions.c.id == number).values(approved_by=by))
        told = {"principals": row["principals"]}
        audit.append(connection, now, by, "decision.approved", f"decision {number}", told)
        _let_stand(connection, number, by, now)


def _refuse_where_another_works(case: RowMapping, by: str) -> None:
    if case["assignee"] not in {None, by}:
        raise ConflictError(
            f"{case['assignee']} is at work on {case['id']}; take it over first if they cannot go on"
        )


def refuse(store: Store, number: int, by: str, reason: str, now: dt.datetime) -> None:
    """Turn a proposed decision down, or withdraw one's own."""
    _end(store, number, "proposed", "refused", by, reason, now)


def undo(store: Store, number: int, by: str, reason: str, now: dt.datetime) -> None:
    """Take a standing decision back, and let stand again what it had ended."""
    _end(store, number, "standing", "undone", by, reason, now)


def _end(store: Store, number: int, was: str, becomes: str, by: str, reason: str, now: dt.datetime) -> None:
    if not reason.strip():
        raise StoreError("say why in a sentence; it is kept with the decision")
    with store.writing() as connection:
        row = _open(connection, number, was)
        if was == "standing":
            held = connection.execute(sa.select(cases).where(cases.c.id == row["case_id"])).mappings().one()
            _refuse_where_another_works(held, by)
        ended = {"state": becomes, "ended_by": by, "ended_at": now, "ended_because": reason.strip()}
        connection.execute(decisions.update().where(decisions.c.id == number).values(ended))
        restored = restore(connection, number)
        again = settle(connection, row["case_id"], now, grounds_of(connection, row)).hit_again
        told = {"reason": reason.strip(), "stand_again": restored, "hit_again": again}
        audit.append(connection, now, by, f"decision.{becomes}", f"decision {number}", told)
        left = sa.select(decisions.c.id).where(
            decisions.c.case_id == row["case_id"], decisions.c.state == "standing"
        )
        state = "decided" if connection.execute(left.limit(1)).first() else "in_review"
        outbox.note(connection, row["case_id"], now)
        _set_case(connection, row["case_id"], now, state=state)


def _campaign(connection: Connection, case_id: str, wanted: Wanted) -> str:
    """The campaign of the latest scan that a decision is about: a case may hold several.

    Where the latest scan has nobody of them: that of the last decision on the case.
    """
    newest = sa.select(cases.c.scan_id).where(cases.c.id == case_id).scalar_subquery()
    query = sa.select(participants.c.campaign_id, sa.func.count()).where(
        participants.c.case_id == case_id, participants.c.scan_id == newest
    )
    if wanted.scope is Scope.PRINCIPAL:
        query = query.where(participants.c.account_id == wanted.account_id)
    if wanted.scope is Scope.FAMILY:
        held = sa.select(families.c.campaign_id).where(
            families.c.family_id == wanted.family_id, families.c.scan_id == newest
        )
        named = connection.execute(held).scalar()
        return str(named) if named is not None else _last_campaign(connection, case_id)
    found = connection.execute(query.group_by(participants.c.campaign_id)).all()
    if not found:
        return _last_campaign(connection, case_id)
    return str(min(found, key=lambda row: (-row[1], row[0]))[0])


def _last_campaign(connection: Connection, case_id: str) -> str:
    standing = (decisions.c.case_id == case_id) & (decisions.c.state == "standing")
    query = sa.select(decisions.c.campaign_id).where(standing).order_by(decisions.c.id.desc()).limit(1)
    return str(connection.execute(query).scalar_one())


def _row(wanted: Wanted, case_id: str, by: str, now: dt.datetime) -> dict[str, Any]:
    lasts, spread = wanted.lasts or dt.timedelta(0), wanted.spread or dt.timedelta(0)
    return {
        "case_id": case_id,
        "state": "proposed",
        "finding": str(wanted.finding),
        "action": str(wanted.action),
        "parameters": dict(wanted.parameters),
        "scope": str(wanted.scope),
        "account_id": wanted.account_id,
        "end_user_id": wanted.end_user_id,
        "family_id": wanted.family_id,
        "reason": wanted.reason,
        "lasts_s": int(lasts.total_seconds()),
        "spread_s": int(spread.total_seconds()),
        "follows": wanted.follows,
        "gained": 0,
        "asked_by": by,
        "asked_at": now,
    }


def _told(connection: Connection, values: dict[str, Any], policy: Policy) -> dict[str, Any]:
    """A decision as the audit log keeps it: all of it but the name of an account."""
    told = {
        name: value
        for name, value in values.items()
        if name not in {"account_id", "end_user_id", "asked_at", "state", "gained", "asked_by"}
    }
    told["policy"] = policy.digest
    if values["account_id"] is not None:
        told["principal"] = audit.veil(connection, values["account_id"], values["end_user_id"])
    return told


def _refuse_a_second(
    connection: Connection, wanted: Wanted, case_id: str, hits: Sequence[Hit], now: dt.datetime
) -> None:
    """Refuse a decision that says the same as one that is open or holds, hits nobody else, and does not renew it."""
    until = now + (wanted.lasts or dt.timedelta(0))
    asked = {(hit.account_id, hit.end_user_id or NOBODY) for hit in hits}
    query = sa.select(decisions).where(
        decisions.c.case_id == case_id,
        decisions.c.action == wanted.action,
        decisions.c.finding == wanted.finding,
        decisions.c.scope == wanted.scope,
        sa.or_(
            decisions.c.state == "proposed", (decisions.c.state == "standing") & (decisions.c.until > now)
        ),
    )
    for row in connection.execute(query):
        subject = (row.account_id, row.end_user_id, row.family_id)
        if subject == (wanted.account_id, wanted.end_user_id, wanted.family_id) and row.parameters == dict(
            wanted.parameters
        ):
            within = sa.select(targets.c.account_id, targets.c.end_user_id).where(
                targets.c.decision_id == row.id, targets.c.lifted_at.is_(None)
            )
            already = {(account, user) for account, user in connection.execute(within)}
            if not asked <= already:
                continue  # the case has gained principals since; this one hits them too
            if row.state == "standing" and until >= row.until + RENEWED:
                continue
            raise ConflictError(
                f"decision {row.id} of {row.asked_by} says the same and {_holds(connection, row, now)}"
            )


def _holds(connection: Connection, row: sa.Row[Any], now: dt.datetime) -> str:
    if row.state == "proposed":
        return "waits for approval"
    span = _begins(connection, row.id)
    if span is None or span[1] <= now:
        return "holds already; one that ends a day later renews it"
    return f"stands already; it holds for all of them from {span[1]:%Y-%m-%dT%H:%M:%SZ}"


def _let_stand(connection: Connection, number: int, by: str, now: dt.datetime) -> None:
    """Let a decision stand: draw a beginning for each whom it hits, and end what it contradicts."""
    row = connection.execute(sa.select(decisions).where(decisions.c.id == number)).mappings().one()
    until = now + dt.timedelta(seconds=row["lasts_s"])
    connection.execute(
        decisions.update()
        .where(decisions.c.id == number)
        .values(state="standing", decided_at=now, until=until)
    )
    hits = connection.execute(
        sa.select(targets.c.account_id, targets.c.end_user_id).where(targets.c.decision_id == number)
    ).all()
    drawn = [{"a": account, "u": user, "at": start(now, row["spread_s"])} for account, user in hits]
    connection.execute(
        targets.update()
        .where(
            targets.c.decision_id == number,
            targets.c.account_id == sa.bindparam("a"),
            targets.c.end_user_id == sa.bindparam("u"),
        )
        .values(starts_at=sa.bindparam("at")),
        drawn,
    )
    end_contradicted(connection, number, by, now)
    outbox.note(connection, row["case_id"], now)
    _set_case(connection, row["case_id"], now, state="decided", assignee=None)


def _open(connection: Connection, number: int, state: str) -> RowMapping:
    row = connection.execute(sa.select(decisions).where(decisions.c.id == number)).mappings().first()
    if row is None:
        raise StoreError(f"there is no decision {number}")
    if row["state"] != state:
        raise ConflictError(f"decision {number} is {row['state']} and not {state}; nothing was changed")
    return row


def _set_case(connection: Connection, case_id: str, now: dt.datetime, **values: Any) -> None:
    connection.execute(
        cases.update()
        .where(cases.c.id == case_id)
        .values(**values, changed_at=now, version=cases.c.version + 1)
    )
