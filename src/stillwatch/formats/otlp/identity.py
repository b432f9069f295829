"""Who a span or an event is of: its own attributes, those of its trace in the same message, its resource's.

Only attributes that mean a user are taken. ``service.name`` and its like name the program, not its users; an
SDK's span names nobody unless the program says who it acts for.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from stillwatch.formats._stated import first_named
from stillwatch.formats.otlp.spans import Telemetry

USERS = ("user.id", "user.hash", "enduser.id", "enduser.pseudo.id", "langfuse.user.id")
"""https://opentelemetry.io/docs/specs/semconv/registry/attributes/user/ and ../enduser/; the first that is there."""
SESSIONS = ("session.id", "langfuse.session.id")
NOBODY = (
    f"it names no user: none of {', '.join(USERS[:4])} is on it, its trace or its resource; "
    "have the program or the gateway set one"
)


class Traces:
    """What the spans of one message say of their traces: tracers often name the user on the first span alone."""

    def __init__(self, items: Iterable[Telemetry]) -> None:
        self._users: dict[str, str | None] = {}
        self._sessions: dict[str, str | None] = {}
        for item in items:
            if item.trace_id:
                _note(self._users, item.trace_id, _first(item.attributes, USERS))
                _note(self._sessions, item.trace_id, _first(item.attributes, SESSIONS))

    def user(self, item: Telemetry) -> str | None:
        """Return the user whom an item is of."""
        return (
            _first(item.attributes, USERS) or self._users.get(item.trace_id) or _first(item.resource, USERS)
        )

    def session(self, item: Telemetry) -> str | None:
        """Return the session that an item is part of."""
        return _first(item.attributes, SESSIONS) or self._sessions.get(item.trace_id)


def _note(known: dict[str, str | None], trace: str, value: str | None) -> None:
    """Keep what a trace's spans agree on; where two say different things, none speaks for the others."""
    if value is not None:
        known[trace] = value if known.get(trace, value) == value else None


def _first(attributes: Mapping[str, Any], names: Iterable[str]) -> str | None:
    for name in names:
        value = attributes.get(name)
        # MLflow writes a text as JSON.
        named = first_named(value.strip('"') if isinstance(value, str) and value.startswith('"') else value)
        if named is not None:
            return str(named)
    return None
