"""Log formats: one file, one format, found by itself; a file of a log and an HTTP body are read by the same
code.

To add a format, add a module whose ``FORMAT`` satisfies :class:`LineFormat`; nothing else needs to change. A
format of lines reads one JSON object into exchanges *as the log states them*; checks, times, media and
identities are the same for all formats and happen later, in one place.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol, runtime_checkable

from stillwatch.formats._conform import Complete, Piece, conform_stated
from stillwatch.formats._stated import (
    Half,
    MalformedError,
    NotAnExchangeError,
    Reading,
    StatedExchange,
    StatedMessage,
)

__all__ = [
    "About",
    "Complete",
    "Format",
    "Half",
    "LineFormat",
    "MalformedError",
    "MessageFormat",
    "NotAnExchangeError",
    "PairedFormat",
    "Piece",
    "Reading",
    "StatedExchange",
    "StatedMessage",
    "all_formats",
    "conform_stated",
    "format_of",
    "line_formats",
    "message_formats",
]


@dataclass(frozen=True, slots=True)
class About:
    """What a format's documentation page says; tables in the docs are made from it."""

    title: str
    """Name of the program or the contract, as its users write it."""
    needs: str
    """What must be configured so that the log holds what is needed."""
    fields: Mapping[str, str]
    """Column of the exchange table -> the field of the log it comes from."""
    lost: Mapping[str, str]
    """Field of the log that is not kept -> why."""
    identity: str
    """Where the account and its end user come from, and what to do where the log lacks them."""
    dialects: Mapping[str, str] = field(default_factory=dict)
    """Family of programs that write the format in their own way -> how it is told, and what is its own."""


@runtime_checkable
class Format(Protocol):
    """A kind of log: its name, as ``--format`` takes it, and its page."""

    name: str
    about: About


@runtime_checkable
class LineFormat(Format, Protocol):
    """A log of JSON objects: lines of a file, or the body of a request."""

    def recognises(self, record: Mapping[str, Any]) -> bool:
        """Say whether a decoded object is of this format; at most one format says yes."""
        ...

    def read(self, text: bytes) -> Reading:
        """Read one JSON object. Pure.

        Raises MalformedError with a reason that holds no value of the record, and NotAnExchangeError for a
        record that is well-formed but no account's request for text.
        """
        ...


@runtime_checkable
class PairedFormat(LineFormat, Protocol):
    """A log that tells an exchange in two records, which may lie in two files.

    ``read`` says which half a record is; the two texts meet in :meth:`read_pair`.
    """

    def read_pair(self, request: bytes, reply: bytes | None) -> Reading:
        """Read one exchange from its two halves, or from a request that no reply was found for. Pure.

        Raises what ``read`` raises.
        """
        ...


@runtime_checkable
class MessageFormat(LineFormat, Protocol):
    """A log whose records may be binary messages as well: a file, a body, or many with their lengths before them."""

    def recognises_message(self, head: bytes) -> bool:
        """Say whether a message begins as one of this format does."""
        ...


@cache
def all_formats() -> Mapping[str, Format]:
    """Return every format by its name: the ``FORMAT`` of each public module of this package."""
    found: dict[str, Format] = {}
    for module in sorted(pkgutil.iter_modules(__path__), key=lambda module: module.name):
        if not module.name.startswith("_"):
            format_: Format = importlib.import_module(f"{__name__}.{module.name}").FORMAT
            found[format_.name] = format_
    return found


@cache
def line_formats() -> tuple[LineFormat, ...]:
    """Return the formats that read JSON objects, in the order of their names."""
    return tuple(format_ for format_ in all_formats().values() if isinstance(format_, LineFormat))


@cache
def message_formats() -> tuple[MessageFormat, ...]:
    """Return those of the line formats whose records may be binary messages."""
    return tuple(format_ for format_ in line_formats() if isinstance(format_, MessageFormat))


def format_of(record: Mapping[str, Any]) -> LineFormat | None:
    """Return the format that recognises a decoded object, or None."""
    return next((format_ for format_ in line_formats() if format_.recognises(record)), None)
