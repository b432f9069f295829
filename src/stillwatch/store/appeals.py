"""Appeals: a link for whoever is hit, their objection, and the answer of another person than the one who decided."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from stillwatch.response.actions import Action, Finding, Scope
from stillwatch.response.appeal import (
    LONGEST_OBJECTION,
    Link,
    Notice,
    new_serial,
    notice,
    read_token,
    token_of,
)
from stillwatch.response.policy import Policy
from stillwatch.store import ConflictError, StoreError, audit, outbox
from stillwatch.store.database import Store, key_of
from stillwatch.store.let_be import REVERSED, because_of_appeal, settle
from stillwatch.store.tables import NOBODY, appeals, cases, decisions, targets

INVITED, RECEIVED, UPHELD, REVOKED = "invited", "received", "upheld", "revoked"
STATES = (RECEIVED, UPHELD, REVERSED, INVITED, REVOKED)
"""States of an appeal; ``invited``: the link was made, and nobody has objected."""
OUTCOMES = (UPHELD, REVERSED)
LONGEST_ANSWER = 4000
PAGE = 50


@dataclass(frozen=True, slots=True)
class Invitation:
    """A link for one principal."""

    number: int
    account_id: str
    end_user_id: str | None
    token: str


@dataclass(frozen=True, slots=True)
class Shown:
    """What a link leads to."""

    notice: Notice
    state: str
    objected_at: dt.datetime | None
    answer: str | None
    """What the accused are told of the outcome."""
    until: dt.datetime
    """When the link ends."""
    over: bool
    """Whether the decision holds for them no more."""


def invite(
    store: Store,
    decision: int,
    by: str,
    policy: Policy,
    now: dt.datetime,
    account_id: str | None = None,
    end_user_id: str | None = None,
) -> tuple[list[Invitation], int]:
    """Make links for those whom a decision hits, or one of them; also how many it does not hit yet.

    Whoever is not hit yet is left out: the link would tell them what is coming. Who has a link keeps it; in the place of one
    that was revoked or has ended comes another, by which an objection that was made goes on.
    """
    with store.writing() as connection:
        row = _standing(connection, decision)
        query = sa.select(targets).where(targets.c.decision_id == decision, targets.c.lifted_at.is_(None))
        if account_id is not None:
            one = (targets.c.account_id == account_id) & (targets.c.end_user_id == (end_user_id or NOBODY))
            query = query.where(one)
        hits = connection.execute(query.order_by(targets.c.account_id, targets.c.end_user_id)).all()
        if not hits:
            raise StoreError(f"decision {decision} hits nobody of that name")
        begun = [hit for hit in hits if hit.starts_at <= now]
        known = {(one.account_id, one.end_user_id): one for one in _of_decision(connection, decision)}
        made = []
        for hit in begun:
            there = known.get((hit.account_id, hit.end_user_id))
            if there is None:
                values = {
                    "decision_id": decision,
                    "case_id": row["case_id"],
                    "account_id": hit.account_id,
                    "end_user_id": hit.end_user_id,
                    "state": INVITED,
                    "answered_within_s": int(policy.answered_within.total_seconds()),
                    **_new_link(by, policy, now),
                }
                there = connection.execute(appeals.insert().values(values).returning(*appeals.c)).one()
                _note_link(connection, there, by, now)
            elif there.state == REVOKED or there.until <= now:
                state = INVITED if there.state == REVOKED else there.state
                again = appeals.update().where(appeals.c.id == there.id)
                values = {"state": state, **_new_link(by, policy, now)}
                there = connection.execute(again.values(values).returning(*appeals.c)).one()
                _note_link(connection, there, by, now)
            made.append(there)
        key = key_of(connection)
    return [_invitation(key, one) for one in made], len(hits) - len(begun)


def _new_link(by: str, policy: Policy, now: dt.datetime) -> dict[str, Any]:
    until = (now + policy.open_for).replace(microsecond=0)
    return {"serial": new_serial(), "until": until, "made_by": by, "made_at": now}


def _note_link(connection: Connection, row: Any, by: str, now: dt.datetime) -> None:
    whom = {"principal": audit.veil(connection, row.account_id, row.end_user_id)}
    audit.append(connection, now, by, "appeal.invited", f"appeal {row.id}", whom)


def _invitation(key: bytes, row: Any) -> Invitation:
    token = token_of(key, Link(row.serial, row.until))
    return Invitation(row.id, row.account_id, row.end_user_id or None, token)


def _of_decision(connection: Connection, decision: int) -> Sequence[sa.Row[Any]]:
    return connection.execute(sa.select(appeals).where(appeals.c.decision_id == decision)).all()


def look(store: Store, token: str, now: dt.datetime) -> Shown:
    """What the accused see. Raises :class:`StoreError` where the link is not ours, was revoked or has ended."""
    with store.reading() as connection:
        row = _by_token(connection, token, now)
        hit = connection.execute(
            sa.select(decisions, targets.c.starts_at, targets.c.lifted_at)
            .join(targets)
            .where(
                decisions.c.id == row["decision_id"],
                targets.c.account_id == row["account_id"],
                targets.c.end_user_id == row["end_user_id"],
            )
        ).mappings().one()  # fmt: skip
    text = notice(
        Action(hit["action"]), Finding(hit["finding"]), Scope(hit["scope"]), hit["parameters"], hit["starts_at"],
        hit["until"], hit["approved_by"] is not None, dt.timedelta(seconds=row["answered_within_s"]),
    )  # fmt: skip
    over = hit["state"] != "standing" or hit["lifted_at"] is not None or hit["until"] <= now
    return Shown(text, row["state"], row["objected_at"], row["answer"], row["until"], over)


def object_to(store: Store, token: str, objection: str, now: dt.datetime) -> int:
    """Take an objection; return the number of the appeal."""
    text = objection.strip()
    if not text:
        raise StoreError("write a sentence or two; an empty objection cannot be looked at")
    if len(text) > LONGEST_OBJECTION:
        raise StoreError(
            f"the objection has {len(text):,} characters and {LONGEST_OBJECTION:,} are kept; shorten it"
        )
    with store.writing() as connection:
        row = _by_token(connection, token, now)
        if row["state"] != INVITED:
            raise ConflictError("an objection was sent by this link before; it is looked at, or was answered")
        number = int(row["id"])
        values = {"state": RECEIVED, "objection": text, "objected_at": now}
        connection.execute(appeals.update().where(appeals.c.id == number).values(values))
        _count(connection, row["case_id"], now)
        news = {"appeal": number, "case": row["case_id"], "decision": row["decision_id"]}
        outbox.tell(connection, now, "appeal.received", news)
        audit.append(
            connection, now, "the accused", "appeal.received", f"appeal {number}", _whom(connection, row)
        )
    return number


def answer_appeal(store: Store, number: int, by: str, outcome: str, answer: str, now: dt.datetime) -> None:
    """Uphold a decision for who objected, or reverse it: then every action of the case on them ends at once.

    ``answer`` is read by the accused. Raises :class:`ConflictError` for whoever decided or approved what is appealed.
    """
    if outcome not in OUTCOMES:
        raise StoreError(f"an appeal is {' or '.join(OUTCOMES)}")
    if not answer.strip():
        raise StoreError("tell the accused why in a sentence or two; they read it")
    if len(answer) > LONGEST_ANSWER:
        raise StoreError(
            f"the answer has {len(answer):,} characters and {LONGEST_ANSWER:,} are kept; shorten it"
        )
    with store.writing() as connection:
        row = _in_state(connection, number, (RECEIVED,))
        _refuse_own(connection, row["decision_id"], by)
        values = {"state": outcome, "answer": answer.strip(), "answered_by": by, "answered_at": now}
        connection.execute(appeals.update().where(appeals.c.id == number).values(values))
        lifted = _let_be(connection, row, now) if outcome == REVERSED else 0
        _count(connection, row["case_id"], now)
        outbox.note(connection, row["case_id"], now)
        news = {"appeal": number, "case": row["case_id"], "decision": row["decision_id"], "outcome": outcome}
        outbox.tell(connection, now, "appeal.decided", news, (row["account_id"], row["end_user_id"]))
        told = {**_whom(connection, row), "answer": answer.strip(), "let_be_by_decisions": lifted}
        audit.append(connection, now, by, f"appeal.{outcome}", f"appeal {number}", told)


def reopen(store: Store, number: int, by: str, reason: str, now: dt.datetime) -> None:
    """Take an answer back: the appeal waits again, and what it had ended holds again.

    Whoever is let be by something else too stays so. Raises :class:`ConflictError` for whoever decided or approved what is
    appealed: they could undo what another answered.
    """
    if not reason.strip():
        raise StoreError("say why in a sentence; it is kept with the appeal")
    with store.writing() as connection:
        row = _in_state(connection, number, OUTCOMES)
        _refuse_own(connection, row["decision_id"], by)
        values = {"state": RECEIVED, "answer": None, "answered_by": None, "answered_at": None}
        connection.execute(appeals.update().where(appeals.c.id == number).values(values))
        hit = settle(connection, row["case_id"], now, {because_of_appeal(number)}).hit_again
        _count(connection, row["case_id"], now)
        outbox.note(connection, row["case_id"], now)
        told = {"reason": reason.strip(), "hit_again": hit, "was": row["state"]}
        audit.append(connection, now, by, "appeal.reopened", f"appeal {number}", told)


def revoke(store: Store, number: int, by: str, reason: str, now: dt.datetime) -> None:
    """Make a link useless by which nobody has objected, such as one that went to the wrong place."""
    if not reason.strip():
        raise StoreError("say why in a sentence; it is kept with the appeal")
    with store.writing() as connection:
        _in_state(connection, number, (INVITED,))
        connection.execute(appeals.update().where(appeals.c.id == number).values(state=REVOKED))
        audit.append(connection, now, by, "appeal.revoked", f"appeal {number}", {"reason": reason.strip()})


def all_appeals(
    store: Store, state: str | None = RECEIVED, start: int = 0, most: int = PAGE
) -> dict[str, Any]:
    """Appeals, those that wait longest first; ``counts`` by state."""
    query = sa.select(appeals).order_by(
        sa.func.coalesce(appeals.c.objected_at, appeals.c.made_at), appeals.c.id
    )
    if state is not None:
        query = query.where(appeals.c.state == state)
    with store.reading() as connection:
        rows = [_plain(row) for row in connection.execute(query.offset(start).limit(most + 1)).mappings()]
        counted = sa.select(appeals.c.state, sa.func.count()).group_by(appeals.c.state)
        counts: dict[str, int] = {name: count for name, count in connection.execute(counted)}
    return {
        "rows": rows[:most],
        "counts": {name: counts.get(name, 0) for name in STATES},
        "state": state,
        "start": start,
        "more": len(rows) > most,
    }


def appeal(store: Store, number: int) -> dict[str, Any]:
    """One appeal with the decision that it is about; ``alike``: other appeals on the same case, by state."""
    with store.reading() as connection:
        row = connection.execute(sa.select(appeals).where(appeals.c.id == number)).mappings().first()
        if row is None:
            raise StoreError(f"there is no appeal {number}")
        made = sa.select(decisions).where(decisions.c.id == row["decision_id"])
        decision = dict(connection.execute(made).mappings().one())
        others = (appeals.c.case_id == row["case_id"]) & (appeals.c.id != number)
        alike = sa.select(appeals.c.state, sa.func.count()).where(others).group_by(appeals.c.state)
        counts: dict[str, int] = {name: count for name, count in connection.execute(alike)}
    return {**_plain(row), "decision": decision, "alike": counts}


def _plain(row: RowMapping) -> dict[str, Any]:
    """A row without the name that makes its link."""
    told = {name: value for name, value in row.items() if name != "serial"}
    return {**told, "end_user_id": row["end_user_id"] or None}


def _by_token(connection: Connection, token: str, now: dt.datetime) -> RowMapping:
    link = read_token(key_of(connection), token)
    query = sa.select(appeals).where(appeals.c.serial == (link.serial if link else ""))
    row = connection.execute(query).mappings().first()
    if link is None or row is None or row["state"] == REVOKED or link.until != row["until"]:
        raise StoreError(
            "this link leads nowhere; look whether it is whole, or ask whoever sent it for another"
        )
    if now >= link.until:
        raise StoreError("this link has ended; ask whoever sent it for another")
    return row


def _standing(connection: Connection, decision: int) -> RowMapping:
    row = connection.execute(sa.select(decisions).where(decisions.c.id == decision)).mappings().first()
    if row is None:
        raise StoreError(f"there is no decision {decision}")
    if row["state"] != "standing" or row["finding"] not in {Finding.EXTRACTION, Finding.UNSURE}:
        raise ConflictError(
            f"decision {decision} is {row['state']} and finds {row['finding']}: nobody is hit by it"
        )
    if row["action"] == Action.OBSERVE:
        raise StoreError(
            "observe changes nothing for anybody, and a link would tell them that they are watched"
        )
    return row


def _in_state(connection: Connection, number: int, states: Sequence[str]) -> RowMapping:
    row = connection.execute(sa.select(appeals).where(appeals.c.id == number)).mappings().first()
    if row is None:
        raise StoreError(f"there is no appeal {number}")
    if row["state"] not in states:
        raise ConflictError(
            f"appeal {number} is {row['state']} and not {' or '.join(states)}; nothing was changed"
        )
    return row


def _refuse_own(connection: Connection, decision: int, by: str) -> None:
    """Refuse whoever decided or approved what is appealed."""
    query = sa.select(decisions.c.asked_by, decisions.c.approved_by).where(decisions.c.id == decision)
    if by in connection.execute(query).one():
        raise ConflictError(
            f"{by} had a hand in decision {decision}; another person must answer this appeal or reopen it"
        )


def _let_be(connection: Connection, row: RowMapping, now: dt.datetime) -> int:
    """Let who won be; and bring the case back, since others may be in their place."""
    lifted = settle(connection, row["case_id"], now).let_be
    back = (cases.c.id == row["case_id"]) & (cases.c.state == "decided")
    connection.execute(cases.update().where(back).values(state="new", assignee=None))
    return lifted


def _count(connection: Connection, case_id: str, now: dt.datetime) -> None:
    waiting = sa.select(sa.func.count()).where(appeals.c.case_id == case_id, appeals.c.state == RECEIVED)
    values = {"appeals": waiting.scalar_subquery(), "changed_at": now, "version": cases.c.version + 1}
    connection.execute(cases.update().where(cases.c.id == case_id).values(values))


def _whom(connection: Connection, row: RowMapping) -> dict[str, Any]:
    whom = audit.veil(connection, row["account_id"], row["end_user_id"])
    return {"principal": whom, "case": row["case_id"], "decision": row["decision_id"]}
