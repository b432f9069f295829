"""Sessions of users who are logged in: kept here and not in the cookie, so that they can be closed.

The cookie holds a token of 256 random bits, the table its hash: whoever reads the database cannot log in with it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import secrets
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from stillwatch.store import audit
from stillwatch.store.database import Store
from stillwatch.store.tables import sessions, users
from stillwatch.store.users import Role

LONGEST = dt.timedelta(hours=12)
IDLE = dt.timedelta(minutes=30)
"""Without a request for so long, a session ends."""
NOTED = dt.timedelta(minutes=1)
"""How exactly the last request is known."""


@dataclass(frozen=True, slots=True)
class Person:
    """Who makes a request."""

    name: str
    role: Role
    csrf: str
    """What every form of theirs must carry."""
    one_time: bool
    """They came with a password that is good once, and may only set another."""
    local: bool
    """They have a password here."""


def open_session(store: Store, name: str, now: dt.datetime, how: str = "password") -> str:
    """Log a user in; return the token for the cookie."""
    token = secrets.token_urlsafe(32)
    row = {"digest": _digest(token), "user_name": name, "csrf": secrets.token_urlsafe(32)}
    with store.writing() as connection:
        connection.execute(sessions.delete().where(sessions.c.opened_at < now - LONGEST))
        connection.execute(sessions.insert(), row | {"opened_at": now, "seen_at": now})
        audit.append(connection, now, name, "session.opened", f"user {name}", {"by": how})
    return token


def find_session(store: Store, token: str, now: dt.datetime) -> Person | None:
    """Whose session a token is; None where it is none, was closed or has run out."""
    query = (
        sa.select(
            users.c.name,
            users.c.role,
            users.c.one_time,
            users.c.password.is_not(None).label("local"),
            sessions.c.csrf,
            sessions.c.seen_at,
        )
        .join(users)
        .where(
            sessions.c.digest == _digest(token),
            sessions.c.opened_at > now - LONGEST,
            sessions.c.seen_at > now - IDLE,
            users.c.disabled_at.is_(None),
        )
    )
    with store.reading() as connection:
        row = connection.execute(query).first()
    if row is None:
        return None
    if row.seen_at < now - NOTED:
        with store.writing() as connection:
            connection.execute(
                sessions.update().where(sessions.c.digest == _digest(token)).values(seen_at=now)
            )
    return Person(row.name, Role(row.role), row.csrf, bool(row.one_time), bool(row.local))


def close_session(store: Store, token: str, now: dt.datetime) -> None:
    """Log out; nothing happens where there is no such session."""
    with store.writing() as connection:
        gone = sessions.delete().where(sessions.c.digest == _digest(token)).returning(sessions.c.user_name)
        name = connection.execute(gone).scalar()
        if name is not None:
            audit.append(connection, now, name, "session.closed", f"user {name}", {})


def sessions_of(store: Store, name: str, token: str, now: dt.datetime) -> list[dict[str, Any]]:
    """The open sessions of a user, the newest first: when each was opened and last used, and which is ``own``."""
    query = sa.select(sessions.c.digest, sessions.c.opened_at, sessions.c.seen_at).where(
        sessions.c.user_name == name, sessions.c.opened_at > now - LONGEST, sessions.c.seen_at > now - IDLE
    )
    with store.reading() as connection:
        rows = connection.execute(query.order_by(sessions.c.opened_at.desc())).all()
    return [
        {"opened_at": opened, "seen_at": seen, "own": digest == _digest(token)}
        for digest, opened, seen in rows
    ]


def close_others(store: Store, name: str, token: str, now: dt.datetime) -> int:
    """Close every session of a user but this one; how many."""
    with store.writing() as connection:
        others = sessions.delete().where(sessions.c.user_name == name, sessions.c.digest != _digest(token))
        closed = connection.execute(others).rowcount
        audit.append(connection, now, name, "session.closed", f"user {name}", {"others": closed})
    return closed


def failed(store: Store, name: str, now: dt.datetime) -> None:
    """Note that a log-in failed; a name that is nobody's is not kept, since it may be a password."""
    with store.writing() as connection:
        known = connection.execute(sa.select(users.c.name).where(users.c.name == name)).first()
        subject = f"user {name}" if known else "a name that is nobody's"
        audit.append(connection, now, "nobody", "session.refused", subject, {})


def refused(store: Store, person: Person, route: str, needed: Role, now: dt.datetime) -> None:
    """Note that somebody asked for what their role may not do; the route without what stood in it."""
    with store.writing() as connection:
        told = {"route": route, "takes": str(needed), "has": str(person.role)}
        audit.append(connection, now, person.name, "access.refused", f"user {person.name}", told)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
