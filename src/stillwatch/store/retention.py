"""A person's data removed: by account when they ask, and by age as the policy says. The audit log stays whole.

The log names nobody, so nothing in it has to go, but what somebody typed into a reason. What was decided stays as a
number: the rows of a forgotten principal go by a word drawn at random, which leads back to nobody.
"""

from __future__ import annotations

import datetime as dt
import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from stillwatch.response.policy import Policy
from stillwatch.store import ConflictError, StoreError, audit, in_common
from stillwatch.store.appeals import RECEIVED
from stillwatch.store.database import Store
from stillwatch.store.outbox import holding
from stillwatch.store.reading import FORGOTTEN
from stillwatch.store.sending import SENDING, WAITING
from stillwatch.store.tables import (
    accounts,
    appeals,
    campaigns,
    cases,
    decisions,
    deliveries,
    exemplars,
    outbox,
    participants,
    proposals,
    scans,
    targets,
)
from stillwatch.store.tables import (
    audit as log,
)

REMOVED = "[removed]"
"""What stands where a name or a text was."""


@dataclass(frozen=True, slots=True)
class Forgotten:
    """What was removed of an account."""

    rows: int
    """Rows that are gone."""
    renamed: int
    """Rows of decisions and appeals that go by another word now."""
    typed: int
    """Entries of the audit log in which somebody typed the name, or that of an end user; they cannot be changed."""


def forget(store: Store, account_id: str, end_user_id: str | None, by: str, now: dt.datetime) -> Forgotten:
    """Remove an account with its end users, or one of its end users alone.

    Raises :class:`ConflictError` while an action holds on them or an appeal of theirs waits: what holds on nobody who
    is known could be neither explained nor taken back.
    """
    with store.writing() as connection:
        _refuse_while_held(connection, account_id, end_user_id, now)
        told = audit.veil(connection, account_id, end_user_id)
        names = _names(connection, account_id, end_user_id)
        rows = 0
        ids = sa.select(outbox.c.id).where(_is(outbox, account_id, end_user_id))
        rows += connection.execute(deliveries.delete().where(deliveries.c.outbox_id.in_(ids))).rowcount
        _unname(connection, account_id, end_user_id)
        in_common.uncount(connection, account_id, end_user_id)
        for table in (outbox, accounts, participants):
            rows += connection.execute(table.delete().where(_is(table, account_id, end_user_id))).rowcount
        renamed = _rename(connection, account_id, end_user_id)
        if rows + renamed == 0:
            raise StoreError("there is nothing of that name in the store")
        typed = _untype(connection, names)
        done = Forgotten(rows, renamed, typed)
        audit.append(connection, now, by, "person.forgotten", told, asdict(done))
    return done


def _is(table: sa.Table, account_id: str, end_user_id: str | None) -> sa.ColumnElement[bool]:
    whole = table.c.account_id == account_id
    return whole if end_user_id is None else whole & (table.c.end_user_id == end_user_id)


def _refuse_while_held(
    connection: Connection, account_id: str, end_user_id: str | None, now: dt.datetime
) -> None:
    held = (
        sa.select(targets.c.decision_id)
        .join(decisions)
        .where(_is(targets, account_id, end_user_id), holding(now))
        .limit(1)
    )
    number = connection.execute(held).scalar()
    if number is not None:
        raise ConflictError(
            f"decision {number} holds on them until it is taken back or runs out; end that first, then they can be removed"
        )
    waits = sa.select(appeals.c.id).where(_is(appeals, account_id, end_user_id), appeals.c.state == RECEIVED)
    number = connection.execute(waits.limit(1)).scalar()
    if number is not None:
        raise ConflictError(
            f"appeal {number} of theirs waits for an answer; answer it first, then they can be removed"
        )


def _unname(connection: Connection, account_id: str, end_user_id: str | None) -> None:
    """Take them out of the dossiers of the campaigns that they took part in; what is counted there stays."""
    part = sa.select(participants.c.scan_id, participants.c.campaign_id)
    within = part.where(_is(participants, account_id, end_user_id)).distinct()
    for scan_id, campaign_id in connection.execute(within).all():
        own = (campaigns.c.scan_id == scan_id) & (campaigns.c.campaign_id == campaign_id)
        _keep_names(
            connection,
            own,
            lambda one: one["account_id"] != account_id or end_user_id not in {None, one["end_user_id"]},
        )


def _keep_names(
    connection: Connection, own: sa.ColumnElement[bool], keep: Callable[[Mapping[str, Any]], bool]
) -> None:
    """Of the names in some dossiers those that ``keep`` says."""
    query = sa.select(campaigns.c.scan_id, campaigns.c.campaign_id, campaigns.c.dossier)
    for scan_id, campaign_id, dossier in connection.execute(query.where(own)).all():
        for group in dossier.get("infrastructure", {}).get("groups", ()):
            group["names"] = [one for one in group["names"] if keep(one)]
        one = (campaigns.c.scan_id == scan_id) & (campaigns.c.campaign_id == campaign_id)
        connection.execute(campaigns.update().where(one).values(dossier=dossier))


def _rename(connection: Connection, account_id: str, end_user_id: str | None) -> int:
    """Each principal by a word of its own, so that the counts of a decision stay what they were."""
    people: set[tuple[str, str]] = set()
    for table in (targets, appeals):
        query = sa.select(table.c.account_id, table.c.end_user_id).where(_is(table, account_id, end_user_id))
        people.update((row[0], row[1]) for row in connection.execute(query.distinct()))
    renamed = 0
    for account, user in sorted(people):
        values = {"account_id": FORGOTTEN + secrets.token_hex(8), "end_user_id": ""}
        for table in (targets, appeals):
            own = (table.c.account_id == account) & (table.c.end_user_id == user)
            more = {"objection": REMOVED, "answer": REMOVED} if table is appeals else {}
            renamed += connection.execute(table.update().where(own).values(**values, **more)).rowcount
        named = (decisions.c.account_id == account) & (sa.func.coalesce(decisions.c.end_user_id, "") == user)
        subject = {"account_id": values["account_id"], "end_user_id": None}
        renamed += connection.execute(decisions.update().where(named).values(subject)).rowcount
    return renamed


