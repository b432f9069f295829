"""What is collected, and in which order: the lab's tests and doctests need torch, which only the extra [lab] brings; topics
need [kafka]; files that take long come first."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parent

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

LONGEST = (
    "tests/test_replay.py",
    "tests/scenarios/test_seed_cases.py",
    "tests/lab/test_experiments.py",
    "tests/test_state.py",
    "tests/robustness/test_scan_logs.py",
    "tests/robustness/test_scan_interrupted.py",
    "tests/test_evidence_over_time.py",
    "tests/lab/test_learning.py",
    "tests/lab/test_countermeasures.py",
    "tests/test_docs_blocks.py",
    "tests/lab/test_paper_tables.py",
    "tests/gateway/test_long_runs.py",
    "tests/scenarios/test_same_verdicts.py",
    "tests/test_bad_input.py",
    "tests/scenarios/test_reported_campaigns.py",
    "tests/robustness/test_state_interrupted.py",
    "tests/test_labels.py",
    "tests/review/test_pages_access.py",
    "tests/test_benchmarks.py",
    "tests/review/test_controls.py",
)
"""Files that take long, which are begun first: none is left to the end, when it would keep one process busy and the others
waiting. Those that are not named take their turn as they are collected."""

TRAINED = frozenset(
    f"tests/lab/test_{name}.py" for name in ("channel", "countermeasures", "digits", "language", "learning")
)
"""Files that look at the same models, which each process trains for itself: one process runs them all."""


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Deal files out to processes, and those that share models to one."""
    from xdist.scheduler import LoadFileScheduling

    class Together(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            file = nodeid.split("::", 1)[0]
            return "tests/lab" if file in TRAINED else file

    return Together(config, log) if config.getvalue("dist") == "loadfile" else None


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Order the tests of the longest files before all others."""
    turn = {ROOT / name: place for place, name in enumerate(LONGEST)}
    missing = [str(path) for path in (*turn, *(ROOT / name for name in TRAINED)) if not path.exists()]
    if missing:
        raise pytest.UsageError(
            f"conftest.py: LONGEST or TRAINED names what is not there: {', '.join(missing)}"
        )
    items.sort(key=lambda item: turn.get(item.path, len(turn)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say it at the end of a run when tests are left out."""
    if not HAS_TORCH:
        terminalreporter.write_line(
            "left out, since torch is missing: tests/lab and the doctests of stillwatch.lab"
        )
