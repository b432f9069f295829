"""Users who log in elsewhere: known by what the provider calls them for ever, and not by a name that may be given anew."""

from __future__ import annotations

import datetime as dt

import sqlalchemy as sa
from sqlalchemy.engine import RowMapping

from stillwatch.store import ConflictError, audit
from stillwatch.store.database import Store
from stillwatch.store.tables import outside_users, users
from stillwatch.store.users import Role, add_user, set_role


def known_as(store: Store, subject: tuple[str, str], name: str, role: Role, now: dt.datetime) -> str:
    """The user of a subject of an issuer, made at the first log-in, with the role that they have now.

    Raises :class:`ConflictError` where the name is another's already, or the user was shut out here.
    """
    issuer, sub = subject
    own = (outside_users.c.issuer == issuer) & (outside_users.c.subject == sub)
    query = sa.select(users).join(outside_users).where(own)
    with store.reading() as connection:
        row = connection.execute(query).mappings().first()
    if row is None:
        row = _bound(store, subject, name, role, now)
    known = str(row["name"])
    if row["disabled_at"] is not None:
        raise ConflictError(f"{known} was shut out here; ask an admin")
    if row["role"] != role:
        set_role(store, known, role, issuer, now)
    return known


def _bound(store: Store, subject: tuple[str, str], name: str, role: Role, now: dt.datetime) -> RowMapping:
    """A user of this name, made if need be, from now on the subject's: one who logs in elsewhere and is nobody's yet."""
    issuer, sub = subject
    one = sa.select(users).where(users.c.name == name)
    with store.reading() as connection:
        there = connection.execute(one).first() is not None
    if not there:
        add_user(store, name, role, issuer, now, outside=True)
    with store.writing() as connection:
        row = connection.execute(one).mappings().one()
        taken = sa.select(outside_users.c.subject).where(outside_users.c.user_name == name)
        if row["password"] is not None or connection.execute(taken).first() is not None:
            raise ConflictError(f"{name} is another user here; ask an admin")
        connection.execute(outside_users.insert(), {"issuer": issuer, "subject": sub, "user_name": name})
        audit.append(connection, now, name, "user.outside", f"user {name}", {"issuer": issuer})
    return row
