"""A database opened, brought to the newest tables, and its two ways of use: reading and writing."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

import sqlalchemy as sa
from alembic import command
from alembic.config import Config
from alembic.util.exc import CommandError
from sqlalchemy import event
from sqlalchemy.engine import URL, Connection, Engine, make_url
from sqlalchemy.exc import ArgumentError, DataError, DBAPIError, NoSuchModuleError

from stillwatch.store import StoreError
from stillwatch.store.tables import head, settings

MIGRATIONS = Path(__file__).parent / "migrations"
BUSY_SECONDS = 30
KEY = "audit_key"
_POOL: dict[str, Any] = {"pool_size": 20, "max_overflow": 30, "hide_parameters": True}
"""A connection for each thread of the server, which has forty; no value of a row goes into the text of an error."""
_LOCK = 7_311_904  # of the migration, for PostgreSQL: any fixed number
_TURN = 7_311_905  # of whoever writes


@dataclass(frozen=True, slots=True)
class Store:
    """An open database."""

    engine: Engine
    name: str
    """What it is called in messages; without a password."""
    turn: AbstractContextManager[Any] = field(default_factory=nullcontext)
    """Whose turn it is to write, within this process: SQLite lets whoever is lucky go first, and others wait for ever."""

    @contextmanager
    def reading(self) -> Iterator[Connection]:
        """A connection that sees one state and changes nothing."""
        with _told_apart(), self.engine.connect() as connection:
            yield connection

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        """A transaction; writers come one after the other, so that no decision is lost or made twice."""
        options = {"writes": True}
        with (
            _told_apart(),
            self.turn,
            self.engine.connect().execution_options(**options) as connection,
            connection.begin(),
        ):
            if self.engine.dialect.name == "postgresql":
                # A queue. A row's lock is none: each writer makes the row anew, and whoever waits runs after it.
                connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_TURN)))
            connection.execute(sa.select(head.c.number).with_for_update())
            yield connection

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()


@contextmanager
def _told_apart() -> Iterator[None]:
    """What the database cannot hold is the fault of whoever gave it, and not of the program."""
    try:
        yield
    except (DataError, OverflowError) as error:
        raise StoreError(
            "a number is too large, or a text holds a character that is none (a zero byte); leave it out"
        ) from error


def open_store(place: str) -> Store:
    """Open a store, made if need be: a file of SQLite, or a URL of PostgreSQL.

    Raises :class:`StoreError` where it cannot be opened; no password is in its text.
    """
    url = _url(place)
    name = url.render_as_string(hide_password=True)
    try:
        engine = _engine(url)
        _upgrade(engine)
        with engine.connect().execution_options(writes=True) as connection, connection.begin():
            connection.execute(sa.select(head.c.number).with_for_update())
            if connection.execute(sa.select(settings.c.value).where(settings.c.name == KEY)).first() is None:
                connection.execute(settings.insert().values(name=KEY, value=secrets.token_hex(32)))
    except (ModuleNotFoundError, NoSuchModuleError) as error:
        raise StoreError(
            f"cannot open {name}: the driver of this database is not installed; for PostgreSQL run "
            "pip install 'psycopg[binary]'"
        ) from error
    except CommandError as error:
        raise StoreError(
            f"{name} was written by another version of stillwatch, a newer one most likely ({error}); open it with that "
            "one: there is no way back from its tables but a backup"
        ) from error
    except OSError as error:
        raise StoreError(f"cannot make {name}: {error.strerror}; choose another file with --store") from error
    except DBAPIError as error:
        raise StoreError(
            f"cannot open {name} ({type(error.orig).__name__}); is it a database of stillwatch, and may it be written?"
        ) from error
    return Store(engine, name, Lock() if url.get_backend_name() == "sqlite" else nullcontext())


def key_of(connection: Connection) -> bytes:
    """The key that the store made for itself."""
    return bytes.fromhex(
        connection.execute(sa.select(settings.c.value).where(settings.c.name == KEY)).scalar_one()
    )


def _url(place: str) -> URL:
    if "://" not in place:
        path = Path(place).expanduser().resolve()
        if not path.parent.is_dir():
            raise StoreError(f"cannot make {place}: its folder does not exist; make it first")
        return URL.create("sqlite", database=str(path))
    try:
        url = make_url(place)
    except ArgumentError as error:
        raise StoreError(
            "the store's URL cannot be read; write a path, or postgresql://user@host/database"
        ) from error
    if url.drivername in {"postgresql", "postgres"}:
        url = url.set(drivername="postgresql+psycopg")
    if url.get_backend_name() not in {"sqlite", "postgresql"}:
        raise StoreError(
            f"{url.get_backend_name()} is no database of the store; use a file (SQLite) or postgresql://"
        )
    return url


def _engine(url: URL) -> Engine:
    if url.get_backend_name() != "sqlite":
        return sa.create_engine(url, pool_pre_ping=True, **_POOL)
    if url.database:
        Path(url.database).touch(mode=0o600)  # it names accounts, so it is nobody else's
    engine = sa.create_engine(url, connect_args={"timeout": BUSY_SECONDS}, **_POOL)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # transactions begin where we say, and not at the first change
        for line in ("journal_mode=WAL", "foreign_keys=ON", f"busy_timeout={BUSY_SECONDS * 1000}"):
            connection.execute(f"PRAGMA {line}")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        writes = connection.get_execution_options().get("writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")

    return engine


def _upgrade(engine: Engine) -> None:
    """Bring the tables to the newest form; of several processes that start at once one does it."""
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS).replace("%", "%%"))
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        if engine.dialect.name == "postgresql":
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(_LOCK)))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")
