"""Exchanges over HTTP: batches of any log format, and OTLP. An answer of 200 says that they are on disk."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from stillwatch.bodies import AUTO, check_format
from stillwatch.live.admission import Admission, RefusedError
from stillwatch.live.intake import IntakeError, Taken, inflated, nothing_taken
from stillwatch.live.journal import FullError
from stillwatch.live.tokens import May
from stillwatch.rejects import UnknownFormatError

if TYPE_CHECKING:
    from stillwatch.live.intake import Intake
    from stillwatch.live.metrics import Metrics

WAITING = 64
"""Bodies that may wait to be read; beyond it a sender is told to come again."""
OTLP = "otlp"
PROTOBUF = "application/x-protobuf"
REJECTED_ITEMS = {"traces": "rejectedSpans", "logs": "rejectedLogRecords"}


class Ingest:
    """The endpoints, over one :class:`Intake`."""

    def __init__(self, intake: Intake, admission: Admission, metrics: Metrics) -> None:
        self._intake, self._admission, self._metrics = intake, admission, metrics
        self._at_once = anyio.CapacityLimiter(max(1, os.cpu_count() or 1))

    def routes(self) -> list[Route]:
        """The endpoints."""
        return [
            Route("/v1/ingest", self._guarded(self.batch), methods=["POST"]),
            Route("/v1/traces", self._guarded(self.otlp), methods=["POST"]),
            Route("/v1/logs", self._guarded(self.otlp), methods=["POST"]),
        ]

    def _guarded(
        self, handler: Callable[[Request, str], Awaitable[Response]]
    ) -> Callable[[Request], Awaitable[Response]]:
        async def guarded(request: Request) -> Response:
            try:
                return await handler(request, self._admission.admit(request, May.INGEST))
            except RefusedError as error:
                return self._admission.refuse(error)
            except ClientDisconnect:
                return Response(status_code=499)

        return guarded

    async def batch(self, request: Request, sender: str) -> Response:
        """A batch of records of any format, by ``?format=`` or told by itself."""
        try:
            form = check_format(request.query_params.get("format", AUTO))
        except UnknownFormatError as error:
            raise RefusedError(400, "malformed", str(error)) from None
        taken = await self._take(request, sender, form)
        told: dict[str, object] = {
            "accepted": taken.accepted,
            "rejected": len(taken.rejected),
            "skipped": taken.skipped,
        }
        if taken.rejected:
            row, reason = taken.rejected[0]
            told["first_rejected"] = f"record {row}: {reason}"
        return JSONResponse(told, 400 if _nothing_good(taken) else 200)

    async def otlp(self, request: Request, sender: str) -> Response:
        """OTLP over HTTP, as protobuf or JSON, answered in kind."""
        taken = await self._take(request, sender, OTLP)
        status = 400 if _nothing_good(taken) else 200
        count = len(taken.rejected)
        text = f"record {taken.rejected[0][0]}: {taken.rejected[0][1]}" if count else ""
        if request.headers.get("content-type", "").split(";")[0].strip() == PROTOBUF:
            return Response(_partial_success(count, text), status, media_type=PROTOBUF)
        name = REJECTED_ITEMS[request.url.path.rsplit("/", 1)[1]]
        told = {"partialSuccess": {name: str(count), "errorMessage": text}} if count else {}
        return Response(json.dumps(told), status, media_type="application/json")

    async def _take(self, request: Request, sender: str, form: str) -> Taken:
        if self._at_once.statistics().tasks_waiting >= WAITING:
            raise RefusedError(429, "busy", "too many bodies wait to be read; come again", 1)
        body = await self._admission.body(request, self._admission.limits.ingest_bytes)
        encoding = request.headers.get("content-encoding", "").strip().lower()
        try:
            taken = await to_thread.run_sync(self._read, body, encoding, sender, form, limiter=self._at_once)
            await asyncio.wrap_future(taken.done)
        except IntakeError as error:
            raise RefusedError(400, "malformed", str(error)) from None
        except FullError as error:
            raise RefusedError(503, "full", f"{error}; come again", error.retry_after_s) from None
        self._metrics.exchanges.labels("http").inc(taken.accepted)
        self._metrics.rejected.labels("http").inc(len(taken.rejected))
        self._metrics.skipped.labels("http").inc(taken.skipped)
        return taken

    def _read(self, body: bytes, encoding: str, sender: str, form: str) -> Taken:
        plain = inflated(body, encoding)
        if not plain and form == OTLP:
            return nothing_taken()  # in protobuf, a request of nothing
        return self._intake.take(plain, f"http:{sender}", form)


def _nothing_good(taken: Taken) -> bool:
    return bool(taken.rejected) and not taken.accepted and not taken.skipped


def _partial_success(rejected: int, text: str) -> bytes:
    """``ExportTraceServiceResponse``, or that of logs, which is alike: field 1 holds the count and the reason."""
    if not rejected:
        return b""
    said = text.encode()
    inner = b"\x08" + _varint(rejected) + b"\x12" + _varint(len(said)) + said
    return b"\x0a" + _varint(len(inner)) + inner


def _varint(number: int) -> bytes:
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
