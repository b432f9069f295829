"""What looks for holes and takes longer than a test may: a large run of schemathesis, and pip-audit beside bandit."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from advisory_copy import Advisories, answering

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "asvs.md"
SERVICES = ("pypi", "osv")
EXAMPLES = 200
"""Examples of each operation in a large run, besides every boundary of the documents."""


def run_schemathesis() -> int:
    """Send what schemathesis makes of both servers' documents; return the exit code."""
    return _tests(
        "tests/test_schemathesis.py",
        {"STILLWATCH_EXAMPLES": os.environ.get("STILLWATCH_EXAMPLES", str(EXAMPLES))},
    )


def run_audit(copy: Path | None = None) -> int:
    """bandit over the package, pip-audit over every package that is installed here; return the exit code.

    ``copy``: a clone of PyPA's advisory database, which is asked in place of a service.
    """
    code = _tests("tests/test_bandit.py", {})
    if copy is not None:
        known = Advisories(copy)
        print(f"{known.count} advisories, the newest of {known.newest}; nothing since is known", flush=True)
        with answering(known) as address:
            return _audit(code, {"osv": ["--osv-url", address]})
    return _audit(code, {service: [] for service in SERVICES})


def _audit(code: int, services: Mapping[str, Sequence[str]]) -> int:
    """pip-audit by the first service that answers; ``code``: what bandit left with."""
    for service, more in services.items():
        told = _pip_audit(service, more)
        if told is None:
            print(f"pip-audit: {service} cannot be reached", flush=True)
            continue
        answered = [one for one in told if "skip_reason" not in one]
        left = len(told) - len(answered)
        print(f"pip-audit, by {service}: {len(answered)} packages looked up, {left} without an answer")
        if not answered:
            continue
        explained = PAGE.read_text("utf-8")
        found = [
            (one["name"], one["version"], hole["id"])
            for one in answered
            for hole in one["vulns"]
            if not any(name in explained for name in (hole["id"], *hole.get("aliases", ())))
        ]
        for name, version, hole in found:
            print(f"  {name} {version}: {hole}, and {PAGE.name} does not say why it stays")
        print(f"{len(found) + bool(code)} failed, {left} packages skipped")
        return int(bool(found) or bool(code))
    print(f"{int(bool(code))} failed, 1 skipped: no service that knows of holes answers here")
    return code


def _tests(path: str, more: dict[str, str]) -> int:
    run = [sys.executable, "-m", "pytest", path, "-q"]
    return subprocess.run(run, cwd=ROOT, env=os.environ | more, check=False).returncode


def _pip_audit(service: str, more: Sequence[str]) -> list[dict[str, Any]] | None:
    """What it says of each package; None where the service does not answer."""
    places = [place for place in sys.path if place.endswith(("site-packages", "dist-packages"))]
    run = [sys.executable, "-m", "pip_audit", "--vulnerability-service", service, "--format", "json"]
    run += ["--progress-spinner", "off", "--timeout", "15", *more]
    for place in places:
        run += ["--path", place]
    done = subprocess.run(run, capture_output=True, text=True, check=False, timeout=1800)
    try:
        told: list[dict[str, Any]] = json.loads(done.stdout)["dependencies"]
    except (json.JSONDecodeError, KeyError):
        return None
    return told
