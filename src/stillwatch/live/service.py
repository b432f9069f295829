"""The endpoints that gateways ask.

``POST /v1/decision`` is the interface of our own plug-ins; LiteLLM and Envoy ask by interfaces of theirs. Every endpoint but
the two of health takes a token. Nothing of a request is written down.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

import msgspec
from anyio import to_thread
from prometheus_client import generate_latest
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Route

from stillwatch.gateway.questions import BrokenError, UnreadableError, plain, read
from stillwatch.live.admission import TOO_LARGE, Admission, RefusedError
from stillwatch.live.asking import AT_ONCE_BYTES, EDITS, Asking, Question
from stillwatch.live.deciding import NOTHING, Decision
from stillwatch.live.following import Following
from stillwatch.live.interface import GUARDRAIL_PATH, PATH, Guarded, document
from stillwatch.live.metrics import Metrics
from stillwatch.live.tokens import May
from stillwatch.response.actions import Action

LOG = logging.getLogger("stillwatch.live")
GOES_ON = msgspec.json.encode(NOTHING.as_json())
"""The answer to nearly every question."""
PARTIAL_BODY = "x-envoy-auth-partial-body"
"""Header by which Envoy says that it sent the begin of a body alone; it is silent where it stopped at its very limit."""
ANY_METHOD = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

Told = TypeVar("Told")
Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Headers:
    """Headers by which Envoy says who asks; it must set them itself, whatever the customer sent."""

    account: str = "x-stillwatch-account"
    end_user: str = "x-stillwatch-end-user"


class Service:
    """The endpoints, over one :class:`Asking`."""

    def __init__(
        self, following: Following, asking: Asking, admission: Admission, metrics: Metrics,
        headers: Headers = Headers(),
    ) -> None:  # fmt: skip
        self._following, self._asking, self._admission = following, asking, admission
        self._metrics, self._headers = metrics, headers

    def routes(self) -> list[Route]:
        """The endpoints; whoever serves them runs :meth:`Following.follow` beside."""
        return [
            Route("/v1/decision", self._guarded(self.decision, May.DECIDE), methods=["POST"]),
            Route(GUARDRAIL_PATH, self._guarded(self.guardrail, May.DECIDE), methods=["POST"]),
            Route("/v1/envoy{path:path}", self.envoy, methods=ANY_METHOD),
            Route(PATH, self._guarded(self.interface, May.DECIDE)),
            Route("/metrics", self._guarded(self.metrics, May.METRICS)),
            Route("/health/live", self.live),
            Route("/health/ready", self.ready),
        ]

    def _guarded(self, handler: Handler, may: May) -> Handler:
        async def guarded(request: Request) -> Response:
            try:
                self._admission.admit(request, may)
                return await handler(request)
            except RefusedError as error:
                return self._admission.refuse(error)
            except ClientDisconnect:
                return Response(status_code=499)

        return guarded

    async def decision(self, request: Request) -> Response:
        """Answer a plug-in."""
        body = await self._admission.body(request)
        start = time.perf_counter()
        question = await _decoded(body, Question)
        decision = await self._answer(question, "decision", size=len(body))
        told = GOES_ON if decision is NOTHING else msgspec.json.encode(decision.as_json())
        answer = Response(told, media_type="application/json")
        self._metrics.seconds.observe(time.perf_counter() - start)
        return answer

    async def guardrail(self, request: Request) -> Response:
        """Answer LiteLLM's generic guardrail, which can block and nothing else."""
        sent = await self._admission.body(request)
        told = await _decoded(sent, Guarded)
        if told.input_type != "request":
            return JSONResponse({"action": "NONE"})
        who = told.request_data
        account = who.user_api_key_hash or who.user_api_key_user_id or who.user_api_key_team_id
        if not account:
            self._metrics.decisions.labels("guardrail", "no_account").inc()
            return JSONResponse({"action": "NONE"})
        question = Question(
            account_id=account, end_user_id=_word(who.user_api_key_end_user_id), model=_word(told.model),
            request={"messages": told.structured_messages or None, "tools": told.tools}
            # Of interfaces that have no messages LiteLLM tells the texts alone; of others they hold earlier turns too.
            | ({} if told.structured_messages else {"prompt": told.texts}),
        )  # fmt: skip
        decision = await self._answer(question, "guardrail", EDITS, size=len(sent), once=True)
        if decision.allowed:
            return JSONResponse({"action": "NONE"})
        wait = "" if decision.retry_after_s is None else f"; try again in {decision.retry_after_s} s"
        return JSONResponse({"action": "BLOCKED", "blocked_reason": decision.message + wait})

    async def envoy(self, request: Request) -> Response:
        """Answer Envoy's ext_authz over HTTP. Whatever goes wrong is a 503, on which Envoy's own setting decides."""
        try:
            self._admission.admit(request, May.DECIDE, own_header=True)
            body, partial = await self._body(request)
        except RefusedError as error:
            self._admission.refuse(error)
            return Response(status_code=503)
        except ClientDisconnect:
            return Response(status_code=499)
        account = request.headers.get(self._headers.account)
        if not account:
            self._metrics.decisions.labels("envoy", "no_account").inc()
            return Response()
        asked = None
        if self._asking.concerns(account) and not partial:
            asked, partial = await _request(body)
        question = Question(
            # Envoy knows of no end user but whom a header names.
            account_id=account, end_user_id=request.headers.get(self._headers.end_user, ""),
            model=_word(asked.get("model")) if asked else None, request=asked, partial=partial,
        )  # fmt: skip
        return _to_envoy(await self._answer(question, "envoy", EDITS, size=len(body), once=True))

    async def _body(self, request: Request) -> tuple[bytes, bool]:
        """What Envoy sent of a body, and whether there is more of it than can be looked at."""
        try:
            return await self._admission.body(request), request.headers.get(PARTIAL_BODY) == "true"
        except RefusedError as error:
            if error.reason != TOO_LARGE:
                raise
            return b"", True

    async def metrics(self, _: Request) -> Response:
        """The counters, as Prometheus reads them."""
        return PlainTextResponse(generate_latest(self._metrics.registry))

    async def interface(self, _: Request) -> Response:
        """What this service answers, as OpenAPI."""
        return JSONResponse(document())

    async def live(self, _: Request) -> Response:
        """Whether the process answers."""
        return PlainTextResponse("ok")

    async def ready(self, _: Request) -> Response:
        """Whether the actions were read, so that an answer means something."""
        ready = self._following.ready
        return PlainTextResponse("ok" if ready else "the store was not read yet", 200 if ready else 503)

    async def _answer(
        self,
        question: Question,
        interface: str,
        unable: frozenset[Action] = frozenset(),
        *,
        size: int,
        once: bool = False,
    ) -> Decision:
        try:
            return await self._asking.answer(question, interface, unable, size=size, once=once)
        except ValueError as error:
            raise RefusedError(400, "malformed", str(error)) from None