def _names(connection: Connection, account_id: str, end_user_id: str | None) -> list[str]:
    """What may have been typed of them, the longest first: an account is known by its end users' names too."""
    if end_user_id is not None:
        return [end_user_id]
    named = (sa.select(table.c.end_user_id).where(_is(table, account_id, None)) for table in _NAMING)
    users = {user for user in connection.execute(sa.union(*named)).scalars() if user}
    return sorted(users | {account_id}, key=lambda name: (-len(name), name))


_NAMING = (accounts, participants, targets, appeals)
_TYPED = (
    (decisions.c.reason, sa.true()),
    # What another decision ended says which, in our words: read as a name, the number would be lost, and with it what
    # comes back when that one is taken back.
    (decisions.c.ended_because, decisions.c.state != "ended"),
    (proposals.c.closed_because, sa.true()),
    (appeals.c.objection, sa.true()),
    (appeals.c.answer, sa.true()),
)
"""What people write, and may name anybody in; and where."""


def _untype(connection: Connection, names: Sequence[str]) -> int:
    """Take names out of what was typed; count the entries of the log that have one, which keep it."""
    for column, typed in _TYPED:
        number = column.table.c.id
        rows = connection.execute(sa.select(number, column).where(column.is_not(None), typed)).all()
        for one, text in _without(names, {row[0]: row[1] for row in rows}).items():
            connection.execute(column.table.update().where(number == one).values({column: text}))
    told = connection.execute(sa.select(log.c.number, log.c.details)).all()
    return len(_without(names, {row[0]: "\n".join(_texts(json.loads(row[1]))) for row in told}))


def _without(names: Sequence[str], texts: Mapping[int, str]) -> dict[int, str]:
    """Those of the texts that have one of the names, without it."""
    together = "\n".join(texts.values())
    there = [_whole(name) for name in names if name in together]  # of many names hardly any was ever typed
    if not there:
        return {}
    pattern = re.compile("|".join(there))
    return {number: pattern.sub(REMOVED, text) for number, text in texts.items() if pattern.search(text)}


def _whole(name: str) -> str:
    """The pattern of a name that stands by itself: ``acct-8`` is not in ``acct-80``, and is in ``acct-8/user``.

    Letters beyond ASCII bound nothing, since some languages write no spaces: better to remove too much than too little.
    """
    letter = "[A-Za-z0-9_]"
    before = f"(?<!{letter})" if re.match(letter, name) else ""
    after = f"(?!{letter})" if re.match(letter, name[-1:]) else ""
    return before + re.escape(name) + after


def _texts(told: Any) -> Iterator[str]:
    """Every text in what was read of JSON."""
    if isinstance(told, str):
        yield told
    elif isinstance(told, dict | list):
        for one in told.values() if isinstance(told, dict) else told:
            yield from _texts(one)


def expire(store: Store, policy: Policy, by: str, now: dt.datetime) -> dict[str, int]:
    """Remove what is older than the policy keeps it; by what it was, how many rows. Nothing where it says nothing."""
    done: dict[str, int] = {}
    with store.writing() as connection:
        if policy.keep_text is not None:
            old = sa.select(scans.c.id).where(scans.c.last_seen < now - policy.keep_text)
            done["text"] = connection.execute(exemplars.delete().where(exemplars.c.scan_id.in_(old))).rowcount
        if policy.keep_accounts is not None:
            done["accounts"] = _old_people(connection, now - policy.keep_accounts)
        if policy.keep_objections is not None:
            old_ones = (appeals.c.answered_at < now - policy.keep_objections) & (
                appeals.c.objection != REMOVED
            )
            gone = appeals.update().where(old_ones).values(objection=REMOVED, answer=REMOVED)
            done["objections"] = connection.execute(gone).rowcount
        if policy.keep_messages is not None:
            done["messages"] = _old_messages(connection, now - policy.keep_messages)
        if any(done.values()):
            audit.append(connection, now, by, "store.expired", "store", {**done, "policy": policy.digest})
    return done


def _old_people(connection: Connection, before: dt.datetime) -> int:
    """Accounts of old scans, but not those by which an open case is known."""
    needed = sa.select(cases.c.scan_id).where(cases.c.state != "decided")
    old = sa.select(scans.c.id).where(scans.c.last_seen < before, scans.c.id.not_in(needed))
    held = sa.select(participants.c.scan_id).where(participants.c.scan_id.in_(old)).distinct()
    _keep_names(connection, campaigns.c.scan_id.in_(held), lambda _: False)
    in_common.drop_scans(connection, old)
    return sum(
        connection.execute(table.delete().where(table.c.scan_id.in_(old))).rowcount
        for table in (accounts, participants)
    )


def _old_messages(connection: Connection, before: dt.datetime) -> int:
    """Messages that were due before and that nobody waits for; also those that no webhook ever asked for."""
    open_ones = sa.select(deliveries.c.outbox_id).where(deliveries.c.state.in_((WAITING, SENDING)))
    old = sa.select(outbox.c.id).where(outbox.c.due_at < before, outbox.c.id.not_in(open_ones))
    connection.execute(deliveries.delete().where(deliveries.c.outbox_id.in_(old)))
    return connection.execute(outbox.delete().where(outbox.c.id.in_(old))).rowcount
