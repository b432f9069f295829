"""Records as programs send them, read by the readers of logs, sketched, and handed to the journal."""

from __future__ import annotations

import datetime as dt
import gzip
import io
import os
import threading
import zlib
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import pyarrow as pa

from stillwatch.bodies import AUTO, read_values, read_whole
from stillwatch.fingerprint import SKETCH_SCHEMA, sketch
from stillwatch.live import LiveError
from stillwatch.live.arrivals import as_arrivals

if TYPE_CHECKING:
    from stillwatch.formats import Complete, Piece
    from stillwatch.keys import Keys
    from stillwatch.live.journal import Journal

REJECTED = "rejected.jsonl"
"""Dead letters: when, from where, which record, and why; nothing of its text."""
REJECTED_BYTES = 64 << 20
"""Size at which they begin anew; the file before, ``rejected.1.jsonl``, is kept, and the one before that is not."""
INFLATED_BYTES = 64 << 20
"""Largest body once it is no longer compressed."""


class IntakeError(LiveError):
    """A body that cannot be taken at all; the text says why and repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one body."""

    accepted: int
    """Exchanges that will be there once :attr:`done` is."""
    rejected: tuple[tuple[int, str], ...]
    """Place of each record that could not be read, and the reason."""
    skipped: int
    """Records that are no exchange of an account: an embedding, a step of an agent."""
    done: Future[None]


class Value(NamedTuple):
    """A record of a topic."""

    source: str
    """Where it lies, for the list of what was rejected."""
    row: int
    """Its number there."""
    body: bytes


class Intake:
    """Takes bodies in; may be used from many threads."""

    def __init__(self, journal: Journal, keys: Keys, folder: Path, complete: Complete | None = None) -> None:
        self._journal, self._keys, self._complete = journal, keys, complete
        self._rejected, self._lock = folder / REJECTED, threading.Lock()

    def take(
        self, body: bytes, source: str, format_name: str = AUTO, places: dict[str, str] | None = None
    ) -> Taken:
        """Read one body, an object, an array, lines or a message, and have its sketches written.

        ``source``: where it came from, for the list of what was rejected. ``places``: what was read up to where, kept with
        the sketches. Raises ``FullError`` where nothing is taken now.
        """
        piece = read_whole(body, format_name, self._complete)
        return self._written(piece, [(source, row, reason) for row, reason in piece.rejected], places)

    def take_values(self, values: Sequence[Value], format_name: str = AUTO) -> Taken:
        """Read records that are a body each, of any format each, and have their sketches written.

        A rejected row of what is returned is the place in ``values``, from 0. Raises ``FullError``.
        """
        piece = read_values(enumerate(one.body for one in values), format_name, self._complete)
        letters = [(values[place].source, values[place].row, reason) for place, reason in piece.rejected]
        return self._written(piece, letters)

    def _written(
        self, piece: Piece, letters: Sequence[tuple[str, int, str]], places: dict[str, str] | None = None
    ) -> Taken:
        count = len(piece.batch)
        done = _finished()
        if count or places:
            sketched = sketch(piece.batch, self._keys) if count else _nothing()
            done = self._journal.submit(as_arrivals(sketched, piece.calls), places)
        self._reject(letters)  # once they are taken: what is refused now comes again
        return Taken(count, piece.rejected, sum(piece.skipped.values()), done)

    def _reject(self, letters: Sequence[tuple[str, int, str]]) -> None:
        if not letters:
            return
        at = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        lines = b"".join(
            msgspec.json.encode({"at": at, "file": source, "row": row, "reason": reason}) + b"\n"
            for source, row, reason in letters
        )
        with self._lock:
            descriptor = os.open(self._rejected, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
            try:
                os.write(descriptor, lines)
                full = os.fstat(descriptor).st_size > REJECTED_BYTES
            finally:
                os.close(descriptor)
            if full:
                self._rejected.replace(self._rejected.with_suffix(".1.jsonl"))


def nothing_taken() -> Taken:
    """What became of a body that holds nothing."""
    return Taken(0, (), 0, _finished())


def inflated(body: bytes, encoding: str) -> bytes:
    """A body as it was before it was compressed, all members of gzip. Raises :class:`IntakeError`."""
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "deflate"}:
        raise IntakeError("the content encoding must be gzip, deflate or none")
    try:
        plain = _members(body) if encoding == "gzip" else _deflated(body)
    except EOFError:
        raise IntakeError("the body is cut off") from None
    except (OSError, zlib.error):
        raise IntakeError(f"the body is no {encoding}") from None
    if len(plain) > INFLATED_BYTES:
        raise IntakeError(f"the body is larger than {INFLATED_BYTES >> 20} MiB once it is unpacked")
    return plain


def _members(body: bytes) -> bytes:
    with gzip.open(io.BytesIO(body)) as file:
        return file.read(INFLATED_BYTES + 1)


def _deflated(body: bytes) -> bytes:
    opened = zlib.decompressobj()
    plain = opened.decompress(body, INFLATED_BYTES + 1)
    if len(plain) <= INFLATED_BYTES and not opened.eof:
        raise EOFError
    if opened.unused_data:
        raise zlib.error("more than one stream")
    return plain


def _nothing() -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], SKETCH_SCHEMA)


def _finished() -> Future[None]:
    done: Future[None] = Future()
    done.set_result(None)
    return done
