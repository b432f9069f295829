"""Times of the stages of a scan: plain timers around public functions, set from outside."""

from __future__ import annotations

import functools
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from stillwatch import examine, findings, memberships, scan, stream_tables, streams
from stillwatch.keys import Keys
from stillwatch.sketching import Source, sketch_log

STAGES: tuple[tuple[Any, str, str], ...] = (
    (examine, "describe_principals", "principals"),
    (examine, "find_families", "families"),
    (memberships, "family_members", "streams"),
    (memberships, "keep_rows", "streams"),
    (streams, "register_log", "streams"),
    (memberships, "merge_streams", "streams"),
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


class Spent(NamedTuple):
    """Seconds on the clock, and of processors: of all threads, those of libraries too."""

    wall: float = 0.0
    cpu: float = 0.0

    @classmethod
    def now(cls) -> Spent:
        """Since some beginning."""
        return cls(time.perf_counter(), time.process_time())

    def __add__(self, other: tuple[float, ...]) -> Spent:  # type: ignore[override]
        return Spent(self.wall + other[0], self.cpu + other[1])

    def __sub__(self, other: Spent) -> Spent:
        return Spent(self.wall - other.wall, self.cpu - other.cpu)


class Stages:
    """Seconds of each stage; what a timed function calls that is timed too counts there and not twice."""

    def __init__(self) -> None:
        """Start without a second."""
        self.seconds: defaultdict[str, Spent] = defaultdict(Spent)
        self._inner = [Spent()]

    def timed(self, work: Callable[..., Any], stage: str) -> Callable[..., Any]:
        """``work``, with its time counted."""

        @functools.wraps(work)
        def run(*arguments: Any, **named: Any) -> Any:
            started = Spent.now()
            self._inner.append(Spent())
            try:
                return work(*arguments, **named)
            finally:
                whole = Spent.now() - started
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


def profile(log: Path) -> dict[str, Spent]:
    """Seconds of every stage of one scan in this process, the whole and the rest, in the order of the flow."""
    stages = Stages()
    changed: list[tuple[Any, str, Any]] = []

    def put(module: Any, name: str, value: Any) -> None:
        changed.append((module, name, getattr(module, name)))
        setattr(module, name, value)

    put(scan, "sketch_log", stages.each(sketch_log, "sketch"))
    for module, name, stage in STAGES:
        put(module, name, stages.timed(getattr(module, name), stage))
    started = Spent.now()
    try:
        with tempfile.TemporaryDirectory(prefix="stillwatch-profile-") as folder:
            scan.scan(
                Source((log,)), Path(folder) / "result", Keys(b"a key of the benchmark"), scan.Options()
            )
    finally:
        for module, name, value in reversed(changed):
            setattr(module, name, value)
    whole = Spent.now() - started
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
    return found | {"rest": whole - sum(found.values(), Spent()), "whole": whole}
