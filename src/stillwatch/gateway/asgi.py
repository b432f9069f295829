"""A middleware for any ASGI server of a model: it asks what to do with a request, and does it.

In vLLM by its import path, told by the environment (``STILLWATCH_URL``, ``STILLWATCH_TOKEN``)::

    vllm serve MODEL --middleware stillwatch.gateway.asgi.Stillwatch

and around an application of one's own: ``app = Stillwatch(app, url="http://127.0.0.1:8470", token=...)``.

The account comes from a header, which whatever is in front must set, whatever the customer sent. A request without one
goes on, or is refused where the plug-in fails closed; it is counted.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any

from stillwatch.gateway.asking import AWAY_CLOSED, Answer, Asker, Settings
from stillwatch.gateway.questions import BrokenError, UnreadableError, read
from stillwatch.gateway.refusals import error_body, error_headers
from stillwatch.gateway.replies import cap_request, edit
from stillwatch.gateway.streams import Stream

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

ENDS = (
    "/chat/completions", "/chat/completions/batch", "/completions", "/responses", "/messages", "/invocations", "/generate",
    "/generate_stream",
)  # fmt: skip
"""Ends of the paths at which a model is asked for text, of vLLM, SGLang and TGI."""


class Stillwatch:
    """The middleware; keywords are those of :class:`stillwatch.gateway.asking.Settings`."""

    def __init__(self, app: App, **settings: Any) -> None:
        self._app = app
        self._settings = Settings.of(settings)
        self._ends = (*ENDS, *self._settings.more_paths.split())
        self.asker = Asker(self._settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request."""
        if (
            scope["type"] != "http"
            or scope["method"] != "POST"
            or not scope["path"].rstrip("/").endswith(self._ends)
        ):
            await self._app(scope, receive, send)
            return
        headers = dict(reversed(scope["headers"]))
        account = _text(headers, self._settings.account_header)
        if not account:
            self.asker.counts["unnamed"] += 1
            if self._settings.fail_open:
                await self._app(scope, receive, send)
            else:
                await _refuse(send, scope["path"], AWAY_CLOSED)
            return
        body = _Body(receive, self._settings.body_bytes)
        asked = await body.read()
        end_user = _text(headers, self._settings.end_user_header) or _end_user(asked)
        answer = await self.asker.ask(account, end_user, asked.get("model"), asked, partial=body.partial)
        if not answer.allow:
            await _refuse(send, scope["path"], answer)
            return
        if answer.edits:
            if answer.logprobs is not None and asked and cap_request(asked, answer.logprobs):
                scope = body.replace(asked, scope)
            scope = _without(scope, b"accept-encoding")
            send = _Editing(send, answer)
        await self._app(scope, body.receive, send)


class _Body:
    """The body of a request, read ahead and handed on as it came."""

    def __init__(self, receive: Receive, most: int) -> None:
        self._receive, self._most = receive, most
        self._read: list[Message] = []
        self.partial = False
        """Whether the server behind may read what was not read here."""

    async def read(self) -> dict[str, Any]:
        """The body as an object; empty where it is none, too large or nested too deeply."""
        size = 0
        while True:
            message = await self._receive()
            self._read.append(message)
            if message["type"] != "http.request":
                return {}
            size += len(message.get("body", b""))
            if size > self._most:
                self.partial = True
                return {}
            if not message.get("more_body", False):
                break
        try:
            told = read(b"".join(message.get("body", b"") for message in self._read))
        except BrokenError:
            self.partial = True
            return {}
        except UnreadableError:
            return {}
        return told if isinstance(told, dict) else {}

    def replace(self, told: Mapping[str, Any], scope: Scope) -> Scope:
        """Hand on another body; returns the scope with its length."""
        body = json.dumps(told).encode()
        self._read = [{"type": "http.request", "body": body, "more_body": False}]
        without = _without(_without(scope, b"content-length"), b"transfer-encoding")
        length = (b"content-length", str(len(body)).encode())
        return {**without, "headers": [*without["headers"], length]}

    async def receive(self) -> Message:
        """What the application receives: what was read, then what comes."""
        return self._read.pop(0) if self._read else await self._receive()


class _Editing:
    """Changes the reply on its way: a stream event by event, anything else once it is whole."""

    def __init__(self, send: Send, answer: Answer) -> None:
        self._send, self._answer = send, answer
        self._start: Message | None = None
        self._stream: Stream | None = None
        self._parts: list[bytes] = []

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            kind = next((value for name, value in message["headers"] if name.lower() == b"content-type"), b"")
            if kind.lower().startswith(b"text/event-stream"):
                self._stream = Stream(self._answer.trace, self._answer.logprobs)
                await self._send(_without(message, b"content-length"))
            else:
                self._start = message
            return
        if message["type"] != "http.response.body":
            await self._send(message)
            return
        body, more = message.get("body", b""), message.get("more_body", False)
        if self._stream is not None:
            changed = self._stream.feed(body) + (b"" if more else self._stream.end())
            if changed or not more:
                await self._send({"type": "http.response.body", "body": changed, "more_body": more})
            return
        self._parts.append(body)
        if more or self._start is None:
            return
        whole = self._changed(b"".join(self._parts))
        start = _without(self._start, b"content-length")
        length = (b"content-length", str(len(whole)).encode())
        await self._send({**start, "headers": [*start["headers"], length]})
        await self._send({"type": "http.response.body", "body": whole, "more_body": False})

    def _changed(self, whole: bytes) -> bytes:
        try:
            told = json.loads(whole)
        except (ValueError, RecursionError):
            return whole
        replies = told if isinstance(told, list) else [told]
        for reply in replies:
            if isinstance(reply, dict):
                edit(reply, self._answer.trace, self._answer.logprobs)
        return json.dumps(told).encode()


def _without(message: Message, name: bytes) -> Message:
    """A message, or a scope, without a header."""
    return {**message, "headers": [pair for pair in message["headers"] if pair[0].lower() != name]}


def _text(headers: Mapping[bytes, bytes], name: str) -> str | None:
    return headers.get(name.lower().encode(), b"").decode("latin-1") or None


def _end_user(asked: Mapping[str, Any]) -> str | None:
    """The end user that a request names, by the fields that the readers of logs take."""
    metadata = asked.get("metadata")
    named = (
        asked.get("safety_identifier"),
        asked.get("user"),
        metadata.get("user_id") if isinstance(metadata, dict) else None,
    )
    return next((one for one in named if isinstance(one, str) and one), None)


async def _refuse(send: Send, path: str, answer: Answer) -> None:
    body = json.dumps(error_body(path, answer.status, answer.code, answer.message)).encode()
    headers = {"content-type": "application/json", "content-length": str(len(body)), **error_headers(answer)}
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": pairs})
    await send({"type": "http.response.body", "body": body, "more_body": False})
