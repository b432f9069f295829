"""OTLP/JSON: an export request as one JSON object, as SDKs send it and a collector's file exporter writes it.

The fields are those of the protobuf messages in lowerCamelCase, identifiers are hexadecimal, and numbers of 64
bits may be texts (https://opentelemetry.io/docs/specs/otlp/#json-protobuf-encoding).
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from stillwatch.formats._decode import decode_object
from stillwatch.formats._stated import MalformedError
from stillwatch.formats.otlp.spans import ERROR_STATUS, Message, SpanEvent, Telemetry

SIGNALS = ("resourceSpans", "resourceLogs", "resourceMetrics", "resourceProfiles")


def read_json(text: bytes) -> Message:
    """Read one export request of any signal, or raise MalformedError."""
    request = decode_object(text)
    if not any(name in request for name in SIGNALS):
        raise MalformedError(f"all of {', '.join(SIGNALS[:2])} are missing")
    message = Message()
    for resource_spans in _objects(request, "resourceSpans", message, "span"):
        resource = _attributes_of(resource_spans, "resource")
        for scope in _objects(resource_spans, "scopeSpans", message, "span"):
            _read_each(scope, "spans", message, "span", partial(_span, resource))
    for resource_logs in _objects(request, "resourceLogs", message, "event"):
        resource = _attributes_of(resource_logs, "resource")
        for scope in _objects(resource_logs, "scopeLogs", message, "event"):
            _read_each(scope, "logRecords", message, "event", partial(_event, resource))
    for name in SIGNALS[2:]:
        if request.get(name):
            message.skipped["metrics or profiles"] += 1
    return message


def _objects(
    parent: Mapping[str, Any], name: str, message: Message, kind: str
) -> Iterator[Mapping[str, Any]]:
    """Yield the objects of a list; what is no object is one reject, however many spans it was."""
    values = parent.get(name)
    if values is None:
        return
    for value in values if isinstance(values, list) else [None]:
        if isinstance(value, dict):
            yield value
        else:
            message.seen += 1
            message.reject(kind, f"{name} is not a list of objects")


def _read_each(
    scope: Mapping[str, Any],
    name: str,
    message: Message,
    kind: str,
    read: Callable[[int, Mapping[str, Any]], Telemetry],
) -> None:
    values = scope.get(name)
    if values is None:
        return
    for value in values if isinstance(values, list) else [None]:
        message.seen += 1
        try:
            if not isinstance(value, dict):
                raise MalformedError("not an object")
            message.items.append(read(message.seen, value))
        except MalformedError as error:
            message.reject(kind, str(error))
        except RecursionError:
            message.reject(kind, "nested too deeply")


def _span(resource: Mapping[str, Any], position: int, span: Mapping[str, Any]) -> Telemetry:
    status = span.get("status")
    return Telemetry(
        position=position,
        kind="span",
        name="",
        trace_id=_identifier(span.get("traceId")),
        span_id=_identifier(span.get("spanId")),
        time=_integer(span.get("startTimeUnixNano")),
        failed=isinstance(status, dict) and status.get("code") in (ERROR_STATUS, "STATUS_CODE_ERROR"),
        attributes=_attributes(span.get("attributes")),
        resource=resource,
        events=[
            SpanEvent(_text(event.get("name")), _attributes(event.get("attributes")))
            for event in span.get("events") or ()
            if isinstance(event, dict)
        ],
    )


def _event(resource: Mapping[str, Any], position: int, record: Mapping[str, Any]) -> Telemetry:
    attributes = _attributes(record.get("attributes"))
    return Telemetry(
        position=position,
        kind="event",
        # Before the field eventName there was the attribute.
        name=_text(record.get("eventName")) or _text(attributes.get("event.name")),
        trace_id=_identifier(record.get("traceId")),
        span_id=_identifier(record.get("spanId")),
        time=_integer(record.get("timeUnixNano")) or _integer(record.get("observedTimeUnixNano")),
        failed=False,
        attributes=attributes,
        resource=resource,
        body=_value(record.get("body")),
    )


def _attributes_of(parent: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the attributes of a part that may be missing; those of a resource must not cost its spans."""
    part = parent.get(name)
    try:
        return _attributes(part.get("attributes")) if isinstance(part, dict) else {}
    except MalformedError:
        return {}


def _attributes(pairs: object) -> dict[str, Any]:
    if pairs is None:
        return {}
    if not isinstance(pairs, list):
        raise MalformedError("the attributes are not a list")
    found = {}
    for pair in pairs:
        if not isinstance(pair, dict) or not isinstance(pair.get("key"), str):
            raise MalformedError("an attribute has no key")
        value = pair.get("value")
        text = value.get("stringValue") if isinstance(value, dict) else None
        found[pair["key"]] = text if isinstance(text, str) else _value(value)
    return found


def _value(value: object) -> Any:
    """Return an AnyValue as a plain one; an empty one is None."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise MalformedError("the value of an attribute is not an object")
    for name, inner in value.items():
        if name in _READERS:
            return _READERS[name](inner)
    return None


def _array(value: object) -> list[Any]:
    values = value.get("values") if isinstance(value, dict) else None
    return [_value(item) for item in values] if isinstance(values, list) else []


def _map(value: object) -> dict[str, Any]:
    return _attributes(value.get("values") if isinstance(value, dict) else None)


def _bytes(value: object) -> bytes | None:
    try:
        return base64.b64decode(value, validate=True) if isinstance(value, str) else None
    except (binascii.Error, ValueError):
        raise MalformedError("a value of bytes is not base64") from None


def _integer(value: object) -> int | None:
    if isinstance(value, str):
        try:
            return int(value) if len(value) <= 20 else None
        except ValueError:
            return None
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _identifier(value: object) -> str:
    """Return a trace's or span's name in hexadecimal; one of zeros is none."""
    text = _text(value).lower()
    return text if text.strip("0") else ""


_READERS: Mapping[str, Callable[[object], Any]] = {
    "stringValue": lambda value: value if isinstance(value, str) else None,
    "intValue": _integer,
    "boolValue": lambda value: value if isinstance(value, bool) else None,
    # A number that JSON has no word for is a text.
    "doubleValue": lambda value: value if isinstance(value, int | float | str) else None,
    "arrayValue": _array,
    "kvlistValue": _map,
    "bytesValue": _bytes,
}
