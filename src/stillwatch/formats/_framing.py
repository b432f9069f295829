"""Files of binary messages: one alone, or many, each after its length as a collector's file exporter writes them.

The exporter puts four bytes, big-endian, before each message of protobuf, and before each message of either
encoding that it compressed by itself (zstd).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import pyarrow as pa

from stillwatch.formats import MalformedError, MessageFormat, message_formats

LENGTH_BYTES = 4
LARGEST_MESSAGE_BYTES = 128 << 20
"""No text begins with a length of this or less: its first byte is below that of any letter or white space."""
HEAD_BYTES = 512
_ZSTD = b"\x28\xb5\x2f\xfd"
_SMALLEST_MESSAGE_BYTES = 2


class Framing(NamedTuple):
    """How a file holds its messages."""

    format: MessageFormat
    lengths: bool
    """Each message comes after its length; else the file is one message."""


def framing_of(head: bytes) -> Framing | None:
    """Say how a file that begins so holds its messages, or None for a file of text.

    >>> framing_of(b'{"a": 1}'), framing_of(bytes(8))
    (None, None)
    """
    length, begin = _length(head), head[LENGTH_BYTES:]
    if _SMALLEST_MESSAGE_BYTES <= length <= LARGEST_MESSAGE_BYTES:
        for format_ in message_formats():
            # What is compressed has a length before it in a file of the exporter alone.
            if format_.recognises_message(begin) or begin.startswith(_ZSTD):
                return Framing(format_, lengths=True)
    for format_ in message_formats():
        if format_.recognises_message(head):
            return Framing(format_, lengths=False)
    return None


def messages(chunks: Iterable[tuple[float, bytes]], framing: Framing) -> Iterator[tuple[float, list[bytes]]]:
    """Yield the messages of a file in lists, each with the share of the file that was read by then.

    Raises MalformedError for the message after the last one yielded.
    """
    rest = b""
    share = 0.0
    for share, data in chunks:
        rest += data
        if framing.lengths:
            found, rest = _cut(rest)
            yield share, found
        if (_length(rest) if framing.lengths else len(rest)) > LARGEST_MESSAGE_BYTES:
            raise MalformedError(
                f"a message of more than {LARGEST_MESSAGE_BYTES >> 20} MiB, or no length where one should be"
            )
    if rest and framing.lengths:
        raise MalformedError("the file ends inside of a message")
    if rest:
        yield share, [rest]


def unpacked(message: bytes) -> bytes:
    """Return a message as it was before the exporter compressed it."""
    return _unpacked(message, LARGEST_MESSAGE_BYTES) if message.startswith(_ZSTD) else message


def _cut(data: bytes) -> tuple[list[bytes], bytes]:
    """Return the messages that are there in full, and what is left over."""
    found = []
    start = 0
    while start + LENGTH_BYTES <= len(data):
        end = start + LENGTH_BYTES + _length(data[start : start + LENGTH_BYTES])
        if end > len(data):
            break
        found.append(data[start + LENGTH_BYTES : end])
        start = end
    return found, data[start:]


def _length(data: bytes) -> int:
    """Return the length that stands before a message; 0 where it is not there in full."""
    return int.from_bytes(data[:LENGTH_BYTES], "big") if len(data) >= LENGTH_BYTES else 0


def _unpacked(message: bytes, most: int) -> bytes:
    try:
        with pa.CompressedInputStream(pa.BufferReader(message), "zstd") as stream:
            text: bytes = stream.read(most + 1)
    except (OSError, pa.ArrowInvalid):
        raise MalformedError("a message is compressed and broken inside") from None
    if len(text) > most:
        raise MalformedError(f"a message unpacks to more than {most >> 20} MiB")
    return text
