"""A stream of server-sent events, changed event by event as it passes; nothing waits but an event that is not whole.

Text between tags of thought is held back while it may be one: from a first ``<think>`` to its end.
"""

from __future__ import annotations

import copy
import json
import re
from typing import Any

from stillwatch.gateway.replies import edit, keep_tokens

LARGEST_EVENT = 16 << 20
"""Bytes of an event at most; a longer one ends the stream, since it cannot be looked at."""
_END = re.compile(rb"\r\n\r\n|\n\n|\r\r")
_TAGS = ("<think>", "<thinking>")
_CLOSING = re.compile(r"</think(?:ing)?>\s*")
ENDS = frozenset({"content_block_stop", "response.output_text.done"})
"""Types of the events after which no more of a text comes."""
TEXT_DELTA = "response.output_text.delta"
_LONGEST_CLOSING = len("</thinking>")


class EventTooLongError(Exception):
    """An event that is longer than what is looked at."""


class Untagging:
    """The text of one choice in pieces, without a trace between tags at its beginning."""

    def __init__(self) -> None:
        self._held = ""
        self._state = "begin"
        self._traced = False

    def feed(self, piece: str) -> str:
        """What of the text so far may be sent now."""
        if self._state == "text":
            return piece
        self._held += piece
        if self._state == "begin":
            begun = self._held.lstrip()
            if self._traced:
                self._held = begun
            if begun.startswith(_TAGS):
                self._state, self._traced = "thought", True
            elif any(tag.startswith(begun) for tag in _TAGS):
                return ""  # too early to tell
            else:
                return self._free(self._held)
        if self._state == "thought":
            found = _CLOSING.search(self._held)
            if found is None:
                self._held = self._held[-_LONGEST_CLOSING:]
                return ""
            # What comes after it may begin with another.
            rest, self._held, self._state = self._held[found.end() :], "", "begin"
            return self.feed(rest)
        return ""

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
        self._texts: dict[tuple[Any, ...], Untagging] = {}
        self._last: dict[tuple[Any, ...], dict[str, Any]] = {}

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
        held = self._held(body)
        if held is not None:
            return _written([b"event: " + held["type"].encode()], held) + self._event(event, ending)
        if not self.edit(body):
            return b""
        return _written([line for line in lines if not line.startswith(b"data:")], body)

    def edit(self, body: dict[str, Any]) -> bool:
        """Change one decoded event; returns whether anything of it is left to be sent."""
        if self._trace is None:
            return edit(body, self._trace, self._logprobs)
        left = edit(body, self._trace, self._logprobs, piece=True)
        return left and self._untag(body) and self._untag_choices(body)

    def _held(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """The event that was held back last, where the text is at its end and it was no tag that had begun."""
        if self._trace is None or body.get("type") not in ENDS:
            return None
        place = _place(body)
        untagging, last = self._texts.pop(place, None), self._last.pop(place, None)
        rest = untagging.end() if untagging is not None else ""
        if not rest or last is None:
            return None
        _say(last, rest)
        return last

    def _untag(self, body: dict[str, Any]) -> bool:
        """A piece of text of Messages or Responses."""
        text = _said(body)
        if not text:
            if body.get("type") == TEXT_DELTA:
                keep_tokens(body, None)
            return True
        place = _place(body)
        freed = self._texts.setdefault(place, Untagging()).feed(text)
        _say(body, freed)
        keep_tokens(body, freed if freed == text else None)
        self._last[place] = copy.deepcopy(body)
        return bool(freed)

    def _untag_choices(self, body: dict[str, Any]) -> bool:
        choices = body.get("choices")
        if not isinstance(choices, list) or not choices:
            return True
        left = [self._untag_choice(choice) for choice in choices if isinstance(choice, dict)]
        return any(left) or bool(body.get("usage"))

    def _untag_choice(self, choice: dict[str, Any]) -> bool:
        said, name = choice.get("delta"), "content"
        if not isinstance(said, dict):
            said, name = choice, "text"
        text = said.get(name)
        untagging = self._choices.setdefault(int(choice.get("index") or 0), Untagging())
        ends = choice.get("finish_reason") is not None
        freed = untagging.feed(text) if isinstance(text, str) and text else ""
        freed += untagging.end() if ends else ""
        if isinstance(text, str) or freed:
            said[name] = freed
            keep_tokens(choice, freed if freed == text else None)
        others = said is not choice and any(value not in (None, "") for value in said.values())
        return bool(freed) or others or ends or text in (None, "")


def _written(kept: list[bytes], body: dict[str, Any]) -> bytes:
    return b"\n".join([*kept, b"data: " + json.dumps(body, separators=(",", ":")).encode()]) + b"\n\n"


def _place(body: dict[str, Any]) -> tuple[Any, ...]:
    """Which text of a reply an event is about."""
    return tuple(str(body.get(name)) for name in ("index", "output_index", "content_index"))


def _said(body: dict[str, Any]) -> str:
    """The piece of text of an event of Messages or Responses; empty where it has none."""
    delta = body.get("delta")
    if body.get("type") == TEXT_DELTA:
        return delta if isinstance(delta, str) else ""
    if isinstance(delta, dict) and delta.get("type") == "text_delta":
        text = delta.get("text")
        return text if isinstance(text, str) else ""
    return ""


def _say(body: dict[str, Any], text: str) -> None:
    if isinstance(body["delta"], dict):
        body["delta"]["text"] = text
    else:
        body["delta"] = text
