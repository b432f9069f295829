"""Envoy with the configuration that ``stillwatch connect envoy`` prints, in front of a small server of a model."""

from __future__ import annotations

import json
import tempfile
import textwrap
import time
import urllib.request
from pathlib import Path

from gateway_checks import (
    FOLLOWS_SECONDS,
    HERE,
    LITELLM,
    PROMPT,
    SEED_TEXT,
    Checks,
    calls,
    decide,
    model,
    one,
    small_case,
    stillwatch,
)
from litellm_proxy import pasted_block
from program_environment import environment
from running_program import free_port, running

ENVOY = HERE / "integration_envoy.lock"


def envoy(cache: Path, checks: Checks) -> None:
    """Envoy with the configuration that ``stillwatch connect envoy`` prints, in front of a small server."""
    python, program = environment(cache, LITELLM), environment(cache, ENVOY).parent / "envoy"
    with tempfile.TemporaryDirectory(prefix="stillwatch-envoy-") as name:
        folder = Path(name)
        with model(python, folder, {}) as upstream, small_case(folder) as (url, token, case):
            port, admin = free_port(), free_port()
            (folder / "envoy.yaml").write_text(_envoy_config(port, admin, upstream, url, token))
            command = [
                program,
                "-c",
                folder / "envoy.yaml",
                "--disable-hot-restart",
                "--concurrency",
                "1",
                "-l",
                "error",
            ]
            with running(command, folder, f"http://127.0.0.1:{admin}/ready", {}):
                gateway = f"http://127.0.0.1:{port}"
                _envoy_checks(python, folder, gateway, case, checks)
                stats = f"http://127.0.0.1:{admin}/stats?filter=failure_mode_allowed"
                _misconfigured(python, folder, gateway, stats, checks)


def _envoy_config(port: int, admin: int, upstream: str, url: str, token: str) -> str:
    filters = pasted_block("envoy", "early_header_mutation_extensions:").replace("TOKEN", token)
    filters = filters.replace(
        "timeout: 0.25s", "timeout: 5s"
    )  # nothing here is to fail for want of a processor
    keys = ", ".join(
        f"{{key: {name}, client: {name}}}" for name in ("acct-000", "acct-001", "acct-002", "honest")
    )
    filters = filters.replace("{key: KEY-OF-ACCT-1, client: acct-1}", keys)
    cluster = pasted_block("envoy", "- name: stillwatch").replace("8470", url.rsplit(":", 1)[1])
    other = cluster.replace("stillwatch", "model").replace(url.rsplit(":", 1)[1], upstream.rsplit(":", 1)[1])
    return (
        f"admin: {{address: {{socket_address: {{address: 127.0.0.1, port_value: {admin}}}}}}}\n"
        "static_resources:\n  listeners:\n  - address:\n      socket_address: {address: 127.0.0.1, port_value: "
        f"{port}}}\n    filter_chains:\n    - filters:\n      - name: envoy.filters.network.http_connection_manager\n"
        "        typed_config:\n          '@type': type.googleapis.com/envoy.extensions.filters.network."
        "http_connection_manager.v3.HttpConnectionManager\n          stat_prefix: in\n          route_config:\n"
        "            virtual_hosts: [{name: all, domains: ['*'], routes: [{match: {prefix: /}, route: {cluster: model}}]}]\n"
        + textwrap.indent(filters, " " * 10)
        + "  clusters:\n"
        + textwrap.indent(cluster + other, " " * 2)
    )


def _envoy_checks(python: Path, folder: Path, gateway: str, case: str, checks: Checks) -> None:
    decide(folder, case, "suspend", "--account", "acct-000")
    decide(folder, case, "throttle", "--set", "requests_per_minute=2", "--account", "acct-001")
    asked = [one("acct-000"), one("acct-001", repeat=3), one("honest", repeat=4), one("nobody")]
    found = calls(python, gateway, asked)
    checks.check("Envoy: a suspended account gets 403", found[0]["status"] == 403, found[0])
    checks.check("its body says why", '"code":"suspended"' in found[0].get("error", ""), found[0])
    checks.check(
        "a throttled account gets two replies, then 429",
        [f["status"] for f in found[1:4]] == [200, 200, 429],
        found,
    )
    checks.check("with Retry-After", 0 < int(found[3].get("retry_after") or 0) <= 60, found[3])
    checks.check("an honest account goes on", [f["status"] for f in found[4:8]] == [200] * 4, found[4:8])
    checks.check("a key that nobody has is Envoy's own business", found[8]["status"] == 401, found[8])
    spoofed = one("acct-000")
    spoofed["headers"]["x-stillwatch-account"] = "honest"
    found = calls(python, gateway, [spoofed])
    checks.check("an account cannot call itself by another name", found[0]["status"] == 403, found)
    family = json.loads(stillwatch(folder, "review", "show", case, "--json"))["campaigns"][0]["families"][0][
        "family_id"
    ]
    decide(folder, case, "suspend", "--family", family)
    found = calls(python, gateway, [one("acct-002"), one("acct-002", SEED_TEXT, system=PROMPT)])
    checks.check(
        "the template gets 403 and its account's other requests go on",
        [f["status"] for f in found] == [200, 403],
        found,
    )
    padding = "x" * 1_100_000
    found = calls(
        python,
        gateway,
        [one("acct-002", SEED_TEXT, system=PROMPT, user=padding), one("honest", user=padding)],
    )
    checks.check(
        "what Envoy cut off is refused where a decision hangs on it, and goes on elsewhere",
        [f["status"] for f in found] == [413, 200],
        found,
    )


def _misconfigured(python: Path, folder: Path, gateway: str, stats: str, checks: Checks) -> None:
    """A token that is taken back is a fault of the set-up, and no reason to refuse customers."""
    stillwatch(folder, "token", "remove", "gateway", "--tokens", str(folder / "tokens.json"))
    time.sleep(FOLLOWS_SECONDS)
    before = _allowed(stats)
    found = calls(python, gateway, [one("acct-000"), one("honest")])
    checks.check(
        "without a good token every request goes on", [f["status"] for f in found] == [200, 200], found
    )
    counted = _allowed(stats) - before
    checks.check("and Envoy counts it", counted == 2, counted)


def _allowed(stats: str) -> int:
    with urllib.request.urlopen(stats, timeout=10) as answer:
        lines = answer.read().decode().splitlines()
    return int(next(line for line in lines if line.startswith("http.")).rsplit(" ", 1)[1])
