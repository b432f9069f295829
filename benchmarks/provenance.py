"""Where a number comes from: the commit, the machine, and the versions of what was measured."""

from __future__ import annotations

import os
import platform
import subprocess
from importlib.metadata import version
from pathlib import Path

from stillwatch.evidence import load_weights
from stillwatch.objective.model import load as load_objective


def commit(root: Path) -> str:
    """Short name of the commit; says where the package differs from it."""
    found = _git(root, "rev-parse", "--short", "HEAD")
    if not found:
        return "unknown"
    changed = _git(root, "status", "--porcelain", "--", "src")
    return f"{found}, with changes in src" if changed else found


def _git(root: Path, *words: str) -> str:
    try:
        done = subprocess.run(["git", *words], cwd=root, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def machine() -> str:
    """Processor, cores and memory."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{processor()}, {os.cpu_count()} cores, {memory:.0f} GiB"


def processor() -> str:
    """Name of the processor."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def versions() -> dict[str, str]:
    """Versions of what decides a verdict, and of what it runs on."""
    packages = ("numpy", "pyarrow", "duckdb", "numba")
    return {
        "evidence": load_weights().version,
        "objective model": load_objective().version,
        "python": platform.python_version(),
        "packages": ", ".join(f"{name} {version(name)}" for name in packages),
    }
