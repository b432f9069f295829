"""A stream: batches that Spark names are sketched by its workers and taken into a state, and now and then it is looked at.

Each batch is counted once. Its sketches and its number become part of the state in one step, the renaming of
``state.json``, and Spark counts it as done after that; a process that ends between the two is given the batch again, and
finds its number there.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import pyarrow as pa

from stillwatch.calibration.guarantee import calibrated
from stillwatch.checkpoint import bind, is_known
from stillwatch.engine.batches import Folder, Topic, follow, require
from stillwatch.engine.memory import return_what_is_freed
from stillwatch.engine.spark import SparkEngine
from stillwatch.parts import Reading, in_order, read_parts, sketch_parts
from stillwatch.rejects import EmptyLogError, MissingLogError
from stillwatch.scan import look
from stillwatch.state import NOTHING, State, StateError, once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from stillwatch.examine import Options
    from stillwatch.findings import Result
    from stillwatch.keys import Keys
    from stillwatch.rejects import RejectLog

__all__ = ["Folder", "Plan", "Reading", "Stream", "Topic"]


@dataclass(frozen=True, slots=True)
class Plan:
    """Where a stream keeps what it has, and when it looks."""

    state: Path
    checkpoint: Path
    out: Path
    interval_s: int | None
    """Seconds between the begins of two batches; None to take in what there is, look once, and end."""

    look_every: int
    """Batches from one look to the next."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What became of a batch."""

    number: int
    parts: int
    exchanges: int
    held: int
    """Exchanges that the state holds now."""

    again: bool
    """Whether it had been taken in before the process ended that began it."""

    result: Result | None
    """What the look after it found, where there was one."""


class Stream:
    """Reads a source, batch after batch; ``tell`` is told of each."""

    def __init__(
        self, reading: Reading, plan: Plan, keys: Keys, options: Options, tell: Callable[[Batch], None]
    ) -> None:
        _check(reading.source, plan)
        self._reading, self._plan, self._keys, self._tell = reading, plan, keys, tell
        self._options = calibrated(options)

    def run(self, stop: threading.Event) -> Result | None:
        """Go on until told to stop, or until all is taken in that there is now; returns the last look's result.

        Raises ``LogError`` for what cannot be read, ``StateError`` for a state or a checkpoint that cannot be gone on with,
        ``EngineError`` where Spark gives up, ``OutputError`` where the result cannot be written. What was taken in stays.
        """
        return_what_is_freed()
        plan, source = self._plan, self._reading.source
        least = self._options.rule.least_principals
        with State(plan.state, self._keys, least, self._options.memory) as state:
            bind(plan.checkpoint, state, _described(source))
            self._result: Result | None = None
            follow(
                source,
                plan.checkpoint,
                lambda number, items: self._take(state, number, items),
                plan.interval_s,
                stop,
            )
            if plan.interval_s is None:
                if not state.rows:
                    raise EmptyLogError(
                        f"{_described(source)} holds no exchange. Give a source that is not empty."
                    )
                self._result = look(state, plan.out, self._keys, self._options)
        return self._result

    def _take(self, state: State, number: int, items: list[str]) -> None:
        """Take in one batch, and look where that is due."""
        plan = self._plan
        items = in_order(items, self._reading.source)
        new = is_known(state, number, items)
        rows = 0
        if new is not None:
            with (
                TemporaryDirectory(prefix=".stillwatch-", dir=plan.state) as name,
                closing(SparkEngine(Path(name))) as engine,
            ):
                given = sketch_parts(items, self._reading, self._keys, engine, Path(name))
                parts = [given[place] for place in once((part.told.digest for part in given), state.files)]
                files = tuple(part.told.digest for part in parts if part.told.digest)
                held = sum(part.told.digest != NOTHING for part in parts)
                size = sum(part.told.size for part in parts)

                def sketches(rejects: RejectLog) -> Iterator[pa.RecordBatch]:
                    return read_parts(parts, self._reading, rejects)

                rows = state.add(new, files, held, size, self._reading.identities, sketches)
        found = None
        # By the number of the batch, so that one that comes again brings the look that was missed.
        if plan.interval_s is not None and (number + 1) % plan.look_every == 0 and state.rows:
            found = self._result = look(state, plan.out, self._keys, self._options)
        self._tell(Batch(number, len(items), rows, state.rows, new is None, found))


def _described(source: Folder | Topic) -> str:
    return str(source.place.resolve()) if isinstance(source, Folder) else f"kafka:{source.topic}"


def _check(source: Folder | Topic, plan: Plan) -> None:
    """Refuse folders that cannot go together, before anything is begun."""
    own = {"--state": plan.state, "--checkpoint": plan.checkpoint, "--out": plan.out}
    for name, place in own.items():
        for other, another in chain(
            own.items(), [("the log", source.place)] if isinstance(source, Folder) else []
        ):
            if other != name and place.resolve().is_relative_to(another.resolve()):
                raise StateError(f"{place} lies in the folder of {other}; name another one with {name}")
    require(source)
    if isinstance(source, Topic):
        from stillwatch.engine.topic import bounds

        bounds(source.servers, source.topic)
    elif not source.place.is_dir():
        raise MissingLogError(
            f"{source.place} is no folder. A stream reads the files that are put into one; make it first.",
            file=source.place,
        )
