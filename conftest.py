"""What is collected: the lab's tests and doctests need torch, which only the extra [lab] brings; topics need [kafka]."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

HAS_TORCH = find_spec("torch") is not None
HAS_KAFKA = find_spec("confluent_kafka") is not None
collect_ignore = [
    "src/stillwatch/store/migrations/env.py",  # Alembic alone can run it
    "src/stillwatch/gateway/litellm.py",  # LiteLLM's proxy alone can: scripts/integration gateway
]
if not HAS_KAFKA:
    collect_ignore += ["src/stillwatch/live/kafka.py"]  # the extra [kafka]
if not HAS_KAFKA or find_spec("pyspark") is None:
    collect_ignore += ["src/stillwatch/engine/topic.py"]  # the extras [kafka] and [spark]
if not HAS_TORCH:
    collect_ignore += ["tests/lab", "src/stillwatch/lab"]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it at the end of a run when tests are left out."""
    if not HAS_TORCH:
        terminalreporter.write_line(
            "left out, since torch is missing: tests/lab and the doctests of stillwatch.lab"
        )
