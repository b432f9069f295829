"""Who may use the pages: local users, their roles and passwords.

A password is kept as scrypt (Percival 2009, RFC 7914) of it, with a salt of its own; the parameters are those that
OWASP names for 32 MiB. A user without one logs in elsewhere.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import re
import secrets
from collections.abc import Mapping
from enum import StrEnum
from threading import BoundedSemaphore
from typing import Any

import sqlalchemy as sa
from sqlalchemy.engine import Connection

from stillwatch.store import ConflictError, StoreError, audit
from stillwatch.store.database import Store
from stillwatch.store.tables import outside_users, sessions, users

COST, BLOCK, TIMES = 2**15, 8, 3
SHORTEST, LONGEST = 12, 128
"""Characters of a password, whatever they are."""
GUESSED, READ = 3, 72
"""Of zxcvbn's scores from 0 to 4 the least that is taken, and how many characters it reads: the first ones."""
NAME = re.compile(r"[\w.@+-]{1,64}")
ONE_TIME_DAYS = 3
"""Days for which a one-time password is good."""
_AT_ONCE = BoundedSemaphore(4)  # scrypt takes 32 MiB each time


class Role(StrEnum):
    """What a user may do; each may do what the ones before it may."""

    VIEWER = "viewer"
    ANALYST = "analyst"
    APPROVER = "approver"
    ADMIN = "admin"

    def covers(self, needed: Role) -> bool:
        """Whether this role may do what another may."""
        return _RANK[self] >= _RANK[needed]


ROLES: Mapping[Role, str] = {
    Role.VIEWER: "sees every page, and no text of a prompt",
    Role.ANALYST: "takes cases, decides, takes decisions back, and may see text, which is logged",
    Role.APPROVER: "approves what another proposed, answers appeals, and reads the audit log",
    Role.ADMIN: "adds users and sets their roles",
}
"""What each role may do besides what the ones before it may."""
_RANK = {role: place for place, role in enumerate(Role)}


def add_user(store: Store, name: str, role: Role, by: str, now: dt.datetime, *, outside: bool = False) -> str:
    """Add a user; return a password that is good once, or nothing for a user who logs in outside."""
    if not NAME.fullmatch(name):
        raise StoreError("a user's name has 1 to 64 letters, digits or any of . _ @ + -")
    password = "" if outside else secrets.token_urlsafe(18)
    kept = None if outside else _sealed(password)
    with store.writing() as connection:
        if connection.execute(sa.select(users.c.name).where(users.c.name == name)).first():
            raise ConflictError(f"there is a user {name} already; choose another name")
        row = {"name": name, "role": str(role), "password": kept, "one_time": not outside, "made_at": now}
        connection.execute(users.insert(), row | {"password_at": now})
        audit.append(connection, now, by, "user.added", f"user {name}", {"role": str(role)})
    return password


def add_first(store: Store, name: str, now: dt.datetime) -> str | None:
    """Add the first admin and return the one-time password; None where there is a user already.

    Where the first admin let it run out, and no other admin can log in, they are given another.
    """
    with store.reading() as connection:
        anybody = connection.execute(sa.select(users.c.name).limit(1)).first()
        first = connection.execute(sa.select(users).where(users.c.name == name)).mappings().first()
        able = connection.execute(_able_admins().limit(1)).first()
    if anybody is None:
        return add_user(store, name, Role.ADMIN, "first start", now)
    if able is not None or first is None or not _ran_out(first, now):
        return None
    return _handed_out(store, name, "start", now)


def all_users(store: Store) -> list[dict[str, Any]]:
    """Every user, without what is kept of the password."""
    chosen = [column for column in users.columns if column.name != "password"]
    with store.reading() as connection:
        return [dict(row) for row in connection.execute(sa.select(*chosen).order_by(users.c.name)).mappings()]


def set_role(store: Store, name: str, role: Role, by: str, now: dt.datetime) -> None:
    """Give a user another role; what is open of theirs is closed."""
    with store.writing() as connection:
        user = _known(connection, name)
        _keep_an_admin(connection, user, becomes=role)
        connection.execute(users.update().where(users.c.name == name).values(role=str(role)))
        connection.execute(sessions.delete().where(sessions.c.user_name == name))
        audit.append(
            connection, now, by, "user.role", f"user {name}", {"from": user["role"], "to": str(role)}
        )


def set_disabled(store: Store, name: str, disabled: bool, by: str, now: dt.datetime) -> None:
    """Shut a user out, or let them in again; what they did stays."""
    with store.writing() as connection:
        user = _known(connection, name)
        if disabled:
            _keep_an_admin(connection, user, becomes=None)
        values = {"disabled_at": now if disabled else None}
        connection.execute(users.update().where(users.c.name == name).values(values))
        connection.execute(sessions.delete().where(sessions.c.user_name == name))
        kind = "user.disabled" if disabled else "user.enabled"
        audit.append(connection, now, by, kind, f"user {name}", {})


def reset_password(store: Store, name: str, by: str, now: dt.datetime) -> str:
    """Give a user a password that is good once, and close what is open of theirs."""
    return _handed_out(store, name, by, now)


