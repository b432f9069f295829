"""The service as gateways meet it: a real process, a real store, real HTTP."""

from __future__ import annotations

import json
import socket
import time
from contextlib import suppress

import pytest
from typer.testing import CliRunner

from stillwatch.cli import app
from stillwatch.live.tokens import May, add, remove
from stillwatch.response.actions import Action, Scope
from tests.gateway.watching import FAMILY, TEMPLATE, Watch, chat

SECRET = "the-words-of-a-customer"


def test_a_throttled_account_waits_and_an_honest_one_goes_on(service: Watch) -> None:
    number = service.decide(Action.THROTTLE, "acct-1", parameters={"requests_per_minute": 2})
    # The decision was waited for by asking, which counted one or two.
    answers = [service.ask(account_id="acct-1", model="large") for _ in range(4)]
    last = answers[-1]
    assert (last["allow"], last["status"], last["code"]) == (False, 429, "throttled")
    assert 0 < last["retry_after_s"] <= 60
    assert f"decision {number}" in last["message"]
    assert all(service.ask(account_id="honest")["allow"] for _ in range(5))
    assert service.ask(account_id="acct-2")["actions"] == []


def test_what_is_taken_back_holds_no_longer(service: Watch) -> None:
    number = service.decide(Action.SUSPEND, "acct-1")
    assert service.ask(account_id="acct-1")["status"] == 403
    service.undo(number)
    assert service.ask(account_id="acct-1")["allow"]


def test_an_end_user_is_hit_and_the_account_around_it_is_not(service: Watch) -> None:
    service.decide(Action.SUSPEND, "reseller", end_user_id="customer-7")
    assert service.ask(account_id="reseller", end_user_id="customer-7")["status"] == 403
    assert service.ask(account_id="reseller", end_user_id="customer-8")["allow"]
    assert service.ask(account_id="reseller")["allow"]


def test_a_family_hits_its_requests_alone(service: Watch) -> None:
    service.decide(Action.SUSPEND, scope=Scope.FAMILY, family_id=FAMILY)
    first = service.ask(account_id="acct-1", model="large")
    assert (first["allow"], first["wants_request"]) == (True, True)
    ordinary = service.ask(account_id="acct-1", request=chat("How do I poach an egg?"))
    assert (ordinary["allow"], ordinary["wants_request"]) == (True, False)
    seeds = ("barley by month", "the price of copper in three ports")
    matching = [service.ask(account_id="acct-1", request=chat(seed, TEMPLATE)) for seed in seeds]
    assert [one["status"] for one in matching] == [403, 403]
    assert service.ask(account_id="honest", request=chat("barley", TEMPLATE))["allow"]
    unreadable = service.ask(account_id="acct-1", request={"model": "large"})
    assert (unreadable["allow"], unreadable["wants_request"]) == (True, False)


def test_replies_are_changed_and_models_restricted_as_decided(service: Watch) -> None:
    service.decide(Action.HIDE_REASONING, "acct-2")
    service.decide(Action.CAP_LOGPROBS, "acct-2", parameters={"most": 3})
    told = service.ask(account_id="acct-2", model="large")
    assert (told["allow"], told["trace"], told["logprobs"]) == (True, "strip", 3)
    service.decide(Action.RESTRICT_TIER, "acct-3", parameters={"models": ["small"]})
    assert service.ask(account_id="acct-3", model="small")["allow"]
    assert service.ask(account_id="acct-3", model="large")["code"] == "model_not_available"
    assert service.ask(account_id="acct-3")["allow"]  # nobody said which model: counted, and not refused
    assert 'stillwatch_actions_unenforced_total{action="restrict_tier"} 1.0' in metrics(service)


def metrics(service: Watch) -> str:
    return service.send("GET", "/metrics")[2].decode()


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", "/v1/decision"), ("POST", "/beta/litellm_basic_guardrail_api"), ("GET", "/metrics")],
)
def test_no_endpoint_answers_without_a_token(service: Watch, method: str, path: str) -> None:
    body = json.dumps({"account_id": "acct-1", "input_type": "request", "request_data": {}}).encode()
    for headers in ({}, {"authorization": "Bearer wrong"}, {"x-api-key": service.token[:-1]}):
        status, told, _ = service.send(method, path, body, headers)
        assert (status, told["www-authenticate"]) == (401, "Bearer")
    for headers in ({"x-api-key": service.token}, {"x-stillwatch-token": service.token}):
        assert service.send(method, path, body, headers)[0] == 200


def test_a_token_is_good_for_what_it_was_made_for_until_it_is_taken_back(service: Watch) -> None:
    file = service.folder / "tokens.json"
    reader = add(file, "prometheus", [May.METRICS])
    headers = {"authorization": f"Bearer {reader}"}
    assert eventually(lambda: service.send("GET", "/metrics", headers=headers)[0] == 200)
    assert service.send("POST", "/v1/decision", b'{"account_id": "a"}', headers)[0] == 401
    assert reader not in file.read_text()
    remove(file, "prometheus")
    assert eventually(lambda: service.send("GET", "/metrics", headers=headers)[0] == 401)


