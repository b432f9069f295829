"""What came in, as sketches on disk before it is acknowledged; the looks read it, and a start reads it again.

One SQLite database in WAL mode with ``synchronous=FULL``: a commit is on disk when it returns, and whatever is not committed
was never there. One thread writes; all that waits goes into one commit, with the places up to which files and topics were
read. So what was acknowledged is there once at least, and the live step counts each exchange once, by its own rule.
No text is in it.
"""

from __future__ import annotations

import fcntl
import os
import queue
import shutil
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from stillwatch.live import LiveError
from stillwatch.live.arrivals import AHEAD_US, ARRIVAL_SCHEMA, as_arrivals

FILE, LOCK = "arrivals.db", "lock"
VERSION = 2
WAITING_BYTES = 256 << 20
"""Sketches that may wait for the disk; beyond it a sender is told to come again."""
FREE_BYTES = 1 << 30
"""Space on the disk below which nothing more is taken."""
BUSY_S = 30
_COMPRESSED = pa.ipc.IpcWriteOptions(compression="zstd")
_TABLES = """
CREATE TABLE IF NOT EXISTS arrivals (
    id INTEGER PRIMARY KEY AUTOINCREMENT, came_us INTEGER NOT NULL, exchanges INTEGER NOT NULL,
    last_us INTEGER NOT NULL, sketches BLOB NOT NULL
);
CREATE TABLE IF NOT EXISTS places (source TEXT PRIMARY KEY, place TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);
"""


class JournalError(LiveError):
    """A journal that cannot be used; the text says which and what to do."""


class FullError(Exception):
    """Nothing more is taken now; ``retry_after_s`` says when to come again."""

    def __init__(self, reason: str, retry_after_s: int) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class _Waiting:
    batch: pa.RecordBatch
    places: tuple[tuple[str, str], ...]
    done: Future[None]


