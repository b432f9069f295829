"""A stream of server-sent events, changed event by event as it passes; nothing waits but an event that is not whole.

Text between tags of thought is held back while it may be one: from a first ``<think>`` to its end.
"""

from __future__ import annotations

import json
import re
from typing import Any

from stillwatch.gateway.replies import edit

LARGEST_EVENT = 16 << 20
"""Bytes of an event at most; a longer one ends the stream, since it cannot be looked at."""
_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_TAGS = ("<think>", "<thinking>")
_CLOSING = re.compile(r"</think(?:ing)?>\s*")
_LONGEST_CLOSING = len("</thinking>")


class EventTooLongError(Exception):
    """An event that is longer than what is looked at."""


class Untagging:
    """The text of one choice in pieces, without a trace between tags at its beginning."""

    def __init__(self) -> None:
        self._held = ""
        self._state = "begin"

    def feed(self, piece: str) -> str:
        """What of the text so far may be sent now."""
        if self._state == "text":
            return piece
        self._held += piece
        if self._state == "begin":
            begun = self._held.lstrip()
            if begun.startswith(_TAGS):
                self._state = "thought"
            elif any(tag.startswith(begun) for tag in _TAGS):
                return ""  # too early to tell
            else:
                return self._free(self._held)
        if self._state == "thought":
            found = _CLOSING.search(self._held)
            if found is None:
                self._held = self._held[-_LONGEST_CLOSING:]
                return ""
            self._state, self._held = "after", self._held[found.end() :]
        begun = self._held.lstrip()
        return self._free(begun) if begun else ""

    def end(self) -> str:
        """What is left when the text is at its end: what only looked like the begin of a tag."""
        return self._free(self._held) if self._state == "begin" else ""

    def _free(self, text: str) -> str:
        self._held, self._state = "", "text"
        return text


class Stream:
    """Changes the bytes of a stream as they come."""

    def __init__(self, trace: str | None, logprobs: int | None) -> None:
        self._trace, self._logprobs = trace, logprobs
        self._rest = b""
        self._choices: dict[int, Untagging] = {}

    def feed(self, data: bytes) -> bytes:
        """The events that are whole by now, changed. Raises :class:`EventTooLongError`."""
        self._rest += data
        out = []
        start = 0
        for found in _END.finditer(self._rest):
            out.append(
                self._event(self._rest[start : found.start()], self._rest[found.start() : found.end()])
            )
            start = found.end()
        self._rest = self._rest[start:]
        if len(self._rest) > LARGEST_EVENT:
            raise EventTooLongError(f"an event of a stream is longer than {LARGEST_EVENT >> 20} MiB")
        return b"".join(out)

    def end(self) -> bytes:
        """What is left at the end of a stream that lacks its last empty line."""
        rest, self._rest = self._rest, b""
        return self._event(rest, b"") if rest.strip() else rest

    def _event(self, event: bytes, ending: bytes) -> bytes:
        lines = event.splitlines()
        said = [line[5:].removeprefix(b" ") for line in lines if line.startswith(b"data:")]
        try:
            body = json.loads(b"\n".join(said)) if said else None
        except (ValueError, RecursionError):
            body = None
        if not isinstance(body, dict):
            return event + ending
        if not self.edit(body):
            return b""
        kept = [line for line in lines if not line.startswith(b"data:")]
        return b"\n".join([*kept, b"data: " + json.dumps(body, separators=(",", ":")).encode()]) + b"\n\n"

    def edit(self, body: dict[str, Any]) -> bool:
        """Change one decoded event; returns whether anything of it is left to be sent."""
        if not edit(body, self._trace, self._logprobs):
            return False
        return self._trace is None or self._untag(body)

    def _untag(self, body: dict[str, Any]) -> bool:
        choices = body.get("choices")
        if not isinstance(choices, list) or not choices:
            return True
        left = False
        for choice in choices:
            said = choice.get("delta") if isinstance(choice, dict) else None
            if not isinstance(said, dict):
                left = True
                continue
            text = said.get("content")
            untagging = self._choices.setdefault(int(choice.get("index") or 0), Untagging())
            ends = choice.get("finish_reason") is not None
            if isinstance(text, str) and text:
                said["content"] = untagging.feed(text)
            if ends and (rest := untagging.end()):
                said["content"] = (said.get("content") or "") + rest
            others = any(value not in (None, "") for value in said.values())
            left |= others or ends or text in (None, "")
        return left or bool(body.get("usage"))
