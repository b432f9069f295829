"""What programs hand in, read by the readers of logs: bodies of requests, records of topics, lines of files that grow."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing, suppress
from itertools import islice

import msgspec

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
from stillwatch.formats._pairs import Pairs
from stillwatch.formats._reading import Pending, read_body, read_records, records_of
from stillwatch.formats._stated import MalformedError
from stillwatch.formats._told import Told
from stillwatch.rejects import UnknownFormatError

AUTO = "auto"
NOT_KNOWN = "no known format, or no JSON"
SAMPLE_LINES = 100
"""Lines that are looked at for one that says of which format all are."""


def check_format(name: str) -> str:
    """The name of a format that bodies may have. Raises ``UnknownFormatError``."""
    known = [AUTO, *(one.name for one in line_formats())]
    if name not in known:
        raise UnknownFormatError(f"there is no such format; there are {', '.join(known)}")
    return name


def format_of_body(body: bytes, name: str = AUTO) -> LineFormat | None:
    """The format of a body: the one that is named, or the one that recognises it or its first lines; None where none is."""
    if name != AUTO:
        named = all_formats()[name]
        return named if isinstance(named, LineFormat) else None
    for form in line_formats():
        if isinstance(form, MessageFormat) and form.recognises_message(body):
            return form
    for text in islice(_lines(body) or [body], SAMPLE_LINES):
        with suppress(MalformedError, RecursionError):
            for record in records_of(text):
                value = mend(record)
                if isinstance(value, Mapping) and (found := format_of(dict(value))) is not None:
                    return found
    return None


def read_whole(form: LineFormat, body: bytes, complete: Complete | None = None) -> Piece:
    """Read a body, an object, an array, lines or a message; of lines, a bad one costs no other."""
    if not (isinstance(form, MessageFormat) and form.recognises_message(body)) and (lines := _lines(body)):
        return read_records(form, lines, complete)
    return read_body(form, body, complete)


def read_values(values: Iterable[tuple[int, bytes]], name: str, complete: Complete | None = None) -> Piece:
    """Read the records of a topic, each with its number: each a body, and what is wrong with one costs no other.

    Which format they are of is told by the first of them that is of any. A rejected row is the number of the record.
    """
    values = list(values)
    found = (format_of_body(value, name) for _, value in values[:SAMPLE_LINES])
    form = next((one for one in found if one is not None), None)
    with closing(Pairs()) as pairs:
        pending = Pending(form or line_formats()[0], pairs, complete)
        for number, value in values:
            if form is None:
                pending.reject(number, NOT_KNOWN)
            elif isinstance(form, MessageFormat) and form.recognises_message(value):
                pending.read_message(value, number)
            else:
                for text in _lines(value) or [value]:
                    pending.read(text, number)
        for half in pairs.leftovers():
            pending.read_leftover(half)
        return Told().first_only(pending.flush())


def _lines(body: bytes) -> list[bytes] | None:
    """The lines of a body of which one at least is an object by itself; None where it is anything else."""
    if body.lstrip()[:1] != b"{":
        return None
    lines = [line for line in body.split(b"\n") if line.strip()]
    if len(lines) < 2:
        return None
    if _is_json(lines[0]):
        return lines
    # One document over several lines holds lines that are objects, too.
    return lines if not _is_json(body) and any(map(_is_object, lines[:SAMPLE_LINES])) else None


def _is_json(text: bytes) -> bool:
    try:
        msgspec.json.decode(text, type=msgspec.Raw)
    except (msgspec.MsgspecError, RecursionError):
        return False
    return True


def _is_object(line: bytes) -> bool:
    return line.lstrip()[:1] == b"{" and _is_json(line)
