"""The service and its plug-ins with real gateways and a real client, on loopback; run by scripts/integration.

    litellm-gateway   LiteLLM's proxy with the guardrail that we ship, then with LiteLLM's own generic one
    envoy             Envoy, with ext_authz over HTTP
    middleware        the openai client through the ASGI middleware, around a small server of a model
    otel, kafka       traffic by OpenTelemetry's exporter and by a topic, told in integration_live.py

Decisions are made by the commands that a person would type.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from gateway_checks import LITELLM, REPLY, TRACE, Checks, calls, decide, model, one, plug_ins, small_case
from integration_envoy import envoy
from integration_litellm_gateway import litellm_gateway
from integration_live import kafka, otel
from program_environment import environment


def middleware(cache: Path, checks: Checks) -> None:
    """The openai client through the ASGI middleware, loaded by its import path as vLLM loads one."""
    python = environment(cache, LITELLM)
    with tempfile.TemporaryDirectory(prefix="stillwatch-middleware-") as name:
        folder = Path(name)
        with small_case(folder) as (url, token, case):
            more = {
                "STILLWATCH_URL": url, "STILLWATCH_TOKEN": token, "STILLWATCH_TIMEOUT_S": "5",
                "PYTHONPATH": str(plug_ins(folder)),
            }  # fmt: skip
            with model(python, folder, more) as server:
                decide(folder, case, "suspend", "--account", "acct-000")
                decide(folder, case, "throttle", "--set", "requests_per_minute=2", "--account", "acct-001")
                decide(folder, case, "hide_reasoning", "--account", "acct-002")
                decide(folder, case, "cap_logprobs", "--set", "most=2", "--account", "acct-002")
                wide = {"logprobs": True, "top_logprobs": 5}
                asked = [
                    one("acct-000"), one("acct-001", repeat=3), one("honest", **wide), one("honest", stream=True, **wide),
                    one("acct-002", **wide), one("acct-002", stream=True, **wide),
                ]  # fmt: skip
                found = calls(python, server, asked)
                statuses = [f["status"] for f in found]
                checks.check(
                    "middleware: 403, and 429 after two",
                    statuses == [403, 200, 200, 429, *[200] * 4],
                    statuses,
                )
                checks.check("with Retry-After", 0 < int(found[3].get("retry_after") or 0) <= 60, found[3])
                plain, changed = found[4:6], found[6:8]
                checks.check(
                    "an honest account has all",
                    all(f["reasoning"] == TRACE and f["top_logprobs"] == 5 for f in plain),
                    plain,
                )
                checks.check(
                    "the other has no trace and two a token",
                    not any(f["reasoning"] for f in changed)
                    and [f["top_logprobs"] for f in changed] == [2, 2],
                    changed,
                )
                checks.check("and the same reply", all(f["content"] == REPLY for f in found[4:]), found[4:])


GATEWAYS = {
    "litellm-gateway": litellm_gateway,
    "envoy": envoy,
    "middleware": middleware,
    "otel": otel,
    "kafka": kafka,
}


def run(program: str, cache: Path) -> int:
    """Run one of them; returns the exit code."""
    checks = Checks()
    GATEWAYS[program](cache, checks)
    print(f"{checks.passed} passed, {checks.failed} failed, 0 skipped")
    return int(checks.failed > 0)