def eventually(true: object, within_s: float = 10.0) -> bool:
    assert callable(true)
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if true():
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"", 400),
        (b"[]", 400),
        (b'{"account_id": 7}', 400),
        (b'{"account_id": "a", "fingerprint": ["' + SECRET.encode() + b'"]}', 400),
        (b'{"account_id": "a", "end_user_id": {"' + SECRET.encode() + b'": 1}}', 400),
        (b'{"account_id": "a", "request": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}", 400),
        (b'{"account_id": "a", "request": {"messages": "' + SECRET.encode() * 20_000 + b'"}}', 413),
    ],
)
def test_a_wrong_question_is_refused_and_nothing_of_it_is_repeated(
    service: Watch, body: bytes, status: int
) -> None:
    found, _, answer = service.send("POST", "/v1/decision", body)
    assert found == status
    assert SECRET not in answer.decode()
    assert SECRET not in service.errors.read_text()


def test_a_body_that_never_ends_costs_one_connection_for_a_while(service: Watch) -> None:
    with socket.create_connection(("127.0.0.1", service.port)) as slow:
        slow.sendall(
            f"POST /v1/decision HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\nAuthorization: Bearer {service.token}"
            "\r\n\r\n{".encode()
        )
        assert service.ask(account_id="honest")["allow"]
        slow.settimeout(20)
        assert b" 408 " in slow.recv(1000)


def test_a_head_beyond_its_limit_is_refused_and_the_next_connection_is_served(service: Watch) -> None:
    found = b"closed while it came"
    with socket.create_connection(("127.0.0.1", service.port), timeout=20) as flood, suppress(OSError):
        flood.sendall(b"POST /v1/decision HTTP/1.1\r\nHost: x\r\n")
        for number in range(2000):
            flood.sendall(f"x-{number}: {SECRET * 40}\r\n".encode())
        found = flood.recv(1000)
    assert found == b"closed while it came" or b" 400 " in found.partition(b"\r\n")[0]
    assert service.ask(account_id="honest")["allow"]
    assert SECRET not in service.errors.read_text()


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/v1/decision", 405),
        ("POST", "/v1/decision/", 404),
        ("POST", "/v1/nothing", 404),
        ("PUT", "/metrics", 405),
    ],
)
def test_what_is_asked_otherwise_is_answered_by_the_framework(
    service: Watch, method: str, path: str, status: int
) -> None:
    found, told, _ = service.send(method, path, b"{}")
    assert found == status
    assert "location" not in told


def test_litellm_s_generic_guardrail_is_answered(service: Watch) -> None:
    service.decide(Action.SUSPEND, scope=Scope.FAMILY, family_id=FAMILY)
    question = {
        "input_type": "request",
        "request_data": {"user_api_key_hash": "acct-1", "user_api_key_end_user_id": None},
        "texts": ["barley"],
        "structured_messages": chat("barley", TEMPLATE)["messages"],
        "tools": None,
        "model": "large",
        "litellm_call_id": "1",
    }

    def guard(**more: object) -> dict[str, str]:
        body = json.dumps({**question, **more}).encode()
        status, _, answer = service.send("POST", "/beta/litellm_basic_guardrail_api", body)
        assert status == 200
        told: dict[str, str] = json.loads(answer)
        return told

    assert guard()["action"] == "BLOCKED"
    assert "gets no reply" in guard()["blocked_reason"]
    assert guard(structured_messages=chat("How do I poach an egg?")["messages"])["action"] == "NONE"
    assert guard(structured_messages=None)["action"] == "NONE"
    # Of interfaces without messages LiteLLM tells the texts alone; of the others they hold earlier turns too.
    assert guard(structured_messages=None, texts=[f"{TEMPLATE} barley"])["action"] == "BLOCKED"
    ordinary = chat("How do I poach an egg?")["messages"]
    assert guard(structured_messages=ordinary, texts=[TEMPLATE])["action"] == "NONE"
    assert guard(tools={"x": 1}, model=["m"])["action"] == "BLOCKED"
    assert guard(input_type="response")["action"] == "NONE"
    assert guard(request_data={"user_api_key_hash": "honest"})["action"] == "NONE"
    assert guard(request_data={})["action"] == "NONE"