class Journal:
    """Writes what comes in. ``key``: public name of the key of the sketches; a journal keeps to one."""

    def __init__(
        self, folder: Path, key: str, waiting_bytes: int = WAITING_BYTES, free_bytes: int = FREE_BYTES,
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        """``clock``: seconds since 1970."""
        self._folder, self._waiting_bytes, self._free_bytes = folder, waiting_bytes, free_bytes
        self._clock = clock
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._held = _locked(folder)
        try:
            _prepare(folder, key, _microseconds(clock))
        except BaseException:
            os.close(self._held)
            raise
        self._queue: queue.SimpleQueue[_Waiting | None] = queue.SimpleQueue()
        self._size, self._lock = 0, threading.Lock()
        self._thread = threading.Thread(target=self._write_all, name="journal", daemon=True)
        self._thread.start()

    def submit(self, batch: pa.RecordBatch, places: dict[str, str] | None = None) -> Future[None]:
        """Have sketches written; the future is done once they are on disk, with what was read up to where.

        Raises :class:`FullError` where too much waits, or too little space is left.
        """
        size = batch.nbytes
        if shutil.disk_usage(self._folder).free < self._free_bytes:
            raise FullError("the disk is full", 30)
        with self._lock:
            if self._size and self._size + size > self._waiting_bytes:
                raise FullError("too much waits for the disk", 1)
            self._size += size
        waiting = _Waiting(as_arrivals(batch), tuple((places or {}).items()), Future())
        self._queue.put(waiting)
        return waiting.done

    def places(self) -> dict[str, str]:
        """Up to where each source was read, as it was submitted last."""
        with _opened(self._folder) as connection:
            return dict(connection.execute("SELECT source, place FROM places"))

    def close(self) -> None:
        """Write what waits, then stop."""
        self._queue.put(None)
        self._thread.join()
        os.close(self._held)

    def _write_all(self) -> None:
        with _opened(self._folder) as connection:
            ends = False
            while not ends:
                first = self._queue.get()
                together: list[_Waiting] = []
                while True:
                    if first is None:
                        ends = True
                        break
                    together.append(first)
                    try:
                        first = self._queue.get_nowait()
                    except queue.Empty:
                        break
                if together:
                    self._write(connection, together)

    def _write(self, connection: sqlite3.Connection, together: list[_Waiting]) -> None:
        try:
            whole = pa.concat_batches([one.batch.replace_schema_metadata(None) for one in together])
            with connection:
                if whole.num_rows:
                    came_us = _microseconds(self._clock)
                    # What lies further ahead is never looked at, and keeps nothing.
                    last_us = min(int(np.max(whole["at_us"].to_numpy())), came_us + AHEAD_US)
                    connection.execute(
                        "INSERT INTO arrivals (came_us, exchanges, last_us, sketches) VALUES (?, ?, ?, ?)",
                        (came_us, whole.num_rows, last_us, _packed(whole)),
                    )
                places = [pair for one in together for pair in one.places]
                connection.executemany("INSERT OR REPLACE INTO places VALUES (?, ?)", places)
        except Exception as error:
            for one in together:
                one.done.set_exception(FullError(f"the disk refuses ({type(error).__name__})", 30))
        else:
            for one in together:
                one.done.set_result(None)
        with self._lock:
            self._size -= sum(one.batch.nbytes for one in together)


class Reader:
    """Reads a journal, also one that another process writes."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._last = 0

    def new(self) -> Iterator[tuple[pa.RecordBatch, int]]:
        """Sketches that were not read yet, of ``ARRIVAL_SCHEMA``, and when they came, in that order."""
        with _opened(self._folder) as connection:
            query = "SELECT id, came_us, sketches FROM arrivals WHERE id > ? ORDER BY id"
            for number, came_us, packed in connection.execute(query, (self._last,)):
                self._last = number
                yield _unpacked(packed), came_us

    def forget(self, before_us: int) -> int:
        """Drop what is wholly of before a moment; returns how many exchanges those are."""
        with _opened(self._folder) as connection, connection:
            (gone,) = connection.execute(
                "SELECT coalesce(sum(exchanges), 0) FROM arrivals WHERE last_us < ?", (before_us,)
            ).fetchone()
            connection.execute("DELETE FROM arrivals WHERE last_us < ?", (before_us,))
        return int(gone)


class _opened:  # noqa: N801 - read as a verb
    """A connection that is closed at the end of the block."""

    def __init__(self, folder: Path) -> None:
        self._connection = sqlite3.connect(folder / FILE, timeout=BUSY_S, check_same_thread=False)

    def __enter__(self) -> sqlite3.Connection:
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=FULL")
        return self._connection

    def __exit__(self, *_: object) -> None:
        self._connection.close()


def _locked(folder: Path) -> int:
    """The open lock that says that this folder is ours; the system lets it go with the process."""
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        raise JournalError(
            f"another process writes into {folder}; stop it first, or name another folder with --state"
        ) from None
    return lock


def _prepare(folder: Path, key: str, now_us: int) -> None:
    (folder / FILE).touch(mode=0o600)
    with _opened(folder) as connection:
        connection.executescript(_TABLES)
        _bring_up(connection, now_us)
        _check(connection, folder, "version", str(VERSION), "another release wrote it: use that one")
        _check(
            connection,
            folder,
            "key",
            key,
            "its sketches were made with another key: give that one with --key",
        )


def _bring_up(connection: sqlite3.Connection, now_us: int) -> None:
    """Bring a journal of version 1, which did not say when anything came, to this one: all of it came by now."""
    if connection.execute("SELECT value FROM setting WHERE name = 'version'").fetchone() != ("1",):
        return
    connection.execute("BEGIN IMMEDIATE")
    with connection:
        connection.execute("ALTER TABLE arrivals ADD COLUMN came_us INTEGER NOT NULL DEFAULT 0")
        connection.execute(
            "UPDATE arrivals SET came_us = ?, last_us = min(last_us, ?)", (now_us, now_us + AHEAD_US)
        )
        connection.execute("UPDATE setting SET value = ? WHERE name = 'version'", (str(VERSION),))


def _check(connection: sqlite3.Connection, folder: Path, name: str, value: str, remedy: str) -> None:
    connection.execute("INSERT OR IGNORE INTO setting VALUES (?, ?)", (name, value))
    connection.commit()
    (found,) = connection.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
    if found != value:
        raise JournalError(
            f"{folder / FILE} cannot be gone on with, since {remedy}; or name another folder with --state"
        )


def _packed(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema, options=_COMPRESSED) as writer:
        writer.write_batch(batch)
    return bytes(sink.getvalue().to_pybytes())


def _unpacked(packed: bytes) -> pa.RecordBatch:
    with pa.ipc.open_stream(packed) as reader:
        table = reader.read_all()
    (batch,) = table.combine_chunks().to_batches()
    return as_arrivals(batch).cast(ARRIVAL_SCHEMA)


def _microseconds(clock: Callable[[], float]) -> int:
    return int(clock() * 1e6)
