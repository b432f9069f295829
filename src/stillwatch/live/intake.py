"""Records as programs send them, read by the readers of logs, sketched, and handed to the journal."""

from __future__ import annotations

import datetime as dt
import os
import threading
import zlib
from collections.abc import Mapping
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pyarrow as pa

from stillwatch.fingerprint import SKETCH_SCHEMA, sketch
from stillwatch.formats import (
    Complete,
    LineFormat,
    MessageFormat,
    Piece,
    all_formats,
    format_of,
    line_formats,
)
from stillwatch.formats._decode import mend
from stillwatch.formats._reading import read_body, read_records, records_of
from stillwatch.formats._stated import MalformedError
from stillwatch.live import LiveError

if TYPE_CHECKING:
    from stillwatch.keys import Keys
    from stillwatch.live.journal import Journal

REJECTED = "rejected.jsonl"
"""Dead letters: when, from where, which record, and why; nothing of its text."""
REJECTED_BYTES = 64 << 20
"""Size at which they begin anew; the file before, ``rejected.1.jsonl``, is kept, and the one before that is not."""
AUTO = "auto"
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
        form = _format(body, format_name)
        if form is None:
            reason = "no known format, or no JSON"
            self._reject(source, ((1, reason),))
            done = self._journal.submit(_nothing(), places) if places else _finished()
            return Taken(0, ((1, reason),), 0, done)
        piece = _read(form, body, self._complete)
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


def check_format(name: str) -> str:
    """The name of a format that bodies may have. Raises :class:`IntakeError`."""
    known = [one.name for one in line_formats()]
    if name not in {AUTO, *known}:
        raise IntakeError(f"there is no such format; there are {AUTO}, {', '.join(known)}")
    return name


def _format(body: bytes, name: str) -> LineFormat | None:
    if name != AUTO:
        found = all_formats()[name]
        return found if isinstance(found, LineFormat) else None
    for form in line_formats():
        if isinstance(form, MessageFormat) and form.recognises_message(body):
            return form
    try:
        for record in records_of(_first_lines(body)):
            value = mend(record)
            if isinstance(value, Mapping) and (form := format_of(dict(value))) is not None:  # type: ignore[assignment]
                return form
    except (MalformedError, RecursionError):
        pass
    return None


def _first_lines(body: bytes) -> bytes:
    """The body, or of lines the first that says something."""
    if body.lstrip()[:1] != b"{":
        return body
    line = next((one for one in body.split(b"\n") if one.strip()), b"")
    try:
        msgspec.json.decode(line, type=msgspec.Raw)
    except (msgspec.MsgspecError, RecursionError):
        return body
    return line


def _read(form: LineFormat, body: bytes, complete: Complete | None) -> Piece:
    """Read a body; of lines, a bad one costs no other."""
    message = isinstance(form, MessageFormat) and form.recognises_message(body)
    if not message and body.lstrip()[:1] == b"{":
        lines = [line for line in body.split(b"\n") if line.strip()]
        if len(lines) > 1 and _first_lines(body) is not body:
            return read_records(form, lines, complete)
    return read_body(form, body, complete)


def _nothing() -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist([], SKETCH_SCHEMA)


def _finished() -> Future[None]:
    done: Future[None] = Future()
    done.set_result(None)
    return done
