"""The files of deploy/ under the linters of others: hadolint for the container file, the schema of Compose for the other."""

from __future__ import annotations

import subprocess
import tempfile
from pathlib import Path

from gateway_checks import HERE, Checks
from program_environment import environment

CONTAINERS = HERE / "integration_containers.lock"
DEPLOY = HERE.parent / "deploy"
CONTAINERFILE, COMPOSE = "Containerfile", "compose.yaml"
SPOILT = {
    CONTAINERFILE: "FROM python:latest\nRUN cd /tmp && sudo pip install x\n",
    COMPOSE: "services: {watch: {image: x, ports: 8470}}\n",
}
"""What each of them must refuse, so that its silence about ours means something."""


def run_containers(cache: Path) -> int:
    """Lint both files; returns the exit code."""
    programs = environment(cache, CONTAINERS).parent
    linters = {
        CONTAINERFILE: [programs / "hadolint", "--no-color", "--failure-threshold", "info"],
        COMPOSE: [programs / "check-jsonschema", "--builtin-schema", "vendor.compose-spec"],
    }
    checks = Checks()
    with tempfile.TemporaryDirectory(prefix="stillwatch-containers-") as name:
        for file, linter in linters.items():
            found = _said(linter, DEPLOY / file)
            checks.check(f"{linter[0].name}: deploy/{file}", found is None, found)
            spoilt = Path(name) / file
            spoilt.write_text(SPOILT[file])
            checks.check(f"{linter[0].name} refuses one that is spoilt", _said(linter, spoilt) is not None)
    print(f"{checks.passed} passed, {checks.failed} failed, 0 skipped; neither file was built or run here")
    return int(checks.failed > 0)


def _said(linter: list[str | Path], file: Path) -> str | None:
    """What a linter has against a file; None where nothing."""
    done = subprocess.run([*linter, file], capture_output=True, text=True, check=False, timeout=120)
    return None if done.returncode == 0 else done.stdout + done.stderr
