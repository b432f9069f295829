"""Who may ask this service, how much, and how large: checked before anything of a request is read."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect
from starlette.responses import JSONResponse, Response

if TYPE_CHECKING:
    from starlette.requests import Request

    from stillwatch.live.metrics import Metrics
    from stillwatch.live.tokens import May, Tokens

TOO_LARGE = "too_large"
"""Reason to refuse a body that is longer than may be."""
TOKEN_HEADER = "x-stillwatch-token"  # noqa: S105 - the name of a header


@dataclass(frozen=True, slots=True)
class Limits:
    """What one request, and one token, may take."""

    body_bytes: int = 8 << 20
    """Largest body of a question."""
    ingest_bytes: int = 64 << 20
    """Largest body of exchanges, as it comes over the wire."""
    body_s: float = 10.0
    """Seconds within which a body must have come."""
    per_second: int = 20_000
    """Requests of one token in a second."""


class RefusedError(Exception):
    """A request that is not admitted, and the answer to it."""

    def __init__(self, status: int, reason: str, text: str, retry_after_s: int | None = None) -> None:
        super().__init__(reason)
        self.status, self.reason, self.text, self.retry_after_s = status, reason, text, retry_after_s

    def answer(self) -> Response:
        """What whoever asked is told."""
        headers = {} if self.retry_after_s is None else {"retry-after": str(self.retry_after_s)}
        if self.status == 401:
            headers["www-authenticate"] = "Bearer"
        return JSONResponse({"error": {"code": self.reason, "message": self.text}}, self.status, headers)


class Admission:
    """The checks of one service."""

    def __init__(self, tokens: Tokens | None, limits: Limits, metrics: Metrics) -> None:
        """``tokens``: None admits everybody, for a service that only its own machine reaches."""
        self._tokens, self.limits, self._metrics = tokens, limits, metrics
        self._second = 0
        self._count: dict[str, int] = {}

    def admit(self, request: Request, may: May, *, own_header: bool = False) -> str:
        """Name of who asks. Raises :class:`RefusedError` for whoever has no token, or asks too often.

        ``own_header``: the header ``authorization`` is the customer's, as in a request that a proxy hands on.
        """
        name = "anyone"
        if self._tokens is not None:
            found = self._tokens.holder(_given(request, own_header), may)
            if found is None:
                raise RefusedError(
                    401,
                    "unauthorized",
                    f"a token that may {may} is needed; make one with `stillwatch token add`",
                )
            name = found
        second = int(time.monotonic())
        if second != self._second:
            self._second, self._count = second, {}
        self._count[name] = self._count.get(name, 0) + 1
        if self._count[name] > self.limits.per_second:
            raise RefusedError(429, "too_often", f"at most {self.limits.per_second:,} requests a second", 1)
        return name

    async def body(self, request: Request, most: int | None = None) -> bytes:
        """The whole body, of ``most`` bytes at most, by default those of a question.

        Raises :class:`RefusedError` where it is too large or too slow.
        """
        most = self.limits.body_bytes if most is None else most
        length = request.headers.get("content-length", "")
        if length.isdecimal() and int(length) > most:
            raise _too_large(most)
        try:
            async with asyncio.timeout(self.limits.body_s):
                return await _received(request, most)
        except TimeoutError:
            raise RefusedError(408, "too_slow", f"a body must come within {self.limits.body_s:g} s") from None

    def refuse(self, error: RefusedError) -> Response:
        """The answer to a request that was not admitted; it is counted."""
        self._metrics.refused.labels(error.reason).inc()
        return error.answer()


def _too_large(most: int) -> RefusedError:
    return RefusedError(413, TOO_LARGE, f"a body has at most {most:,} bytes")


async def _received(request: Request, most: int) -> bytes:
    parts, size, more = [], 0, True
    while more:
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        part = message.get("body", b"")
        size += len(part)
        if size > most:
            raise _too_large(most)
        parts.append(part)
        more = message.get("more_body", False)
    return b"".join(parts)


def _given(request: Request, own_header: bool) -> str:
    if own := request.headers.get(TOKEN_HEADER):
        return own
    if own_header:
        return ""
    if key := request.headers.get("x-api-key"):
        return key
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else ""
