"""LiteLLM's proxy with the guardrail that we ship, then with LiteLLM's own generic one.

Two hundred users, of whom forty run a campaign: it is found in the proxy's log, decided on, and answered otherwise there.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import tempfile
import time
from pathlib import Path

from gateway_checks import (
    FOLLOWS_SECONDS,
    HERE,
    LITELLM,
    REPLY,
    SEED_TEXT,
    TRACE,
    Checks,
    calls,
    decide,
    metric,
    model,
    one,
    opened_case,
    plug_ins,
    settled,
    stillwatch,
    undo,
    watch,
)
from integration_population import CAMPAIGN_ACCOUNTS, DISTILLATION_PROMPT, OF_TWO_HUNDRED
from litellm_proxy import CONFIG, pasted_block, proxy
from program_environment import environment
from running_program import free_port, stop

SETTLED_SECONDS = 100
"""Longer than the callback waits between two batches."""
GENERIC = """
guardrails:
  - guardrail_name: stillwatch
    litellm_params:
      guardrail: generic_guardrail_api
      mode: pre_call
      default_on: true
      api_base: {url}
      api_key: {token}
      unreachable_fallback: fail_open
"""
THINKER = """
  - model_name: thinker
    litellm_params: {{model: hosted_vllm/thinker, api_key: unused, api_base: "{url}/v1"}}
"""


def key_of(account: str) -> str:
    """What LiteLLM calls an account in its log: the hash of the key."""
    return hashlib.sha256(f"sk-{account}".encode()).hexdigest()


def litellm_gateway(cache: Path, checks: Checks) -> None:
    """LiteLLM's proxy: the campaign is found in its log, decided on, and answered otherwise there."""
    python = environment(cache, LITELLM)
    with tempfile.TemporaryDirectory(prefix="stillwatch-gateway-") as name:
        folder = Path(name)
        token = stillwatch(folder, "token", "add", "litellm", "--may", "decide", "--may", "metrics", "--may", "ingest",
                           "--tokens", str(folder / "tokens.json"))  # fmt: skip
        with (
            model(python, folder, {}) as thinker,
            watch(
                folder,
                free_port(),
                "--state",
                str(folder / "state"),
                "--step",
                "10s",
                "--margin",
                "0",
                "--looks",
                "1",
            ) as there,
        ):
            url = there[0]
            config = CONFIG.replace(
                "general_settings:", THINKER.format(url=thinker).strip("\n") + "\ngeneral_settings:"
            )
            config += pasted_block("litellm", "guardrails:")
            more = {
                "STILLWATCH_URL": url, "STILLWATCH_TOKEN": token, "STILLWATCH_TIMEOUT_S": "5",
                "GENERIC_LOGGER_HEADERS": f"x-api-key={token}",
                "PYTHONPATH": f"{folder}:{plug_ins(folder)}",
            }  # fmt: skip
            with proxy(python, folder, f"{url}/v1/ingest", config, more) as gateway:
                case = _find_campaign(python, folder, gateway, (url, token), checks)
                _act_on_it(python, folder, gateway, case, checks)
                decide(folder, case, "suspend", "--account", key_of("user-000"))
                found = calls(python, gateway, [one("user-000")])
                checks.check("a suspended account gets 403", found[0]["status"] == 403, found)
                _away(python, folder, gateway, token, there, checks)
        _generic(python, folder, token, checks)


def _find_campaign(python: Path, folder: Path, gateway: str, service: tuple[str, str], checks: Checks) -> str:
    """Drive the proxy; its callback posts what it logs, and the looks open a case by themselves."""
    drive = [python, HERE / "integration_traffic.py", gateway, "--talkers", str(OF_TWO_HUNDRED)]
    sent = json.loads(subprocess.run(drive, check=True, timeout=1800, stdout=subprocess.PIPE).stdout)
    served = sent["served"] == sent["requests"] - 3
    checks.check(f"{sent['served']} of {sent['requests']} requests were served", served, sent)
    came = settled(*service, SETTLED_SECONDS)
    # LiteLLM's callback drops what it logs while it sends a batch.
    checks.check(f"{came} of them came in through generic_api", came > 0.8 * sent["requests"], came)
    return opened_case(folder, {key_of(f"user-{number:03d}") for number in range(CAMPAIGN_ACCOUNTS)}, checks)


