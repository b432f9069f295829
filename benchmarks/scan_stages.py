"""Times of the stages of a scan: plain timers around public functions, set from outside."""

from __future__ import annotations

import functools
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from stillwatch import examine, findings, scan, stream_tables, streams
from stillwatch.keys import Keys
from stillwatch.sketching import Source, sketch_log

STAGES: tuple[tuple[Any, str, str], ...] = (
    (examine, "describe_principals", "principals"),
    (examine, "find_families", "families"),
    (streams, "family_members", "streams"),
    (streams, "keep_rows", "streams"),
    (streams, "register_log", "streams"),
    (streams, "merge_streams", "streams"),
    (stream_tables, "build", "streams"),
    (examine, "measure", "signals"),
    (examine, "group", "groups"),
    (examine, "split", "groups"),
    (examine, "peel", "groups"),
    (findings, "judge", "judging"),
    (findings, "collect", "exemplars"),
    (findings, "account_rows", "accounts"),
    (findings, "state", "findings"),
    (findings, "write", "report"),
)
"""Module, function and stage; ``collect`` reads the log again for the exemplars of the report."""


class Stages:
    """Seconds of each stage; what a timed function calls that is timed too counts there and not twice."""

    def __init__(self) -> None:
        """Start without a second."""
        self.seconds: defaultdict[str, float] = defaultdict(float)
        self._inner = [0.0]

    def timed(self, work: Callable[..., Any], stage: str) -> Callable[..., Any]:
        """``work``, with its time counted."""

        @functools.wraps(work)
        def run(*arguments: Any, **named: Any) -> Any:
            started = time.perf_counter()
            self._inner.append(0.0)
            try:
                return work(*arguments, **named)
            finally:
                whole = time.perf_counter() - started
                self.seconds[stage] += whole - self._inner.pop()
                self._inner[-1] += whole

        return run

    def each(self, work: Callable[..., Iterator[Any]], stage: str) -> Callable[..., Iterator[Any]]:
        """A generator of which the time between its values counts."""

        def run(*arguments: Any, **named: Any) -> Iterator[Any]:
            values = work(*arguments, **named)
            step = self.timed(lambda: next(values, None), stage)
            while (value := step()) is not None:
                yield value

        return run


def profile(log: Path) -> dict[str, float]:
    """Seconds of every stage of one scan in this process, the whole and the rest, in the order of the flow."""
    stages = Stages()
    changed: list[tuple[Any, str, Any]] = []

    def put(module: Any, name: str, value: Any) -> None:
        changed.append((module, name, getattr(module, name)))
        setattr(module, name, value)

    put(scan, "sketch_log", stages.each(sketch_log, "sketch"))
    for module, name, stage in STAGES:
        put(module, name, stages.timed(getattr(module, name), stage))
    started = time.perf_counter()
    try:
        with tempfile.TemporaryDirectory(prefix="stillwatch-profile-") as folder:
            scan.scan(
                Source((log,)), Path(folder) / "result", Keys(b"a key of the benchmark"), scan.Options()
            )
    finally:
        for module, name, value in reversed(changed):
            setattr(module, name, value)
    whole = time.perf_counter() - started
    order = (
        "sketch",
        "principals",
        "families",
        "streams",
        "signals",
        "groups",
        "judging",
        "exemplars",
        "accounts",
        "findings",
        "report",
    )
    found = {stage: stages.seconds[stage] for stage in order}
    return found | {"rest": whole - sum(found.values()), "whole": whole}
