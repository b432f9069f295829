"""What is collected: the lab's tests and doctests need torch, which only the extra [lab] brings."""

from __future__ import annotations

from importlib.util import find_spec

HAS_TORCH = find_spec("torch") is not None
collect_ignore_glob = [] if HAS_TORCH else ["tests/lab/*", "src/stillwatch/lab/*"]


def pytest_report_header() -> list[str]:
    """Say it at the head of a run when tests are left out."""
    return (
        [] if HAS_TORCH else ["tests/lab and the doctests of stillwatch.lab are left out: torch is missing"]
    )