def _act_on_it(python: Path, folder: Path, gateway: str, case: str, checks: Checks) -> None:
    number = decide(folder, case, "throttle", "--set", "requests_per_minute=2")
    found = calls(python, gateway, [one("user-000", repeat=4), one("user-500", repeat=6)])
    checks.check(
        "a throttled account gets two replies, then 429",
        [f["status"] for f in found[:4]] == [200, 200, 429, 429],
        found[:4],
    )
    checks.check("with Retry-After", 0 < int(found[3].get("retry_after") or 0) <= 60, found[3])
    checks.check("an honest account goes on", all(f["status"] == 200 for f in found[4:]), found[4:])
    undo(folder, number)
    asked = {"model": "thinker", "logprobs": True, "top_logprobs": 5}
    both = [one("user-001", **asked), one("user-001", stream=True, **asked)]
    plain = calls(python, gateway, both)
    checks.check(
        "before, its thinking is told, whole and streamed", all(TRACE in f["reasoning"] for f in plain), plain
    )
    decide(folder, case, "hide_reasoning", "--account", key_of("user-001"))
    decide(folder, case, "cap_logprobs", "--set", "most=2", "--account", key_of("user-001"))
    hidden = calls(python, gateway, both)
    checks.check("then it is not, whole and streamed", not any(f["reasoning"] for f in hidden), hidden)
    checks.check("and the reply is what it was", all(f["content"] == REPLY for f in hidden), hidden)
    checks.check(
        "log-probabilities are capped, whole and streamed",
        [f["top_logprobs"] for f in hidden] == [2, 2],
        hidden,
    )
    decide(folder, case, "restrict_tier", "--set", "models=frontier-small", "--account", key_of("user-002"))
    tiers = calls(python, gateway, [one("user-002"), one("user-002", model="frontier-large")])
    checks.check(
        "a restricted account has the small model alone", [f["status"] for f in tiers] == [200, 403], tiers
    )
    _family(python, folder, gateway, case, checks)


def _family(python: Path, folder: Path, gateway: str, case: str, checks: Checks) -> None:
    shown = json.loads(stillwatch(folder, "review", "show", case, "--json"))
    families = sorted(shown["campaigns"][0]["families"], key=lambda one: -one["exchanges"])
    number = decide(folder, case, "suspend", "--family", families[0]["family_id"])
    prompt = DISTILLATION_PROMPT
    found = calls(
        python, gateway,
        [one("user-003"), one("user-003", SEED_TEXT, system=prompt), one("user-500", SEED_TEXT, system=prompt)],
    )  # fmt: skip
    checks.check(
        "of a sold account the template gets 403 and its other requests go on",
        [f["status"] for f in found[:2]] == [200, 403],
        found,
    )
    checks.check(
        "an account outside of the case is not asked for its request", found[2]["status"] == 200, found
    )
    undo(folder, number)


def _away(
    python: Path,
    folder: Path,
    gateway: str,
    token: str,
    there: tuple[str, subprocess.Popen[bytes]],
    checks: Checks,
) -> None:
    """The service goes away, and comes back."""
    url, process = there
    stop(process)
    time.sleep(FOLLOWS_SECONDS)
    found = calls(python, gateway, [one("user-000", repeat=3), one("user-500")])
    checks.check(
        "with the service down every request goes on (fail open)",
        all(f["status"] == 200 for f in found),
        found,
    )
    with watch(folder, int(url.rsplit(":", 1)[1]), "--state", str(folder / "state")):
        found = calls(python, gateway, [one("user-000")])
        checks.check("with the service back a suspended account gets 403", found[0]["status"] == 403, found)
        missed = metric(url, token, "stillwatch_gateway_missed_total")
        checks.check("and it was told of the four that went without an answer", missed == 4, missed)


def _generic(python: Path, folder: Path, token: str, checks: Checks) -> None:
    """The same store through LiteLLM's own generic guardrail, which can only block: by configuration alone."""
    port = free_port()
    config = CONFIG.replace('"generic_api", ', "") + GENERIC.format(
        url=f"http://127.0.0.1:{port}", token=token
    )
    with proxy(python, folder, "", config) as gateway:
        with watch(folder, port):
            found = calls(python, gateway, [one("user-000"), one("user-500")])
            checks.check(
                "LiteLLM's generic guardrail blocks with its own 400", found[0]["status"] == 400, found
            )
            checks.check("and lets an honest account go on", found[1]["status"] == 200, found)
        found = calls(python, gateway, [one("user-000")])
        checks.check("with the service down it goes on", found[0]["status"] == 200, found)
