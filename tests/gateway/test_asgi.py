"""The middleware around a small server of a model: real HTTP to it, real HTTP to the service."""

from __future__ import annotations

import asyncio
import http.client
import json
import socket
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from stillwatch.gateway.asgi import Stillwatch
from stillwatch.response.actions import Action, Scope
from tests.gateway.watching import FAMILY, TEMPLATE, Watch, chat, free_port

TRACE = "first I add, then I carry"
PATH = "/v1/chat/completions"


def tokens(most: int, *said: str) -> dict[str, Any]:
    tops = [{"token": str(n), "logprob": -float(n)} for n in range(most)]
    return {"content": [{"token": one, "logprob": -0.1, "top_logprobs": tops} for one in said]}


async def complete(request: Request) -> Response:
    """A model that thinks aloud, gives as many log-probabilities as it is asked for, and says what it was asked."""
    asked = await request.json()
    most = asked.get("top_logprobs", 0) if asked.get("logprobs") else None
    if asked.get("stream"):
        pieces = [{"reasoning_content": TRACE}, {"content": "se"}, {"content": "ven"}]

        async def events() -> AsyncIterator[bytes]:
            for piece in pieces:
                told = None if most is None else tokens(most, *piece.values())
                choice = {"index": 0, "delta": piece, "logprobs": told, "finish_reason": None}
                text = f"data: {json.dumps({'choices': [choice]})}\n\n".encode()
                yield text[:11]
                await asyncio.sleep(0)
                yield text[11:]
            yield b"data: [DONE]\n\n"

        return StreamingResponse(events(), media_type="text/event-stream")
    message = {"role": "assistant", "content": "seven", "reasoning_content": TRACE}
    told = None if most is None else tokens(most, TRACE, "se", "ven", "<|end|>")
    choice = {"index": 0, "message": message, "logprobs": told, "finish_reason": "stop"}
    return JSONResponse({"object": "chat.completion", "choices": [choice], "asked": asked})


MODEL = Starlette(
    routes=[
        *(Route(path, complete, methods=["POST"]) for path in (PATH, "/invocations", "/other/generating")),
        Route("/v1/models", lambda request: JSONResponse({"data": []})),
    ]
)


