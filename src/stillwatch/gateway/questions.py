"""A request as it is told to the service: read as leniently as servers of models read, written so that it is always read.

A customer chooses every byte of a request. What he can write and the server behind still serves must therefore be judged:
numbers that JSON has no word for, halves of surrogates, other encodings, text behind the end, and padding of any size.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, TypeVar

FIELDS = ("model", "messages", "input", "prompt", "system", "instructions", "tools", "functions")
"""Fields of a request that a family is told by; nothing else is told."""
FIELD_BYTES = 256 << 10
"""A field that takes more is cut. Each has a share of its own: padding may stand in one that a server does not read."""
FIELD_PARTS = 20_000
"""A field of more values is cut too, since looking at them takes long."""
LONGEST_TEXT = 3 << 16
"""Characters of a text where a field is cut. The service reads 64 KiB of it, normalised, when three may have become one."""
DEEPEST = 64
"""What is nested deeper is left out; definitions of tools nest a dozen levels."""
LONGEST_NAME = 1 << 16
"""Characters of a name at most, as many as fit into the head of a request."""
_SPACE = " \t\r\n"
_DIGITS = 4000
"""Python refuses to read, and to write, integers of more."""
_READ = frozenset(
    (
        "role", "content", "type", "text", "refusal", "tool_calls", "function_call", "function", "name", "description",
        "arguments", "parameters", "input", "input_schema", "output",
    )
)  # fmt: skip
"""Fields of messages and tools that hold text; where cut, others go first."""
Kept = TypeVar("Kept", str, list[Any])
_RUN = re.compile(r"[A-Za-z0-9+/]{1024,}")
"""Pictures and files as base64. Of one that long the service keeps a hash."""


class UnreadableError(ValueError):
    """A body that no server reads as a JSON object."""


class BrokenError(ValueError):
    """The begin of a JSON object, of which a server may read more: it is cut off, or nested deeper than can be read here."""


class _TooMuchError(Exception):
    """A value of more parts than are looked at."""


def read(body: bytes) -> Any:
    """The JSON value at the beginning of a body, of any encoding that JSON may have.

    Raises :class:`BrokenError` where an object may have begun and cannot be read, else :class:`UnreadableError`.
    """
    encoding = json.detect_encoding(body)
    try:
        text = body.decode(encoding, "surrogatepass")
    except UnicodeDecodeError:
        text = body.decode(encoding, "replace")
    begun = text.lstrip(_SPACE)
    try:
        return _DECODER.raw_decode(begun)[0]
    except (ValueError, RecursionError):
        if text and begun[:1] in {"", "{"}:
            raise BrokenError("a JSON object that is cut off or nested too deeply") from None
        raise UnreadableError("no JSON object") from None


def _integer(digits: str) -> int | float:
    return int(digits) if len(digits) <= _DIGITS else float(digits)


_DECODER = json.JSONDecoder(strict=False, parse_int=_integer)


def plain(value: Any) -> Any:
    """A value without what JSON has no word for: numbers that are none become text, and half a surrogate U+FFFD."""
    return _Writing().plain(value)


def name(text: str | None) -> str | None:
    """A name of an account, an end user or a model, as it can be told."""
    return None if text is None else _Writing(LONGEST_NAME).text(text)


def told(request: Mapping[str, Any]) -> tuple[bytes, bool]:
    """What is told of a request: a JSON object in UTF-8, and whether anything was cut to make it fit.

    What is too much is cut out of the middle of long lists and texts. Of a text the service itself reads no more than its
    first and last part, so that a request is nearly always judged alike.
    """
    fields = [(field, *_fitting(request[field])) for field in FIELDS if request.get(field) is not None]
    body = b",".join(b'"%b":%b' % (field.encode(), text) for field, text, _ in fields)
    return b"{%b}" % body, any(cut for *_, cut in fields)


def _fitting(value: Any) -> tuple[bytes, bool]:
    if (body := _written(value, _Writing(most=FIELD_PARTS))) is not None:
        return body, False
    value, text, items = _bare(value), LONGEST_TEXT, 1024
    while (body := _written(value, _Writing(text, items, FIELD_PARTS))) is None:
        # Fewer items at first, since those in the middle are of earlier turns, and then less of each text.
        text, items = text if items > 64 else text // 2, items // 2
    return body, True


def _written(value: Any, writing: _Writing) -> bytes | None:
    """JSON; None where it is too much."""
    try:
        body = json.dumps(writing.plain(value), ensure_ascii=False, separators=(",", ":")).encode()
    except _TooMuchError:
        return None
    return body if len(body) <= FIELD_BYTES else None


def _bare(value: Any) -> Any:
    """Messages and tools without fields that hold no text of theirs."""
    if not isinstance(value, list):
        return value
    return [
        {field: _bare(one) if field == "content" else one for field, one in item.items() if field in _READ}
        if isinstance(item, dict)
        else _bare(item)
        for item in value
    ]


@dataclass(slots=True)
class _Writing:
    """How a value is written; None is without a limit."""

    longest: int | None = None
    """Characters of a text."""
    items: int | None = None
    """Items of a list, and fields of an object."""
    most: int | None = None
    """Values in all."""

    def plain(self, value: Any, depth: int = 0) -> Any:
        if self.most is not None:
            self.most -= 1
            if self.most < 0:
                raise _TooMuchError
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, int | float):
            return _number(value)
        if isinstance(value, Mapping) and depth < DEEPEST:
            fields = self._fields(value)
            return {self.text(str(field)): self.plain(one, depth + 1) for field, one in fields}
        if isinstance(value, list | tuple) and depth < DEEPEST:
            return [self.plain(one, depth + 1) for one in self._items(value)]
        # Else a class of the gateway's own, or nothing that JSON has a word for.
        return self.plain(value.model_dump(), depth) if hasattr(value, "model_dump") else None

    def text(self, text: str) -> str:
        if self.longest is not None and len(text) > self.longest:
            text = _RUN.sub(lambda found: found[0][:1024], text)
        if self.longest is not None and len(text) > self.longest:
            text = "".join(_ends(text, self.longest))
        return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")

    def _items(self, values: list[Any] | tuple[Any, ...]) -> Iterable[Any]:
        return (
            values
            if self.items is None or len(values) <= self.items
            else chain(*_ends(list(values), self.items))
        )

    def _fields(self, value: Mapping[Any, Any]) -> Iterable[tuple[Any, Any]]:
        if self.items is None or len(value) <= self.items:
            return value.items()
        return sorted(value.items(), key=lambda pair: pair[0] not in _READ)[: self.items]


def _number(value: float) -> int | float | str:
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if -(1 << 63) <= value < 1 << 63:
        return value
    return str(float(value)) if value.bit_length() <= 1000 else "inf"


def _ends(values: Kept, most: int) -> tuple[Kept, Kept]:
    """The first three quarters and the last quarter of so many, as a sketch reads a text."""
    last = most // 4
    return values[: most - last], values[len(values) - last :]
