"""A scan: the order of the steps, nothing else."""

from __future__ import annotations

from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from stillwatch import findings
from stillwatch.calibration.guarantee import calibrated
from stillwatch.engine.memory import amount, presence_slots, return_what_is_freed
from stillwatch.engine.named import SPARK
from stillwatch.engine.spark import SparkEngine
from stillwatch.examine import Options, examine
from stillwatch.families.fragments import Presence
from stillwatch.outputs import RESULT, staged
from stillwatch.rejects import RejectLog
from stillwatch.sketching import Source, sketch_log
from stillwatch.spool import Spool
from stillwatch.spreading import sketch_apart
from stillwatch.state import State, StateError, Taken
from stillwatch.state_folder import REJECTED

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from stillwatch.keys import Keys
    from stillwatch.sources import Progress

__all__ = ["Options", "look", "scan", "take_in"]

RETIRED = ("circle.json", "shadow.parquet", "pictures/c-*.svg")
"""Files of an earlier result of which a new one may have none."""


def scan(
    source: Source,
    out: Path,
    keys: Keys,
    options: Options,
    progress: Progress | None = None,
    kept: Path | None = None,
) -> findings.Result:
    """Scan a log and write the files of the contract into ``out``; returns what they say.

    ``kept``: folder of the :mod:`stillwatch.state` that the log is taken into; the result is of all that it holds.

    Raises ``LogError`` for a log that cannot be read, ``OutputError`` where ``out`` cannot be written, ``StateError``
    for a state that cannot be gone on with, ``CalibrationError`` where the options hold a calibration of another
    version or other settings.
    """
    return_what_is_freed()
    options = calibrated(options)
    source.spare(out / name for name in RESULT)
    if options.show_text:
        source.refuse_to_show()
    if kept is not None:
        if kept.resolve() == out.resolve():
            raise StateError(f"{kept} is the folder of the result; name another one with --state")
        return _with_state(source, out, keys, options, progress, kept)
    with (
        staged(out, retired=RETIRED) as stage,
        RejectLog(out / REJECTED, limit=options.reject_share, stage=stage) as rejects,
    ):
        with Spool(stage) as spool:
            # Named nowhere here, so that it goes once families are found.
            scanned = examine(spool, _read(source, keys, rejects, spool, options, progress), options)
            result = findings.state(scanned, source, keys, rejects, options)
        findings.write(result, stage)
    return result


def take_in(
    source: Source, keys: Keys, options: Options, kept: Path, progress: Progress | None = None
) -> Taken:
    """Take a log into a state and look at nothing; a later scan with the state finds what is in it.

    Raises what :func:`scan` raises for the log and the state.
    """
    return_what_is_freed()
    with _opened(kept, keys, options) as state, TemporaryDirectory(prefix=".stillwatch-", dir=kept) as place:
        return _taken(state, source, Path(place), keys, options, progress, None)


def _with_state(
    source: Source, out: Path, keys: Keys, options: Options, progress: Progress | None, kept: Path
) -> findings.Result:
    with _opened(kept, keys, options) as state, staged(out, retired=RETIRED) as stage:
        state.verify()
        with TemporaryDirectory(prefix=".stillwatch-aside-", dir=stage) as place:
            taken = _taken(state, source, Path(place), keys, options, progress, out / REJECTED)
        return _look(state, taken, out, stage, keys, options)


def look(state: State, out: Path, keys: Keys, options: Options) -> findings.Result:
    """Write the result of all that an open state holds into ``out``; no text is there for examples.

    Raises what :func:`scan` raises for the state and the result.
    """
    with staged(out, retired=RETIRED) as stage:
        state.verify()
        taken = Taken(Source(()), range(0), state.rows, state.parts, 0, 0, state.tables)
        return _look(state, taken, out, stage, keys, replace(options, sketch_only=True))


def _look(
    state: State, taken: Taken, out: Path, stage: Path, keys: Keys, options: Options
) -> findings.Result:
    with (
        TemporaryDirectory(prefix=".stillwatch-aside-", dir=stage) as place,
        RejectLog(out / REJECTED, limit=1.0, stage=stage) as rejects,
    ):
        state.tell(rejects)
        scanned = examine(state.sketches(Path(place)), state.presence(), options)
        result = findings.state(scanned, taken.source, keys, rejects, options, taken)
    findings.write(result, stage)
    return result


def _opened(kept: Path, keys: Keys, options: Options) -> State:
    return State(kept, keys, options.rule.least_principals, options.memory)


def _taken(
    state: State, source: Source, folder: Path, keys: Keys, options: Options, progress: Progress | None,
    listed: Path | None,
) -> Taken:  # fmt: skip
    """Take a log into an open state; ``folder`` is for what workers write."""

    def sketches(new: Source, rejects: RejectLog) -> AbstractContextManager[Iterator[pa.RecordBatch]]:
        return _sketches(new, keys, rejects, folder, options, progress)

    return state.take(source, options.reject_share, sketches, listed)


def _read(
    source: Source, keys: Keys, rejects: RejectLog, spool: Spool, options: Options, progress: Progress | None
) -> Presence:
    """Write the sketches of a log into a spool; returns which fragments were seen in how many principals."""
    slots = presence_slots(amount(options.memory), source.bytes)
    presence = Presence(options.rule.least_principals, slots)
    with _sketches(source, keys, rejects, spool.folder, options, progress) as batches:
        for batch in batches:
            spool.write(batch)
            presence.observe(batch)
    return presence


@contextmanager
def _sketches(
    source: Source, keys: Keys, rejects: RejectLog, folder: Path, options: Options, progress: Progress | None
) -> Iterator[Iterator[pa.RecordBatch]]:
    if options.engine != SPARK:
        yield sketch_log(source, keys, rejects, progress)
        return
    with closing(SparkEngine(folder)) as engine:
        yield sketch_apart(source, keys, rejects, engine, folder, progress)
