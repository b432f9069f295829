"""Spans and events as both encodings of OTLP are read into them: plain values, nothing of the wire left."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

ERROR_STATUS = 2


@dataclass(frozen=True, slots=True)
class SpanEvent:
    """Something that was noted inside of a span."""

    name: str
    attributes: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Telemetry:
    """A span, or an event of a log, with what else its message says of it."""

    position: int
    """Place among the spans or events of its message, from 1."""
    kind: str
    """``"span"`` or ``"event"``."""
    name: str
    """The event's name; empty for a span, whose name may hold anything."""
    trace_id: str
    """In hexadecimal; empty where there is none."""
    span_id: str
    """In hexadecimal; an event has that of the span in which it was noted, or none."""
    time: int | None
    """Start of a span, time of an event; nanoseconds since 1970, UTC."""
    failed: bool
    """The status is an error."""
    attributes: Mapping[str, Any]
    resource: Mapping[str, Any]
    events: Sequence[SpanEvent] = ()
    body: Any = None
    """An event's body."""

    @property
    def place(self) -> str:
        """What a reject calls it."""
        return f"{self.kind} {self.position}"


@dataclass(slots=True)
class Message:
    """What one export request holds."""

    items: list[Telemetry] = field(default_factory=list)
    rejected: list[str] = field(default_factory=list)
    """Reasons, each with the place of its span or event."""
    skipped: Counter[str] = field(default_factory=Counter)
    """By reason, parts that are neither spans nor events."""
    seen: int = 0
    """Spans and events so far, the malformed ones too."""

    def reject(self, kind: str, reason: str) -> None:
        """Set a span or an event aside that was counted last."""
        self.rejected.append(f"{kind} {self.seen}: {reason}")