def _handed_out(store: Store, name: str, by: str, now: dt.datetime) -> str:
    password = secrets.token_urlsafe(18)
    kept = _sealed(password)
    with store.writing() as connection:
        user = _known(connection, name)
        if user["password"] is None:
            raise StoreError(f"{name} logs in elsewhere and has no password here")
        if not user["one_time"]:
            _keep_an_admin(connection, user, becomes=None)
        values = {"password": kept, "one_time": True, "password_at": now}
        connection.execute(users.update().where(users.c.name == name).values(values))
        connection.execute(sessions.delete().where(sessions.c.user_name == name))
        audit.append(connection, now, by, "user.password_reset", f"user {name}", {})
    return password


def change_password(store: Store, name: str, old: str, new: str, now: dt.datetime) -> None:
    """Set one's own password; every session of the user is closed."""
    check_password(name, new)
    if not knows(store, name, old, now):
        raise StoreError("the present password is not that; nothing was changed")
    if hmac.compare_digest(old.encode(), new.encode()):
        raise StoreError("the new password is the present one; choose another")
    kept = _sealed(new)
    with store.writing() as connection:
        values = {"password": kept, "one_time": False, "password_at": now}
        connection.execute(users.update().where(users.c.name == name).values(values))
        connection.execute(sessions.delete().where(sessions.c.user_name == name))
        audit.append(connection, now, name, "user.password_changed", f"user {name}", {})


def check_password(name: str, password: str) -> None:
    """Refuse a password that is easy to guess. Raises :class:`StoreError` that says what one must be."""
    if not SHORTEST <= len(password) <= LONGEST:
        raise StoreError(
            f"a password has {SHORTEST} to {LONGEST} characters and this one has {len(password)}; a few words do"
        )
    if name.casefold() in password.casefold() or "stillwatch" in password.casefold():
        raise StoreError("the password holds the user's name or the program's; choose one that does not")
    if len(set(password)) < SHORTEST // 2:
        raise StoreError("the password repeats a few characters; choose one that does not")
    from zxcvbn import zxcvbn  # it reads its lists when it is imported

    found = zxcvbn(password[:READ], user_inputs=[name])
    if found["score"] < GUESSED:
        why = found["feedback"]["warning"] or "It is like passwords that were guessed before."
        raise StoreError(
            f"the password is soon guessed: {why} Choose another; four words that say nothing together do"
        )


def knows(store: Store, name: str, password: str, now: dt.datetime) -> bool:
    """Whether a user who may log in has this password; as slow for a name that is nobody's."""
    query = sa.select(users.c.password, users.c.disabled_at, users.c.one_time, users.c.password_at)
    with store.reading() as connection:
        row = connection.execute(query.where(users.c.name == name)).first()
    fits = _opens(password, row.password if row and row.password else _NOBODYS)
    if row is None or row.password is None or row.disabled_at is not None:
        return False
    return fits and not _ran_out(row._mapping, now)


def _ran_out(user: Mapping[Any, Any], now: dt.datetime) -> bool:
    """Whether a user has a one-time password that is good no more."""
    until: dt.datetime = user["password_at"] + dt.timedelta(days=ONE_TIME_DAYS)
    return bool(user["one_time"]) and now > until


def _known(connection: Connection, name: str) -> dict[str, Any]:
    row = connection.execute(sa.select(users).where(users.c.name == name)).mappings().first()
    if row is None:
        raise StoreError(f"there is no user {name}")
    return dict(row)


def _keep_an_admin(connection: Connection, user: Mapping[str, Any], becomes: Role | None) -> None:
    """Refuse to take away the last admin who can log in: nobody could add one.

    Whoever was handed a one-time password and has not used it does not count, since it may never be.
    """
    if user["role"] != Role.ADMIN or user["disabled_at"] is not None or becomes is Role.ADMIN:
        return
    if connection.execute(_able_admins().where(users.c.name != user["name"]).limit(1)).first() is None:
        raise ConflictError(
            f"{user['name']} is the only admin who can log in; make another one, and let them log in first"
        )


def _able_admins() -> sa.Select[Any]:
    """Admins who can log in with a password of their own, or elsewhere."""
    outside = sa.select(outside_users.c.user_name).where(outside_users.c.user_name == users.c.name).exists()
    return sa.select(users.c.name).where(
        users.c.role == Role.ADMIN,
        users.c.disabled_at.is_(None),
        users.c.one_time.is_(False),
        users.c.password.is_not(None) | outside,
    )


def _sealed(password: str) -> str:
    salt = secrets.token_bytes(16)
    return f"scrypt${_words(salt)}${_words(_scrypt(password, salt))}"


def _opens(password: str, kept: str) -> bool:
    _, salt, digest = kept.split("$")
    return hmac.compare_digest(_scrypt(password, base64.b64decode(salt)), base64.b64decode(digest))


def _words(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _scrypt(password: str, salt: bytes) -> bytes:
    with _AT_ONCE:
        return hashlib.scrypt(password.encode(), salt=salt, n=COST, r=BLOCK, p=TIMES, maxmem=2**27, dklen=32)


_NOBODYS = f"scrypt${_words(bytes(16))}${_words(bytes(32))}"
"""Which no password opens; it only takes as long."""
