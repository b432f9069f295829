"""Records as programs send them, read by the readers of logs, sketched, and handed to the journal."""

from __future__ import annotations

import datetime as dt
import os
import threading
import zlib
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa

from stillwatch.bodies import AUTO, NOT_KNOWN, format_of_body, read_whole
from stillwatch.fingerprint import SKETCH_SCHEMA, sketch
from stillwatch.live import LiveError

if TYPE_CHECKING:
    from stillwatch.formats import Complete
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
    """Position of each record that could not be read, from 1, and the reason."""
    skipped: int
    """Records that are no exchange of an account: an embedding, a step of an agent."""
    done: Future[None]


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
        the sketches. Raises :class:`IntakeError`, and ``FullError`` where nothing is taken now.
        """
        form = format_of_body(body, format_name)
        if form is None:
            self._reject(source, ((1, NOT_KNOWN),))
            done = self._journal.submit(_nothing(), places) if places else _finished()
            return Taken(0, ((1, NOT_KNOWN),), 0, done)
        piece = read_whole(form, body, self._complete)
        self._reject(source, piece.rejected)
        if not len(piece.batch) and not places:
            return Taken(0, piece.rejected, sum(piece.skipped.values()), _finished())
        sketched = sketch(piece.batch, self._keys) if len(piece.batch) else _nothing()
        done = self._journal.submit(sketched, places)
        return Taken(len(piece.batch), piece.rejected, sum(piece.skipped.values()), done)

    def _reject(self, source: str, rejected: tuple[tuple[int, str], ...]) -> None:
        if not rejected:
            return
        at = dt.datetime.now(dt.UTC).isoformat(timespec="seconds")
        lines = b"".join(
            msgspec.json.encode({"at": at, "file": source, "row": row, "reason": reason}) + b"\n"
            for row, reason in rejected
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


def inflated(body: bytes, encoding: str) -> bytes:
    """A body as it was before it was compressed. Raises :class:`IntakeError`."""
    if encoding in {"", "identity"}:
        return body
    if encoding not in {"gzip", "deflate"}:
        raise IntakeError("the content encoding must be gzip, deflate or none")
    opened = zlib.decompressobj(wbits=47 if encoding == "gzip" else 15)
    try:
        plain = opened.decompress(body, INFLATED_BYTES)
    except zlib.error:
        raise IntakeError(f"the body is no {encoding}") from None
    if opened.unconsumed_tail or not opened.eof:
        raise IntakeError(
            f"the body is cut off, or larger than {INFLATED_BYTES >> 20} MiB once it is unpacked"
        )
    return plain


def _nothing() -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], SKETCH_SCHEMA)


def _finished() -> Future[None]:
    done: Future[None] = Future()
    done.set_result(None)
    return done