async def _decoded(body: bytes, kind: type[Told]) -> Told:
    try:
        return msgspec.json.decode(body, type=kind)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        return msgspec.convert(await _leniently(body), kind)
    except msgspec.ValidationError as error:
        # The text names a field and what it may be, and nothing of what was given.
        raise RefusedError(400, "malformed", str(error)) from None
    except (UnreadableError, BrokenError):
        raise RefusedError(400, "malformed", "the body is no JSON object") from None


async def _request(body: bytes) -> tuple[dict[str, Any] | None, bool]:
    """The request of a customer, None where it is none; and whether the server behind may read more of it."""
    try:
        return msgspec.json.decode(body, type=dict[str, Any]), False
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        told = await _leniently(body)
    except UnreadableError:
        return None, False
    except BrokenError:
        return None, True
    return told if isinstance(told, dict) else None, False


async def _leniently(body: bytes) -> Any:
    """What servers of models read and a strict reader does not."""
    if len(body) <= AT_ONCE_BYTES:
        return plain(read(body))
    return await to_thread.run_sync(lambda: plain(read(body)))


def _word(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _to_envoy(decision: Decision) -> Response:
    headers: dict[str, str] = {}
    if decision.actions:
        headers["x-stillwatch-actions"] = ",".join(dict.fromkeys(str(one.action) for one in decision.actions))
    if decision.trace is not None:
        headers["x-stillwatch-trace"] = decision.trace
    if decision.logprobs is not None:
        headers["x-stillwatch-logprobs"] = str(decision.logprobs)
    if decision.allowed:
        return Response(headers=headers)
    if decision.retry_after_s is not None:
        headers["retry-after"] = str(decision.retry_after_s)
    return JSONResponse(error_body(decision.code, decision.message), decision.status, headers)


def error_body(code: str, message: str) -> Mapping[str, Any]:
    """An error in the shape that OpenAI's clients read."""
    return {"error": {"message": message, "type": code, "param": None, "code": code}}
