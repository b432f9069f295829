"""The outbox sent: each message at least once, again after a while where nobody took it, by any number of processes.

A message is claimed before it is posted and noted after; a process that is killed in between leaves a claim that runs
out, and the next one posts it again under the same id.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx
import sqlalchemy as sa
from sqlalchemy.engine import Connection, RowMapping

from stillwatch.response.snapshot import HeldAction
from stillwatch.response.webhooks import BEGINS, ENDS, NEWS, Shape, Told, Webhook, headers_of, message
from stillwatch.store import audit
from stillwatch.store.database import Store
from stillwatch.store.outbox import holding
from stillwatch.store.reading import held_action
from stillwatch.store.tables import decisions, deliveries, outbox, proposals, targets

AT_ONCE = 50
"""Messages that are claimed together."""
CLAIM = dt.timedelta(minutes=10)
"""After so long a claim has run out; longer than all of a claim may take to post."""
FIRST_WAIT, LONGEST_WAIT = dt.timedelta(seconds=5), dt.timedelta(hours=6)
ATTEMPTS = 24
"""Attempts before a message is given up: about four days."""
SECONDS = 10.0
"""How long the other side may take to answer."""

WAITING, SENDING, DELIVERED, VOID, GIVEN_UP = "waiting", "sending", "delivered", "void", "given_up"


@dataclass(frozen=True, slots=True)
class Sent:
    """What came of a round."""

    delivered: int
    failed: int
    """Attempts that failed; they are made again."""
    given_up: int
    void: int
    """Messages that had nothing to tell any more."""


def send_due(
    store: Store,
    webhooks: Sequence[Webhook],
    clock: Callable[[], dt.datetime],
    client: httpx.Client | None = None,
) -> Sent:
    """Post everything that is due, until nothing is left that may be tried now."""
    counts = dict.fromkeys((DELIVERED, WAITING, GIVEN_UP, VOID), 0)
    own = client or httpx.Client(timeout=SECONDS, follow_redirects=False)
    try:
        for webhook in webhooks:
            headers_of(
                webhook, "", b"", clock()
            )  # a secret that is missing is said before anything is claimed
            while claimed := _claim(store, webhook, clock(), counts):
                for number, told, attempts in claimed:
                    state = _post(store, own, webhook, number, told, attempts, clock)
                    counts[state] += 1
    finally:
        if client is None:
            own.close()
    return Sent(counts[DELIVERED], counts[WAITING], counts[GIVEN_UP], counts[VOID])


def _claim(
    store: Store, webhook: Webhook, now: dt.datetime, counts: dict[str, int]
) -> list[tuple[int, Told, int]]:
    """Messages that this process posts now; what is void is noted on the way."""
    claimed: list[tuple[int, Told, int]] = []
    with store.writing() as connection:
        rows = _due(connection, webhook, now)
        while rows and not claimed:
            for row in rows:
                if _must_wait(connection, webhook, row, now):
                    _note(connection, webhook, row["id"], WAITING, row["attempts"] or 0, now + FIRST_WAIT)
                    continue
                told = _told(connection, webhook, row, now)
                if told is None:
                    _note(connection, webhook, row["id"], VOID, row["attempts"] or 0, now)
                    counts[VOID] += 1
                    continue
                attempts = (row["attempts"] or 0) + 1
                _note(connection, webhook, row["id"], SENDING, attempts, now + CLAIM)
                claimed.append((row["id"], told, attempts))
            rows = [] if claimed else _due(connection, webhook, now)
    return claimed


def _due(connection: Connection, webhook: Webhook, now: dt.datetime) -> Sequence[RowMapping]:
    mine = (deliveries.c.outbox_id == outbox.c.id) & (deliveries.c.webhook == webhook.name)
    query = (
        sa.select(outbox, deliveries.c.attempts)
        .outerjoin(deliveries, mine)
        .where(
            outbox.c.due_at <= now,
            sa.or_(
                deliveries.c.state.is_(None),
                deliveries.c.state.in_((WAITING, SENDING)) & (deliveries.c.next_at <= now),
            ),
        )
        .order_by(outbox.c.due_at, outbox.c.id)
        .limit(AT_ONCE)
    )
    return connection.execute(query).mappings().all()


def _begun(webhook: Webhook, row: RowMapping) -> sa.Select[Any]:
    """Deliveries to a webhook of the beginning of what a row tells the end of."""
    return (
        sa.select(deliveries.c.state)
        .join(outbox, outbox.c.id == deliveries.c.outbox_id)
        .where(
            deliveries.c.webhook == webhook.name,
            outbox.c.event == BEGINS,
            outbox.c.decision_id == row["decision_id"],
            outbox.c.account_id == row["account_id"],
            outbox.c.end_user_id == row["end_user_id"],
        )
    )


def _must_wait(connection: Connection, webhook: Webhook, row: RowMapping, now: dt.datetime) -> bool:
    """Whether the beginning is being posted at this moment: its end comes after it."""
    if row["event"] != ENDS:
        return False
    posted = (deliveries.c.state == SENDING) & (deliveries.c.next_at > now)
    return connection.execute(_begun(webhook, row).where(posted).limit(1)).first() is not None


def _told(connection: Connection, webhook: Webhook, row: RowMapping, now: dt.datetime) -> Told | None:
    """What is to be told; None where there is nothing to tell any more."""
    if row["event"] in NEWS:
        news = dict(row["news"] or {})
        if row["account_id"]:
            news |= {"account_id": row["account_id"], "end_user_id": row["end_user_id"] or None}
        return _with_a_place(webhook, Told(row["event"], row["due_at"], None, {}, "", "", None, news))
    hit = _hit(connection, row)
    if hit is None:
        return None
    held = held_action(hit)
    holds = hit["holds"] and held.holds(now)
    if row["event"] == BEGINS and not holds:
        return None
    if row["event"] == ENDS and (holds or not _to_be_ended(connection, webhook, row, held, now)):
        return None
    rule = connection.execute(
        sa.select(proposals.c.rule).where(proposals.c.decision_id == row["decision_id"])
    ).scalar()
    told = Told(
        row["event"],
        row["due_at"],
        row["decision_id"],
        held.as_json(),
        hit["asked_by"],
        hit["reason"],
        rule,
        {},
    )
    return _with_a_place(webhook, told)


def _with_a_place(webhook: Webhook, told: Told) -> Told | None:
    return told if message(webhook, told) is not None else None


def _hit(connection: Connection, row: RowMapping) -> RowMapping | None:
    query = (
        sa.select(
            targets.c.account_id, targets.c.end_user_id, targets.c.starts_at, decisions,
            sa.and_(
                decisions.c.state == "standing", targets.c.lifted_at.is_(None)
            ).label("holds"),
        )
        .join(decisions)
        .where(
            targets.c.decision_id == row["decision_id"],
            targets.c.account_id == row["account_id"],
            targets.c.end_user_id == row["end_user_id"],
        )
    )  # fmt: skip
    return connection.execute(query).mappings().first()


def _to_be_ended(
    connection: Connection, webhook: Webhook, row: RowMapping, held: HeldAction, now: dt.datetime
) -> bool:
    """Whether the other side may have been told of the beginning, and takes the end for what it is.

    A shape without the number of the decision cannot tell two decisions apart, so there an action ends with the last on
    the same: all requests of the principal, or those of one family.
    """
    if connection.execute(_begun(webhook, row).where(deliveries.c.attempts > 0).limit(1)).first() is None:
        return False
    if webhook.shape is Shape.STILLWATCH:
        return True
    others = (
        sa.select(targets.c.decision_id)
        .join(decisions)
        .where(
            targets.c.account_id == row["account_id"],
            targets.c.end_user_id == row["end_user_id"],
            decisions.c.id != row["decision_id"],
            decisions.c.action == str(held.action),
            decisions.c.family_id.is_not_distinct_from(held.family_id),
            targets.c.starts_at <= now,
            holding(now),
        )
    )
    return connection.execute(others.limit(1)).first() is None


def _post(
    store: Store, client: httpx.Client, webhook: Webhook, number: int, told: Told, attempts: int,
    clock: Callable[[], dt.datetime],
) -> str:  # fmt: skip
    made = message(webhook, told)
    if made is None:
        raise ValueError("a message without a place in its shape was claimed")
    try:
        headers = headers_of(webhook, f"{webhook.name}-{number}", made.body, clock())
        status = client.post(made.url, content=made.body, headers=headers).status_code
        wrong = "" if 200 <= status < 300 else f"it answered {status}"
    except httpx.HTTPError as error:
        wrong = type(error).__name__  # its text may hold the address
    now = clock()
    state = DELIVERED if not wrong else GIVEN_UP if attempts >= ATTEMPTS else WAITING
    with store.writing() as connection:
        _note(connection, webhook, number, state, attempts, now + _wait(attempts), wrong)
        if state == GIVEN_UP:
            told_of = {"attempts": attempts, "last": wrong, "event": told.event}
            audit.append(connection, now, "webhooks", "webhook.given_up", f"webhook {webhook.name}", told_of)
    return state


def _wait(attempts: int) -> dt.timedelta:
    """Twice as long each time, and by chance up to a fifth more, so that not all come back at once."""
    wait = min(FIRST_WAIT * 2.0 ** (attempts - 1), LONGEST_WAIT)
    return wait * (1 + random.random() / 5)


def _note(
    connection: Connection, webhook: Webhook, number: int, state: str, attempts: int, next_at: dt.datetime,
    wrong: str = "",
) -> None:  # fmt: skip
    key = (deliveries.c.outbox_id == number) & (deliveries.c.webhook == webhook.name)
    values = {"state": state, "attempts": attempts, "next_at": next_at, "wrong": wrong}
    if connection.execute(deliveries.update().where(key).values(values)).rowcount == 0:
        row = {"outbox_id": number, "webhook": webhook.name, **values}
        connection.execute(deliveries.insert(), row)


def delivery_counts(store: Store) -> list[dict[str, Any]]:
    """Messages by webhook and state, with the last thing that went wrong."""
    query = (
        sa.select(
            deliveries.c.webhook,
            deliveries.c.state,
            sa.func.count().label("messages"),
            sa.func.max(deliveries.c.attempts).label("attempts"),
            sa.func.max(deliveries.c.wrong).label("wrong"),
        )
        .group_by(deliveries.c.webhook, deliveries.c.state)
        .order_by(deliveries.c.webhook, deliveries.c.state)
    )
    with store.reading() as connection:
        return [dict(row) for row in connection.execute(query).mappings()]


def try_again(store: Store, now: dt.datetime) -> int:
    """Let what was given up, and what waits, be tried at once; return how many."""
    again = deliveries.update().where(deliveries.c.state.in_((WAITING, GIVEN_UP)))
    with store.writing() as connection:
        return connection.execute(again.values(state=WAITING, attempts=1, next_at=now)).rowcount
