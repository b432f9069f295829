"""Export requests of OpenTelemetry written by hand, in both encodings, plainly."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Mapping, Sequence
from typing import Any

from stillwatch.formats.otlp import FORMAT
from stillwatch.sources import read_body

Item = Mapping[str, Any]
"""A span or a log record: attributes as plain values, and what else is set."""

START = 1_769_940_000_000_000_000


def item(attributes: Mapping[str, Any], number: int = 1, **more: Any) -> dict[str, Any]:
    """A span with these attributes; with ``event`` a log record of that name."""
    return {
        "attributes": attributes,
        "trace": f"{number:032x}",
        "span": f"{number:016x}",
        "time": START + number,
        **more,
    }


def as_json(items: Sequence[Item], resource: Mapping[str, Any] | None = None) -> bytes:
    """One request of all items, which are of one signal."""
    events = any("event" in each for each in items)
    records = [_json_event(each) if events else _json_span(each) for each in items]
    scope = {"scope": {"name": "tests"}, "logRecords" if events else "spans": records}
    part = {
        "resource": {"attributes": _json_attributes(resource or {})},
        "scopeLogs" if events else "scopeSpans": [scope],
    }
    return json.dumps({"resourceLogs" if events else "resourceSpans": [part]}).encode()


def _json_span(span: Item) -> dict[str, Any]:
    return {
        "traceId": span["trace"],
        "spanId": span["span"],
        "name": "hidden name",
        "startTimeUnixNano": str(span["time"]),
        "attributes": _json_attributes(span["attributes"]),
        "events": [
            {"name": name, "attributes": _json_attributes(attributes)}
            for name, attributes in span.get("events", ())
        ],
        "status": {"code": span.get("status", 0)},
    }


def _json_event(record: Item) -> dict[str, Any]:
    return {
        "traceId": record["trace"],
        "spanId": record["span"],
        "observedTimeUnixNano": str(record["time"]),
        "eventName": record["event"],
        "attributes": _json_attributes(record["attributes"]),
    }


def _json_attributes(attributes: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _json_value(value)} for key, value in attributes.items()]


def _json_value(value: Any) -> dict[str, Any]:
    match value:
        case None:
            return {}
        case bool():
            return {"boolValue": value}
        case str():
            return {"stringValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
        case bytes():
            return {"bytesValue": base64.b64encode(value).decode()}
        case list():
            return {"arrayValue": {"values": [_json_value(each) for each in value]}}
        case _:
            return {"kvlistValue": {"values": _json_attributes(value)}}


def as_protobuf(items: Sequence[Item], resource: Mapping[str, Any] | None = None) -> bytes:
    """The same request in protobuf."""
    records = b"".join(field(2, _event(each) if "event" in each else _span(each)) for each in items)
    attributes = b"".join(field(1, _pair(key, value)) for key, value in (resource or {}).items())
    scope = field(1, field(1, b"tests")) + records
    return field(1, field(1, attributes) + field(2, scope))


def _span(span: Item) -> bytes:
    events = b"".join(
        field(11, field(2, name.encode()) + _attributes(3, attributes))
        for name, attributes in span.get("events", ())
    )
    status = field(15, varint(3 << 3) + varint(span["status"])) if "status" in span else b""
    return b"".join(
        [
            field(1, bytes.fromhex(span["trace"])),
            field(2, bytes.fromhex(span["span"])),
            field(5, b"hidden name"),
            fixed64(7, span["time"]),
            _attributes(9, span["attributes"]),
            events,
            status,
        ]
    )


def _event(record: Item) -> bytes:
    return b"".join(
        [
            _attributes(6, record["attributes"]),
            field(9, bytes.fromhex(record["trace"])),
            field(10, bytes.fromhex(record["span"])),
            fixed64(11, record["time"]),
            field(12, record["event"].encode()),
        ]
    )


def _attributes(number: int, attributes: Mapping[str, Any]) -> bytes:
    return b"".join(field(number, _pair(key, value)) for key, value in attributes.items())


def _pair(key: str, value: Any) -> bytes:
    return field(1, key.encode()) + field(2, _value(value))


def _value(value: Any) -> bytes:
    match value:
        case None:
            return b""
        case bool():
            return varint(2 << 3) + varint(int(value))
        case str():
            return field(1, value.encode())
        case int():
            return varint(3 << 3) + varint(value % (1 << 64))
        case float():
            return bytes([4 << 3 | 1]) + struct.pack("<d", value)
        case bytes():
            return field(7, value)
        case list():
            return field(5, b"".join(field(1, _value(each)) for each in value))
        case _:
            return field(6, _attributes(1, value))


def field(number: int, content: bytes) -> bytes:
    """A field of bytes."""
    return varint(number << 3 | 2) + varint(len(content)) + content


def fixed64(number: int, value: int) -> bytes:
    """A field of eight bytes."""
    return varint(number << 3 | 1) + value.to_bytes(8, "little")


def varint(value: int) -> bytes:
    """A number, seven bits a byte."""
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*written, value])


def framed(*messages: bytes) -> bytes:
    """Messages, each after its length, as a collector's file exporter writes them."""
    return b"".join(len(message).to_bytes(4, "big") + message for message in messages)


def chat(text: str = "Hello", number: int = 1, user: str | None = "u-1", **more: Any) -> dict[str, Any]:
    """A call by the current conventions."""
    messages = [{"role": "user", "parts": [{"type": "text", "content": text}]}]
    attributes = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m",
        "gen_ai.input.messages": json.dumps(messages),
        **({} if user is None else {"user.id": user}),
        **more,
    }
    return item(attributes, number)


def only(attributes: dict[str, Any], **more: Any) -> dict[str, Any]:
    """The one exchange of a span, which is the same in both encodings."""
    span = item({"user.id": "u-1", **attributes}, **more)
    piece = read_body(FORMAT, as_json([span]))
    assert piece.batch.equals(read_body(FORMAT, as_protobuf([span])).batch)
    assert not piece.rejected
    (row,) = piece.batch.to_pylist()
    return row


def said(row: dict[str, Any]) -> list[tuple[str, str]]:
    """The messages of an exchange."""
    return [(message["role"], message["content"]) for message in row["messages"]]
