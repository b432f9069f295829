"""The audit log: append-only, each entry sealed with the hash of the one before it.

hash_n = SHA-256(canonical JSON of number, time, actor, kind, subject, details, hash_(n-1)), after Haber & Stornetta
1991. Whoever alters, removes or slips in an entry breaks every later hash. Whoever can write the whole database could
make the chain anew from there: so keep the last hash (``stillwatch audit head``) in a place that they cannot write, and
verify against it.

Names of accounts are not in it: the log is for ever, and a person's data must be removable. A keyed hash stands for
each (:func:`veil`), by which an entry is found while one knows the name.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from stillwatch.store.database import Store, key_of
from stillwatch.store.tables import audit, head

START = "0" * 64
"""What the first entry follows."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One entry."""

    number: int
    """From 1, without gaps."""
    at: dt.datetime
    actor: str
    """Who did it."""
    kind: str
    """What was done, such as ``decision.made``."""
    subject: str
    """Case, decision, scan or user; an account only as a keyed hash."""
    details: str
    """JSON with sorted keys."""
    previous: str
    """Hash of the entry before."""
    hash: str
    """Hash of this one."""

    def sealed(self) -> str:
        """The hash that it must have."""
        at = self.at.astimezone(dt.UTC).isoformat(timespec="microseconds")
        told = [self.number, at, self.actor, self.kind, self.subject, self.details, self.previous]
        return hashlib.sha256(json.dumps(told, ensure_ascii=True).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Verification:
    """What came of following the chain."""

    entries: int
    last: str
    """Hash of the last entry that was read."""
    broken: str
    """What is wrong, and at which entry; empty where all is well."""


def append(
    connection: Connection, at: dt.datetime, actor: str, kind: str, subject: str, details: Mapping[str, Any]
) -> None:
    """Add an entry inside a transaction of :meth:`Store.writing`, so that it stands if and only if the change does."""
    number, previous = connection.execute(sa.select(head.c.number, head.c.hash).with_for_update()).one()
    text = json.dumps(details, sort_keys=True, ensure_ascii=True, default=str)
    entry = Entry(number + 1, at.astimezone(dt.UTC), actor, kind, subject, text, previous, "")
    row = {name: getattr(entry, name) for name in Entry.__slots__} | {"hash": entry.sealed()}
    connection.execute(audit.insert().values(row))
    connection.execute(head.update().values(number=row["number"], hash=row["hash"]))


def entries(
    store: Store,
    subject: str | None = None,
    most: int | None = None,
    *,
    newest: bool = False,
    before: int | None = None,
    kind: str | None = None,
) -> Iterator[Entry]:
    """Entries in order, or the newest first; of one subject or kind, or all."""
    query = sa.select(*(audit.c[name] for name in Entry.__slots__))
    if before is not None:
        query = query.where(audit.c.number < before)
    if kind is not None:
        query = query.where(audit.c.kind == kind)
    if subject is not None:
        query = query.where(audit.c.subject == subject)
    query = query.order_by(audit.c.number.desc() if newest else audit.c.number).limit(most)
    with store.reading() as connection:
        for row in connection.execution_options(yield_per=1000).execute(query):
            yield Entry(*row)


def verify(store: Store, anchor: tuple[int, str] | None = None) -> Verification:
    """Follow the whole chain, and compare it with the head and with a number and hash that were kept elsewhere."""
    count, previous, broken = 0, START, ""
    kept = "" if anchor is None or anchor[0] else START
    for entry in entries(store):
        if entry.number < 1:
            broken = f"entry {entry.number} was slipped in: the first is 1"
        elif entry.number != count + 1:
            broken = f"entry {count + 1} is missing: after {count} comes {entry.number}"
        elif entry.previous != previous:
            broken = f"entry {entry.number} does not follow the entry before it"
        elif entry.sealed() != entry.hash:
            broken = f"entry {entry.number} was altered: it has not the hash that it was written with"
        if broken:
            return Verification(count, previous, broken)
        count, previous = entry.number, entry.hash
        if anchor is not None and count == anchor[0]:
            kept = previous
    with store.reading() as connection:
        number, last = connection.execute(sa.select(head.c.number, head.c.hash)).one()
    if (number, last) != (count, previous):
        changed = "the last ones were removed" if count <= number else "the last ones were slipped in"
        broken = f"the log ends at entry {count}, and {number} were written: {changed}"
    elif anchor is not None and kept != anchor[1]:
        broken = (
            f"entry {anchor[0]} is not the one of which the hash was kept"
            if kept
            else f"there is no entry {anchor[0]}, of which a hash was kept"
        )
    return Verification(count, previous, broken)


def veil(connection: Connection, account_id: str, end_user_id: str | None) -> str:
    """What stands for a principal in the log: the same name gives the same word, and no word gives a name."""
    named = json.dumps([account_id, end_user_id or None]).encode()
    return "principal-" + hmac.new(key_of(connection), named, hashlib.sha256).hexdigest()[:24]
