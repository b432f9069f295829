"""The tables of some streams, made of what their exchanges have in the sketches.

Most streams are small, and the signals that compare words and fills are silent of them: what no signal would count
stands in no table.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stillwatch import stream_counts
from stillwatch.signals import coverage, mixing
from stillwatch.spool import at_rows, chunks_of
from stillwatch.streams import HOUR_US, OBJECTIVE_SUMS, SETTINGS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.engine.base import Engine
    from stillwatch.spool import Columns
    from stillwatch.streams import Members

COMMON = 20
"""Words in more than one of so many exchanges of a stream are of its template or of the language, to ``mixing``."""


@dataclass(frozen=True, slots=True)
class Owners:
    """Who sent each of the n exchanges of a log, to which model, and how many words are known of it."""

    hashes: NDArray[np.int64]
    """int64[p]: keyed hash of each principal."""

    of_row: NDArray[np.int32]
    """int32[n]: principal of each exchange."""

    model: NDArray[np.int32]
    """int32[n]: number of the model, in order of name; -1 for none."""

    words: NDArray[np.int32]
    """int32[n]: length of the vocabulary sample."""


def lengths(lists: Iterable[pa.Array]) -> NDArray[np.int32]:
    """Length of each list of a column, 0 for null."""
    found = [chunk.value_lengths().fill_null(0).to_numpy().astype(np.int32) for chunk in lists]
    return np.concatenate(found) if found else np.empty(0, np.int32)


def build(
    engine: Engine, members: Members, sketches: Columns, owners: Owners, *, whole: bool = False
) -> dict[str, pa.Table]:
    """Tables of the streams in ``members``: cells, fills, topics and settings, registered with the engine
    too.

    ``whole``: also what no signal would count.
    """
    streams = int(members.stream.max(initial=-1)) + 1
    places = np.arange(len(members.stream), dtype=np.int32)
    owner = owners.of_row[members.row]
    bounds, place, ordered = stream_counts.by_stream(members.stream, places, owner, streams)
    mixes = np.ones(streams, bool) if whole else _may_mix(bounds, ordered, members, owners)
    fills = np.bincount(members.fill_stream, minlength=streams)
    covered = np.ones(streams, bool) if whole else fills >= coverage.LEAST_FILLS
    sizes = np.diff(bounds)
    tables = {
        "cells": _cell_table(members, sketches, owners, bounds, place),
        "settings": _setting_table(engine, members, sketches, owners),
        "fills": _fill_table(members, owners, covered, sizes, whole=whole),
        "topics": _word_table(members, sketches, owners, mixes, sizes, whole=whole),
    }
    engine.register(tables)
    return tables


def _may_mix(
    bounds: NDArray[np.int64], ordered: NDArray[np.int32], members: Members, owners: Owners
) -> NDArray[np.bool_]:
    """Streams of which ``mixing`` might say something: a bound on the coincidences that it expects reaches its least.

    The pairs of exchanges with a word in common are most where every word is as common as it may be.
    """
    size = np.diff(bounds).astype(np.float64)
    own = stream_counts.own_pairs(bounds, ordered, len(owners.hashes)).astype(np.float64)
    words = np.bincount(members.stream, weights=owners.words[members.row], minlength=len(size))
    pairs = words * np.maximum(np.floor(size / COMMON) - 1, 0)
    others = size * (size - 1) - own
    # Where all exchanges are one principal's there are no others to compare with, and nothing is expected.
    may: NDArray[np.bool_] = (others > 0) & (own * pairs >= (mixing.LEAST_PAIRS - 1) * others)
    return may


def _cell_table(
    members: Members, sketches: Columns, owners: Owners, bounds: NDArray[np.int64], place: NDArray[np.int32]
) -> pa.Table:
    owner, model = owners.of_row[members.row], owners.model[members.row]
    at = sketches["at_us"].to_numpy()[members.row]
    hour = (at // HOUR_US).astype(np.int32)
    cell, opener = stream_counts.number_cells(bounds, place, owner, hour, model)
    cells = len(opener)
    first, last = stream_counts.first_and_last(cell, at, opener)
    columns: dict[str, Any] = {
        "stream_id": members.stream[opener],
        "principal": owners.hashes[owner[opener]],
        "hour": hour[opener],
        "model": model[opener],
        "exchanges": np.bincount(cell, minlength=cells),
    }
    for name in ("input_tokens", "output_tokens"):
        sums = stream_counts.total(cell, _numbers_at(sketches, name, members.row, 0), cells)
        columns[name] = stream_counts.checked(sums, name)
    columns |= {"first_us": first, "last_us": last}
    columns["variety"] = stream_counts.total(cell, members.variety, cells)
    for index, name in enumerate(OBJECTIVE_SUMS):
        columns[name] = stream_counts.total(cell, members.objective[:, index], cells)
    return pa.table(columns)


def _setting_table(engine: Engine, members: Members, sketches: Columns, owners: Owners) -> pa.Table:
    """What the requests state of how they are to be answered; -1 for unstated."""
    values = {name: _numbers_at(sketches, name, members.row, -1) for name in SETTINGS}
    stated = np.flatnonzero(np.any([column != -1 for column in values.values()], axis=0))
    columns: dict[str, Any] = {
        "stream_id": members.stream[stated],
        "principal": owners.hashes[owners.of_row[members.row[stated]]],
    }
    columns |= {name: column[stated] for name, column in values.items()}
    engine.register({"member": pa.table(columns)})
    found = engine.query(_SETTINGS_SQL)
    engine.register({"member": pa.table({"stream_id": pa.array([], pa.int32())})})
    return found


def _fill_table(
    members: Members, owners: Owners, chosen: NDArray[np.bool_], sizes: NDArray[np.int64], *, whole: bool
) -> pa.Table:
    """What fills the slots of the ``chosen`` streams, in how many exchanges and by how many principals."""
    kept = np.flatnonzero(chosen[members.fill_stream])
    most = np.full(len(sizes), len(kept)) if whole else sizes // coverage.OF_TEMPLATE
    bounds, values, owner = stream_counts.by_stream(
        members.fill_stream[kept], members.fill[kept], owners.of_row[members.fill_row[kept]], len(sizes)
    )
    stream, fill, exchanges, principals = stream_counts.count_fills(
        bounds, values, owner, len(owners.hashes), most
    )
    return pa.table({"stream_id": stream, "fill": fill, "exchanges": exchanges, "principals": principals})


def _word_table(
    members: Members, sketches: Columns, owners: Owners, chosen: NDArray[np.bool_],
    sizes: NDArray[np.int64], *, whole: bool,
) -> pa.Table:  # fmt: skip
    """Words of the vocabulary samples in the ``chosen`` streams by principal, and in how many exchanges."""
    kept = np.flatnonzero(chosen[members.stream])
    kept = kept[np.argsort(members.row[kept], kind="stable")]
    rows = members.row[kept]
    words, starts = _words_at(sketches, rows, owners.words[rows])
    most = np.full(len(sizes), len(words)) if whole else sizes // COMMON
    bounds, member, _ = stream_counts.by_stream(members.stream[kept], np.arange(len(kept)), rows, len(sizes))
    stream, word, exchanges, owner = stream_counts.count_words(
        bounds, member, starts, words, owners.of_row[rows], len(owners.hashes), most
    )
    return pa.table(
        {"stream_id": stream, "principal": owners.hashes[owner], "word": word, "exchanges": exchanges}
    )


def _numbers_at(sketches: Columns, name: str, rows: NDArray[np.int32], unknown: int) -> NDArray[np.int64]:
    """A column of numbers at some rows, ``unknown`` for null."""
    chunks = [chunk.fill_null(unknown).to_numpy() for chunk in chunks_of(sketches, name)]
    return np.concatenate(chunks)[rows].astype(np.int64, copy=False) if chunks else np.empty(0, np.int64)


def _words_at(
    sketches: Columns, rows: NDArray[np.int32], held: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Words of the vocabulary samples at some ascending rows, of which ``held`` are known, and where those of each begin
    and end."""
    starts = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(held, out=starts[1:])
    words = np.empty(starts[-1], np.int64)
    for places, lists in at_rows(sketches, "vocabulary", rows) if len(rows) else ():
        first, last = starts[places[0]], starts[places[-1] + 1]
        words[first:last] = lists.flatten().to_numpy(zero_copy_only=False)
    return words, starts


_SETTINGS_SQL = f"""
    SELECT stream_id, principal, {", ".join(SETTINGS)}, CAST(count(*) AS BIGINT) AS exchanges
    FROM member GROUP BY stream_id, principal, {", ".join(SETTINGS)}"""