def test_envoy_is_answered_and_whatever_is_wrong_is_left_to_its_own_setting(service: Watch) -> None:
    service.decide(Action.SUSPEND, "acct-1")
    service.decide(Action.HIDE_REASONING, "acct-2")
    own = {"x-stillwatch-token": service.token, "authorization": "Bearer of-the-customer"}

    def check(account: str | None, **more: str) -> tuple[int, dict[str, str], bytes]:
        named = {} if account is None else {"x-stillwatch-account": account}
        path = "/v1/envoy/v1/chat/completions?stream=true"
        return service.send("POST", path, json.dumps(chat("hello")).encode(), {**own, **named, **more})

    status, _, body = check("acct-1")
    assert (status, json.loads(body)["error"]["code"]) == (403, "suspended")
    status, headers, _ = check("acct-2")
    assert (status, headers["x-stillwatch-trace"]) == (200, "strip")
    assert headers["x-stillwatch-actions"] == "hide_reasoning"
    name = 'stillwatch_actions_unenforced_total{action="hide_reasoning"}'
    before = value(metrics(service), name)
    assert check("acct-2")[0] == 200
    assert value(metrics(service), name) - before == 1
    assert check("honest")[0] == 200
    assert check(None)[0] == 200
    assert check("acct-1", **{"x-stillwatch-token": "wrong"})[0] == 503


def envoy(service: Watch, account: str, body: bytes, **more: str) -> int:
    headers = {"x-stillwatch-token": service.token, "x-stillwatch-account": account, **more}
    return service.send("POST", "/v1/envoy/v1/chat/completions", body, headers)[0]


@pytest.mark.parametrize("odd", [b"NaN", b"1e999", b'"\\ud800"', b'"\xff"', b"9" * 5000])
def test_envoy_is_answered_by_what_the_server_behind_reads(service: Watch, odd: bytes) -> None:
    service.decide(Action.SUSPEND, scope=Scope.FAMILY, family_id=FAMILY)
    body = json.dumps(chat("barley by month", TEMPLATE)).encode()[:-1] + b', "x": ' + odd + b"}"
    assert envoy(service, "acct-1", body) == 403
    assert envoy(service, "acct-2", body + b" " * 50_000 + b"{") == 403
    assert envoy(service, "honest", body) == 200
    question = b'{"account_id": "acct-1", "request": ' + body + b"}"
    assert json.loads(service.send("POST", "/v1/decision", question)[2])["status"] == 403


def test_of_a_body_that_envoy_cut_off_nothing_is_taken_for_granted(service: Watch) -> None:
    service.decide(Action.SUSPEND, scope=Scope.FAMILY, family_id=FAMILY)
    text = json.dumps(chat("barley by month", TEMPLATE))
    for encoding in ("utf-8-sig", "utf-16"):
        assert envoy(service, "acct-1", text.encode(encoding)) == 403
    begin = text.encode()[:100]
    partial = {"x-envoy-auth-partial-body": "true"}
    assert envoy(service, "acct-1", begin, **partial) == 413
    assert envoy(service, "honest", begin, **partial) == 200
    assert envoy(service, "acct-1", b" " * 300_000) == 413  # more than this service takes
    assert envoy(service, "honest", b" " * 300_000) == 200
    service.decide(Action.RESTRICT_TIER, "acct-2", parameters={"models": ["small"]})
    assert envoy(service, "acct-2", begin, **partial) == 413
    assert envoy(service, "acct-1", b"{" + b'"a":{' * 20_000) == 413
    # Envoy does not say so where it stopped at its very limit.
    for cut_off in (begin, b" " * 100, text.encode("utf-16")[:101]):
        assert envoy(service, "acct-1", cut_off) == 413
    # What no server reads matches nothing; it goes on, and is counted.
    before = value(metrics(service), "stillwatch_requests_unmatched_total")
    assert envoy(service, "acct-1", b"not json") == 200
    assert value(metrics(service), "stillwatch_requests_unmatched_total") - before == 1


def test_it_counts_what_it_answers(service: Watch) -> None:
    service.decide(Action.OBSERVE, "acct-1")
    before = metrics(service)
    told = service.ask(account_id="acct-1", missed=5)
    assert told["allow"]
    after = metrics(service)
    assert (
        value(after, "stillwatch_gateway_missed_total") - value(before, "stillwatch_gateway_missed_total")
        == 5
    )
    name = 'stillwatch_actions_total{action="observe"}'
    assert value(after, name) - value(before, name) == 1
    assert "acct-1" not in after


def value(text: str, name: str) -> float:
    return next(
        (float(line.rsplit(" ", 1)[1]) for line in text.splitlines() if line.startswith(name + " ")), 0.0
    )


def test_without_tokens_it_listens_on_this_machine_alone(service: Watch) -> None:
    for listen in ("0.0.0.0:1", "10.1.2.3:1"):
        told = ["watch", "--listen", listen, "--store", str(service.folder / "review.db")]
        result = CliRunner().invoke(app, told, env={"STILLWATCH_TOKENS": ""})
        assert "listens on this machine alone" in str(result.exception)