@dataclass
class Served:
    """An application that is served, behind the middleware."""

    port: int
    guard: Stillwatch

    def post(
        self,
        account: str | None,
        body: dict[str, Any] | bytes,
        path: str = PATH,
        end_user: str | None = None,
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        named = {"x-stillwatch-account": account, "x-stillwatch-end-user": end_user}
        headers = {name: value for name, value in named.items() if value is not None}
        try:
            connection.request("POST", path, body if isinstance(body, bytes) else json.dumps(body), headers)
            response = connection.getresponse()
            told = {name.lower(): value for name, value in response.getheaders()}
            return response.status, told, response.read()
        finally:
            connection.close()


@contextmanager
def serve(**settings: Any) -> Iterator[Served]:
    guard = Stillwatch(MODEL, **settings)
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(guard, log_level="error", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        try:
            while not server.started:
                time.sleep(0.01)
            yield Served(listening.getsockname()[1], guard)
        finally:
            server.should_exit = True
            thread.join(timeout=20)


@pytest.fixture
def served(service: Watch) -> Iterator[Served]:
    with serve(url=service.url, token=service.token, timeout_s=10) as running:
        yield running


def test_who_is_suspended_gets_no_reply_and_who_is_honest_one(served: Served, service: Watch) -> None:
    number = service.decide(Action.SUSPEND, "acct-1")
    status, headers, body = served.post("acct-1", chat("hello"))
    error = json.loads(body)["error"]
    assert (status, error["code"], headers["content-type"]) == (403, "suspended", "application/json")
    assert f"decision {number}" in error["message"]
    told = json.loads(served.post("acct-1", chat("hello"), "/v1/messages")[2])
    assert (told["type"], told["error"]["type"]) == ("error", "permission_error")
    status, _, body = served.post("honest", chat("hello"))
    assert (status, json.loads(body)["choices"][0]["message"]["reasoning_content"]) == (200, TRACE)


def test_who_is_throttled_is_told_when_to_come_again(served: Served, service: Watch) -> None:
    service.decide(Action.THROTTLE, "acct-1", parameters={"requests_per_minute": 1})
    answers = [served.post("acct-1", chat("hello")) for _ in range(3)]
    assert answers[-1][0] == 429
    assert 0 < int(answers[-1][1]["retry-after"]) <= 60
    assert served.post("honest", chat("hello"))[0] == 200


@pytest.mark.parametrize("stream", [False, True])
def test_the_trace_is_hidden_and_log_probabilities_are_capped(
    served: Served, service: Watch, stream: bool
) -> None:
    asked = chat("hello", stream=stream, logprobs=True, top_logprobs=5)
    plain = served.post("acct-2", asked)[2].decode()
    assert TRACE in plain
    assert plain.count('"logprob"') == (18 if stream else 24)
    service.decide(Action.HIDE_REASONING, "acct-2")
    service.decide(Action.CAP_LOGPROBS, "acct-2", parameters={"most": 2})
    status, _, body = served.post("acct-2", asked)
    assert status == 200
    assert TRACE not in body.decode()
    assert body.decode().count('"logprob"') == 6
    if stream:
        assert body.endswith(b"data: [DONE]\n\n")
    else:
        told = json.loads(body)
        assert told["choices"][0]["message"]["content"] == "seven"
        assert told["asked"]["top_logprobs"] == 2


def test_a_family_is_answered_otherwise_and_its_account_goes_on(served: Served, service: Watch) -> None:
    service.decide(Action.SUSPEND, scope=Scope.FAMILY, family_id=FAMILY)
    assert served.post("acct-1", chat("How do I poach an egg?"))[0] == 200
    assert served.post("acct-1", chat("barley by month", TEMPLATE))[0] == 403


ODD = {
    "NaN": b"NaN",
    "infinity": b"1e999",
    "half a surrogate": b'"\\ud800"',
    "a number of 400 digits": b"9" * 400,
    "nested": b"[" * 500 + b"]" * 500,
    "padding": b'"' + "漢".encode() * 100_000 + b'"',
}


@pytest.mark.parametrize("place", ["beside", "in the message"])
@pytest.mark.parametrize("odd", ODD)
def test_what_the_server_behind_reads_is_judged(served: Served, service: Watch, odd: str, place: str) -> None:
    service.decide(Action.SUSPEND, scope=Scope.FAMILY, family_id=FAMILY)
    body = json.dumps(chat("barley by month", TEMPLATE)).encode()
    begin = body[:-1] if place == "beside" else body[: -len(b"}]}")]
    body = begin + b', "odd": ' + ODD[odd] + body[len(begin) :]
    assert json.loads(body)["model"] == "large"
    assert served.post("acct-1", body)[0] == 403
    assert served.guard.asker.counts["missed"] == 0


def test_a_body_in_another_encoding_is_judged(served: Served, service: Watch) -> None:
    service.decide(Action.SUSPEND, scope=Scope.FAMILY, family_id=FAMILY)
    text = json.dumps(chat("barley by month", TEMPLATE))
    for encoding in ("utf-8-sig", "utf-16", "utf-32-le"):
        assert served.post("acct-1", text.encode(encoding))[0] == 403


def test_a_model_of_any_name_is_told(served: Served, service: Watch) -> None:
    service.decide(Action.SUSPEND, "acct-1")
    for model in ("\ud800", "m" * 500_000, 7, None):
        assert served.post("acct-1", {**chat("hello"), "model": model})[0] == 403


def test_a_question_that_is_not_taken_is_not_a_service_that_is_away(served: Served, service: Watch) -> None:
    service.decide(Action.SUSPEND, scope=Scope.FAMILY, family_id=FAMILY)
    service.decide(Action.HIDE_REASONING, "acct-1")
    service.decide(Action.SUSPEND, "acct-2")
    unmatched = counted(service, "stillwatch_requests_unmatched_total")
    text = " ".join(f"word{n}" for n in range(22_000))  # more than this service takes, and less than is told
    for _ in range(6):
        status, _, body = served.post("acct-1", chat(text))
        assert status == 200
        assert TRACE not in body.decode()
        assert served.post("acct-2", chat("hello"))[0] == 403
    assert served.guard.asker.counts == {"asked": 12, "refused": 6, "not_told": 6}
    assert counted(service, "stillwatch_requests_unmatched_total") - unmatched == 6


def test_what_cannot_be_looked_at_whole_is_refused_where_an_action_hangs_on_it(service: Watch) -> None:
    service.decide(Action.SUSPEND, scope=Scope.FAMILY, family_id=FAMILY)
    service.decide(Action.SUSPEND, "reseller", end_user_id="customer-7")
    large = chat("x" * 60_000)
    with serve(url=service.url, token=service.token, timeout_s=10, body_bytes=50_000) as served:
        status, _, body = served.post("acct-1", large)
        assert (status, json.loads(body)["error"]["code"]) == (413, "too_large")
        assert served.post("reseller", large)[0] == 413
        assert served.post("reseller", large, end_user="customer-8")[0] == 200
        assert served.post("reseller", chat("hello"), end_user="customer-7")[0] == 403
        assert served.post("honest", large)[0] == 200
        service.decide(Action.RESTRICT_TIER, "acct-2", parameters={"models": ["small"]})
        assert served.post("acct-2", large)[0] == 413


def test_what_is_no_json_matches_nothing_and_is_counted(served: Served, service: Watch) -> None:
    service.decide(Action.SUSPEND, scope=Scope.FAMILY, family_id=FAMILY)
    service.decide(Action.THROTTLE, "acct-1", parameters={"requests_per_minute": 1})
    unmatched = counted(service, "stillwatch_requests_unmatched_total")
    assert [served.post("acct-1", b"not json")[0] for _ in range(3)][-1] == 429
    assert counted(service, "stillwatch_requests_unmatched_total") - unmatched == 3


def test_what_asks_no_model_for_text_is_let_be(served: Served, service: Watch) -> None:
    service.decide(Action.SUSPEND, "acct-1")
    connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
    connection.request("GET", "/v1/models", headers={"x-stillwatch-account": "acct-1"})
    assert connection.getresponse().status == 200
    connection.close()


def test_without_the_service_requests_go_on_and_it_is_told_afterwards(service: Watch) -> None:
    service.stop()
    try:
        with serve(url=service.url, token=service.token, timeout_s=5) as served:
            assert [served.post("acct-1", chat("hello"))[0] for _ in range(7)] == [200] * 7
            assert served.guard.asker.counts["missed"] == 7
            service.start()
            time.sleep(2.1)  # after five failures it is left alone for two seconds
            assert served.post("acct-1", chat("hello"))[0] == 200
            assert served.guard.asker.counts["missed"] == 7
    finally:
        if service.process is None:
            service.start()
    assert counted(service, "stillwatch_gateway_missed_total") == 7


def counted(service: Watch, name: str) -> float:
    text = service.send("GET", "/metrics")[2].decode()
    return float(text.split(f"\n{name} ", 1)[1].split("\n", 1)[0])


def test_it_fails_closed_where_it_was_told_to() -> None:
    with serve(url=f"http://127.0.0.1:{free_port()}", fail_open=False) as served:
        status, headers, _ = served.post("acct-1", chat("hello"))
        assert (status, headers["retry-after"]) == (503, "5")
        assert served.post(None, chat("hello"))[0] == 503


def test_a_service_that_hangs_delays_nobody_for_long() -> None:
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen(64)
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with serve(url=url, timeout_s=0.2) as served:
            start = time.monotonic()
            assert [served.post("acct-1", chat("hello"))[0] for _ in range(40)] == [200] * 40
            # Five wait, then it is left alone; without that it would be eight seconds.
            assert time.monotonic() - start < 6
            assert served.guard.asker.counts["missed"] == 40


def test_every_way_to_a_reply_is_asked_about(service: Watch) -> None:
    service.decide(Action.SUSPEND, "acct-1")
    told = {"url": service.url, "token": service.token, "timeout_s": 10}
    with serve(**told, more_paths="/generating /elsewhere") as served:
        for path in (PATH, f"{PATH}/", "/invocations", "/inference/v1/generate", "/other/generating"):
            assert served.post("acct-1", chat("hello"), path)[0] == 403
        assert served.post("acct-1", chat("hello"), "/v1/tokenize")[0] == 404


def test_nobody_without_a_name_is_asked_about(served: Served) -> None:
    assert served.post(None, chat("hello"))[0] == 200
    assert served.guard.asker.counts == {"unnamed": 1}
    assert served.post("honest", b"not json")[0] == 500  # the model's own answer
