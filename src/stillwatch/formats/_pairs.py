"""The two halves of an exchange, found again over all files of a log in bounded memory.

A batch is told in two files, requests and replies, in any order; what joins their lines is a name that is
unique within the batch alone. So two halves belong together if they name the same thing and lie in one
folder; over folders only where neither folder holds both kinds and no third half has that name. Names that
stand on two requests are never guessed about: all their halves are malformed.

The halves that wait lie in a temporary database of SQLite, in memory up to a bound and beyond it in a file
without a name, which the system removes whatever happens.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import NamedTuple

from stillwatch.formats._stated import Half, MalformedError
from stillwatch.rejects import LogError

MEMORY_KIB = 64 << 10
AMBIGUOUS = (
    "another line of the same kind has its custom_id; add batch_id to the lines of both files, or give each "
    "batch a folder of its own"
)
NO_REQUEST = "a reply of a batch without its request"
_TABLES = """
CREATE TABLE waiting (
    position INTEGER PRIMARY KEY, format TEXT, name TEXT, folder TEXT, is_reply INTEGER, ambiguous INTEGER,
    file TEXT, row INTEGER, text BLOB
);
CREATE INDEX by_name ON waiting (format, name);
CREATE TABLE whole (folder TEXT PRIMARY KEY);
"""
_HERE = "SELECT position, is_reply, ambiguous, text FROM waiting WHERE format = ? AND name = ? AND folder = ?"
# A folder that joined halves of its own holds whole batches: what is left there has no other half elsewhere.
_ELSEWHERE = """
SELECT request.position, reply.position, request.text, reply.text, reply.format, reply.file, reply.row
FROM waiting AS request JOIN waiting AS reply USING (format, name)
WHERE NOT request.is_reply AND reply.is_reply AND NOT request.ambiguous AND NOT reply.ambiguous
  AND request.folder NOT IN (SELECT folder FROM whole) AND reply.folder NOT IN (SELECT folder FROM whole)
  AND (SELECT count(*) FROM waiting AS any_ WHERE any_.format = reply.format AND any_.name = reply.name) = 2
ORDER BY reply.position
"""


class PairingError(LogError):
    """The halves that wait for each other cannot be kept."""


class Place(NamedTuple):
    """Where a record stands: two halves of one folder belong together before any others do."""

    folder: str
    file: str
    row: int


class Leftover(NamedTuple):
    """What is known of a half, or of two that lay in two folders, once the whole log was read."""

    format: str
    file: str
    row: int
    request: bytes | None
    reply: bytes | None
    reason: str | None
    """Why the half is malformed, or None."""


class Pairs:
    """The halves of one log that wait for each other; :meth:`close` forgets them."""

    def __init__(self) -> None:
        self._base: sqlite3.Connection | None = None

    def match(self, format_: str, half: Half, text: bytes, place: Place) -> tuple[bytes, bytes] | None:
        """Return request and reply if the other half was there already, else keep this one.

        Raises:
            MalformedError: another half of the same kind has this name.
        """
        try:
            return self._match(format_, half, text, place)
        except sqlite3.Error as error:
            raise _cannot_keep() from error

    def _match(self, format_: str, half: Half, text: bytes, place: Place) -> tuple[bytes, bytes] | None:
        base = self._opened()
        found = base.execute(_HERE, (format_, half.key, place.folder)).fetchone()
        if found is None:
            base.execute(
                "INSERT INTO waiting VALUES (NULL, ?, ?, ?, ?, 0, ?, ?, ?)",
                (format_, half.key, place.folder, half.is_reply, place.file, place.row, text),
            )
            return None
        position, is_reply, ambiguous, other = found
        if ambiguous or bool(is_reply) == half.is_reply:
            # The name stays, so that later halves are known to be ambiguous too.
            base.execute("UPDATE waiting SET ambiguous = 1, text = '' WHERE position = ?", (position,))
            raise MalformedError(AMBIGUOUS)
        base.execute("DELETE FROM waiting WHERE position = ?", (position,))
        base.execute("INSERT OR IGNORE INTO whole VALUES (?)", (place.folder,))
        return (other, text) if half.is_reply else (text, other)

    def leftovers(self) -> Iterator[Leftover]:
        """Yield what never met its other half in its own folder: pairs over folders first, in order."""
        if self._base is None:
            return
        try:
            yield from self._leftovers(self._base)
        except sqlite3.Error as error:
            raise _cannot_keep() from error

    def _leftovers(self, base: sqlite3.Connection) -> Iterator[Leftover]:
        base.execute("CREATE TABLE met (position INTEGER PRIMARY KEY)")
        for first, second, request, reply, format_, file, row in base.execute(_ELSEWHERE):
            base.executemany("INSERT INTO met VALUES (?)", [(first,), (second,)])
            yield Leftover(format_, file, row, request, reply, None)
        alone = "SELECT * FROM waiting WHERE position NOT IN (SELECT position FROM met) ORDER BY position"
        for _, format_, _, _, is_reply, ambiguous, file, row, text in base.execute(alone):
            reason = AMBIGUOUS if ambiguous else None
            yield Leftover(format_, file, row, None if is_reply else text, text if is_reply else None, reason)

    def _opened(self) -> sqlite3.Connection:
        if self._base is None:
            # No name: a database of this connection alone, on disk only once it outgrows its memory.
            base = sqlite3.connect("", isolation_level=None, check_same_thread=False)
            for setting in (f"cache_size = -{MEMORY_KIB}", "journal_mode = OFF", "synchronous = OFF"):
                base.execute(f"PRAGMA {setting}")
            base.executescript(_TABLES)
            base.execute("BEGIN")
            self._base = base
        return self._base

    def close(self) -> None:
        """Forget what waits."""
        if self._base is not None:
            self._base.close()
            self._base = None


def _cannot_keep() -> PairingError:
    return PairingError(
        "The halves of a batch that wait for each other cannot be kept: the temporary folder is full or "
        "cannot be written. Free room there, or set TMPDIR to a folder with as much room as the log takes."
    )
