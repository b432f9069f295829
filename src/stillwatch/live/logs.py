"""Structured logs: one JSON object a line on standard error, of events and counts; no account, address or text."""

from __future__ import annotations

import datetime as dt
import json
import logging
import sys


class JsonLines(logging.Formatter):
    """What happened, when, and what the event tells of itself in ``extra={"told": {...}}``.

    The text of an exception may repeat what was sent to us, so its type alone is written.
    """

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        told = {
            "at": dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "from": record.name,
            "event": record.getMessage() if record.name.startswith(("stillwatch", "uvicorn")) else "other",
        }
        if record.exc_info and record.exc_info[0] is not None:
            told["error"] = record.exc_info[0].__name__
        return json.dumps(told | getattr(record, "told", {}), ensure_ascii=True)


def log_to_standard_error(level: str = "INFO") -> None:
    """Send every log of the process there."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
