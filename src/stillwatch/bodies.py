"""What programs hand in, read by the readers of logs: bodies of requests, records of topics, lines of files that grow."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import replace
from itertools import islice
from operator import itemgetter
from typing import Any

import msgspec

from stillwatch.formats import (
    Complete,
    LineFormat,
    Piece,
    all_formats,
    format_of,
    line_formats,
    message_formats,
)
from stillwatch.formats._decode import BYTE_ORDER_MARK, decode_object, mend
from stillwatch.formats._reading import is_message, read_body, read_records, records_of
from stillwatch.formats._stated import MalformedError
from stillwatch.rejects import UnknownFormatError

AUTO = "auto"
NOT_KNOWN = "no known format, or no JSON"
SAMPLE_OBJECTS = 100
"""Objects that are looked at for one that says of which format all are."""


def check_format(name: str) -> str:
    """The name of a format that bodies may have. Raises ``UnknownFormatError``."""
    known = [AUTO, *(one.name for one in line_formats())]
    if name not in known:
        raise UnknownFormatError(f"there is no such format; there are {', '.join(known)}")
    return name


def read_whole(body: bytes, name: str = AUTO, complete: Complete | None = None) -> Piece:
    """Read a body, an object, an array, lines or a message, all of one format; a bad record costs no other.

    A rejected row is the position of the record, from 1.
    """
    texts = _texts(body)
    form = _format(body, texts, name)
    if form is None:
        return _with(read_records(()), [(row, NOT_KNOWN) for row in range(1, len(texts) + 1)])
    if is_message(form, body):
        return read_body(form, body, complete)
    if len(texts) == 1:
        return read_body(form, texts[0], complete)
    return read_records(((row, form, text) for row, text in enumerate(texts, start=1)), complete)


def read_values(values: Iterable[tuple[int, bytes]], name: str, complete: Complete | None = None) -> Piece:
    """Read the records of a topic, each with its number: each a body, and what is wrong with one costs no other.

    Each is of the format that recognises it; one that none recognises is read as the one before it, so that the reason
    says what it lacks. A rejected row is the number of the record.
    """
    records: list[tuple[int, LineFormat, bytes]] = []
    unknown: list[tuple[int, str]] = []
    values = list(values)
    for (number, value), form in zip(values, _formats([value for _, value in values], name), strict=True):
        if form is None:
            unknown.append((number, NOT_KNOWN))
        elif is_message(form, value):
            records.append((number, form, value))
        else:
            records += [(number, form, text) for text in _texts(value)]
    return _with(read_records(records, complete), unknown)


def _formats(values: list[bytes], name: str) -> list[LineFormat | None]:
    """The format of each value: its own, else of the one before, else of the first that has one."""
    found: list[LineFormat | None] = []
    last = None
    for value in values:
        last = _format(value, _texts(value), name, last) or last
        found.append(last)
    first = next((one for one in found if one is not None), None)
    return [one or first for one in found]


def _format(
    body: bytes, texts: list[bytes], name: str, likely: LineFormat | None = None
) -> LineFormat | None:
    """The format that is named, or the one that recognises a body or its first objects; None where none does.

    ``likely``: the format that is asked first; at most one says yes.
    """
    if name != AUTO:
        named = all_formats()[name]
        return named if isinstance(named, LineFormat) else None
    for form in message_formats():
        if form.recognises_message(body):
            return form
    for value in islice(_objects(texts), SAMPLE_OBJECTS):
        found = likely if likely is not None and likely.recognises(value) else format_of(value)
        if found is not None:
            return found
    return None


def _objects(texts: list[bytes]) -> Iterator[dict[str, Any]]:
    for text in texts:
        if not text.lstrip().startswith((b"{", b"[")):
            continue
        with suppress(MalformedError, RecursionError):
            for record in records_of(text):
                with suppress(MalformedError, RecursionError):
                    yield decode_object(record)


def _texts(body: bytes) -> list[bytes]:
    """The lines of a body of which one at least is JSON by itself; else the body, which may be a document over several."""
    body = body.removeprefix(BYTE_ORDER_MARK)
    lines = [line for line in body.split(b"\n") if line.strip()]
    if len(lines) < 2:
        return [body]
    # One document over several lines holds lines that are JSON, too.
    if _is_json(lines[0]) or (any(map(_is_json, lines)) and not _is_json(body)):
        return lines
    return [body]


def _is_json(text: bytes) -> bool:
    """Whether a text is an object or an array."""
    if not text.lstrip().startswith((b"{", b"[")):
        return False
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.MsgspecError, RecursionError):
        with suppress(MalformedError):
            mend(text)
            return True
        return False
    return True


def _with(piece: Piece, rejected: list[tuple[int, str]]) -> Piece:
    if not rejected:
        return piece
    return replace(piece, rejected=tuple(sorted((*piece.rejected, *rejected), key=itemgetter(0))))
