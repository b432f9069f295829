"""A log that happened, as a backtest needs it: its replay, and who sent what in truth where that is known."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from stillwatch.live.replay import replay
from stillwatch.rejects import RejectLog
from stillwatch.response import ResponseError
from stillwatch.sketching import Source, sketch_log

if TYPE_CHECKING:
    from stillwatch.examine import Options
    from stillwatch.keys import Keys
    from stillwatch.live.step import Looking

Principal = tuple[str, str | None]
SEAL = "replay.json"
"""By this file a folder is the result of a replay."""
TRUTH = ("exchange_id", "operator_id", "extraction")
"""Columns of a truth that are read."""


@dataclass(frozen=True, slots=True)
class Row:
    """One exchange with its truth."""

    principal: Principal
    at_us: int
    extraction: bool
    operator: str
    """Who runs the campaign; empty for an ordinary exchange."""


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent, with the truth of it."""

    rows: tuple[Row, ...]


@dataclass(frozen=True, slots=True)
class Past:
    """The replay of one log."""

    flags: tuple[Mapping[str, Any], ...]
    """Rows of ``flags.parquet``, with ``at_us``, in order of time."""
    looks: tuple[Mapping[str, Any], ...]
    """Rows of ``looks.parquet``, with ``at_us``, in order of time."""
    prior: float
    calibrated: bool
    """Whether the looks were held against a calibration."""
    sent: Sent | None
    """None where no truth was given."""


def is_replay(place: Path) -> bool:
    """Whether a place is the result of a replay."""
    return (place / SEAL).is_file()


def past_of_replay(folder: Path) -> Past:
    """The past of a replay's result. Raises :class:`ResponseError` where it is none, or of an older version."""
    try:
        overview = json.loads((folder / SEAL).read_text("utf-8"))
        flags, looks = pq.read_table(folder / "flags.parquet"), pq.read_table(folder / "looks.parquet")
        return _past(flags, looks, overview, None)
    except (OSError, ValueError, KeyError, pa.ArrowException) as error:
        raise ResponseError(
            f"{folder} is no whole result of a replay of this release; run `stillwatch replay` again"
        ) from error


def past_of_log(source: Source, keys: Keys, options: Options, looking: Looking, truth: Path | None) -> Past:
    """Replay a log, and hold its truth beside it where there is one."""
    with tempfile.TemporaryDirectory(prefix="stillwatch-past-") as name:
        result = replay(source, Path(name) / "replay", keys, options, looking)
    sent = None if truth is None else Sent(tuple(_rows(source, keys, options, truth)))
    return _past(result.flags, result.looks, result.overview, sent)


def _past(flags: pa.Table, looks: pa.Table, overview: Mapping[str, Any], sent: Sent | None) -> Past:
    calibrated = overview["calibration_alpha"] is not None
    return Past(
        tuple(_timed(flags, "flagged_at")),
        tuple(_timed(looks, "looked_at")),
        overview["prior"],
        calibrated,
        sent,
    )


def _timed(table: pa.Table, column: str) -> Iterator[Mapping[str, Any]]:
    times = table[column].cast(pa.int64()).to_pylist()
    rows = [row | {"at_us": at} for row, at in zip(table.to_pylist(), times, strict=True)]
    return iter(sorted(rows, key=lambda row: row["at_us"]))


def _rows(source: Source, keys: Keys, options: Options, truth: Path) -> Iterator[Row]:
    told = _truth(truth)
    unknown = 0
    with RejectLog(None, limit=options.reject_share) as rejects:
        for exchange, account, user, at_us in _exchanges(source, keys, rejects):
            operator = told.get(exchange)
            unknown += operator is None
            if operator is not None:
                yield Row((account, user or None), at_us, bool(operator), operator)
    if unknown:
        raise ResponseError(
            f"{truth} does not tell of {unknown:,} exchanges of the log; give the truth of this log"
        )


def _exchanges(source: Source, keys: Keys, rejects: RejectLog) -> Iterator[tuple[str, str, str | None, int]]:
    batches: Iterable[pa.RecordBatch]
    if source.sketched:
        batches, column = sketch_log(source, keys, rejects), "at_us"
    else:
        batches, column = source.exchanges(rejects), "started_at"
    for batch in batches:
        times = batch[column] if column == "at_us" else batch[column].cast(pa.timestamp("us", tz="UTC"))
        columns = (batch["exchange_id"], batch["account_id"], batch["end_user_id"], times.cast(pa.int64()))
        yield from zip(*(one.to_pylist() for one in columns), strict=True)


def _truth(path: Path) -> dict[str, str]:
    """For each exchange its operator, or nothing where it is ordinary."""
    try:
        table = pq.read_table(path, columns=list(TRUTH))
    except (OSError, pa.ArrowException, KeyError) as error:
        raise ResponseError(
            f"cannot read the truth {path}: give a Parquet file with {', '.join(TRUTH)}"
        ) from error
    if table.num_columns < len(TRUTH):
        raise ResponseError(f"the truth {path} lacks a column; it needs {', '.join(TRUTH)}")
    columns = (table[name].to_pylist() for name in TRUTH)
    return {
        exchange: (operator or "?") if extraction else ""
        for exchange, operator, extraction in zip(*columns, strict=True)
    }
