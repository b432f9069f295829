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
from stillwatch.families.fragments import Dictionary
from stillwatch.memberships import Members
from stillwatch.signals import coverage, mixing
from stillwatch.spool import between, chunks_of
from stillwatch.streams import HOUR_US, OBJECTIVE_SUMS, SETTINGS, register_streams

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.engine.base import Engine
    from stillwatch.spool import Columns

COMMON = 20
"""Words in more than one of so many exchanges of a stream are of its template or of the language, to ``mixing``."""


@dataclass(frozen=True, slots=True)
class Owners:
    """What is known of each of the n exchanges of a log without reading its sketch again."""

    hashes: NDArray[np.int64]
    """int64[p]: keyed hash of each principal."""

    of_row: NDArray[np.int32]
    """int32[n]: principal of each exchange."""

    model: NDArray[np.int32]
    """int32[n]: number of the model, in order of name; -1 for none."""

    words: NDArray[np.int32]
    """int32[n]: length of the vocabulary sample."""

    at_us: NDArray[np.int64]

    setting: NDArray[np.int32]
    """int32[n]: what the request states of how it is to be answered, a row of ``settings``."""

    settings: NDArray[np.int64]
    """int64[k, 4]: values of ``SETTINGS``, -1 for unstated."""


def lengths(lists: Iterable[pa.Array]) -> NDArray[np.int32]:
    """Length of each list of a column, 0 for null."""
    found = [chunk.value_lengths().fill_null(0).to_numpy().astype(np.int32) for chunk in lists]
    return np.concatenate(found) if found else np.empty(0, np.int32)


def in_order(members: Members, chosen: NDArray[np.bool_]) -> Members:
    """The ``chosen`` streams (bool[streams]) with their numbers, in order of stream, without what fills their slots."""
    inside = np.flatnonzero(chosen[members.stream]).astype(np.int32)
    bounds, place, row = stream_counts.by_stream(
        members.stream[inside], inside, members.row[inside], len(chosen)
    )
    stream = np.repeat(np.arange(len(chosen), dtype=np.int32), np.diff(bounds))
    return Members(stream, row, members.objective[place], members.variety[place])


def number_settings(sketches: Columns) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Number what each of n exchanges states of how it is to be answered: int32[n], and the values of each number,
    int64[k, 4]."""
    codes, values = np.zeros(sketches.num_rows, np.int32), np.empty((1, 0), np.int64)
    for name in SETTINGS:
        known, both = Dictionary(), Dictionary()
        start = 0
        for chunk in chunks_of(sketches, name):
            rows = slice(start, start + len(chunk))
            own = known.encode(chunk.fill_null(-1).to_numpy())
            codes[rows] = both.encode(codes[rows].astype(np.int64) << 32 | own)
            start += len(chunk)
        pairs = both.values()
        values = np.column_stack([values[pairs >> 32], known.values()[pairs & 0xFFFFFFFF]])
    return codes, values


def build(
    engine: Engine, members: Members, sketches: Columns, owners: Owners, *, whole: bool = False
) -> dict[str, pa.Table]:
    """Tables of the streams in ``members``: scores, cells, fills, topics and settings, registered with the
    engine too.

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
        "scores": _score_table(members, sizes),
        "cells": _cell_table(members, owners, bounds, place),
        "settings": _setting_table(members, owners),
        "fills": _fill_table(members, owners, covered, sizes, whole=whole),
        "topics": _word_table(members, sketches, owners, mixes, sizes, whole=whole),
    }
    register_streams(engine, tables)
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


def _score_table(members: Members, sizes: NDArray[np.int64]) -> pa.Table:
    """What the texts of each stream ask for, and how much their wordings vary: sums over its exchanges."""
    held = np.flatnonzero(sizes)
    columns: dict[str, Any] = {"stream_id": held, "exchanges": sizes[held]}
    for name, values in (
        ("variety", members.variety), *zip(OBJECTIVE_SUMS, members.objective.T, strict=True)
    ):  # fmt: skip
        columns[name] = stream_counts.total(members.stream, values, len(sizes))[held]
    return pa.table(columns)


def _cell_table(
    members: Members, owners: Owners, bounds: NDArray[np.int64], place: NDArray[np.int32]
) -> pa.Table:
    owner, at = owners.of_row[members.row], owners.at_us[members.row]
    hour, model = (at // HOUR_US).astype(np.int32), owners.model[members.row]
    cell, opener = stream_counts.number_cells(bounds, place, owner, hour, model)
    first, last = stream_counts.first_and_last(cell, at, opener)
    return pa.table(
        {
            "stream_id": members.stream[opener],
            "principal": owners.hashes[owner[opener]],
            "hour": hour[opener],
            "model": model[opener],
            "exchanges": np.bincount(cell, minlength=len(opener)),
            "first_us": first,
            "last_us": last,
        }
    )


def _setting_table(members: Members, owners: Owners) -> pa.Table:
    """What the requests state of how they are to be answered, by stream and principal."""
    setting = owners.setting[members.row]
    stated = np.flatnonzero((owners.settings != -1).any(axis=1)[setting])
    setting, owner, stream = setting[stated], owners.of_row[members.row[stated]], members.stream[stated]
    streams = int(stream.max(initial=-1)) + 1
    bounds, place, _ = stream_counts.by_stream(stream, np.arange(len(stated), dtype=np.int32), owner, streams)
    cell, opener = stream_counts.number_cells(bounds, place, owner, setting, np.zeros(len(stated), np.int32))
    columns: dict[str, Any] = {"stream_id": stream[opener], "principal": owners.hashes[owner[opener]]}
    columns |= dict(zip(SETTINGS, owners.settings[setting[opener]].T, strict=True))
    return pa.table(columns | {"exchanges": np.bincount(cell, minlength=len(opener))})


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
    """Words of the vocabulary samples in the ``chosen`` streams: in how many exchanges, and the ordered pairs of those that
    are one principal's."""
    kept = np.flatnonzero(chosen[members.stream])
    kept = kept[np.argsort(members.row[kept], kind="stable")]
    rows = members.row[kept]
    words, starts = _words_at(sketches, rows, owners.words[rows])
    most = np.full(len(sizes), len(words)) if whole else sizes // COMMON
    bounds, member, _ = stream_counts.by_stream(members.stream[kept], np.arange(len(kept)), rows, len(sizes))
    stream, word, exchanges, own_pairs = stream_counts.count_words(
        bounds, member, starts, words, owners.of_row[rows], len(owners.hashes), most
    )
    return pa.table({"stream_id": stream, "word": word, "exchanges": exchanges, "own_pairs": own_pairs})


def _words_at(
    sketches: Columns, rows: NDArray[np.int32], held: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Words of the vocabulary samples at some ascending rows, of which ``held`` are known, and where those of each begin
    and end."""
    starts = np.zeros(len(rows) + 1, np.int64)
    np.cumsum(held, out=starts[1:])
    words = np.empty(starts[-1], np.int64)
    start = 0
    for chunk in chunks_of(sketches, "vocabulary") if len(rows) else ():
        first, last = between(rows, start, start + len(chunk))
        if first < last:
            begins = chunk.offsets.to_numpy()[rows[first:last] - start]
            values = chunk.values.to_numpy(zero_copy_only=False)
            stream_counts.copy_lists(values, begins, starts[first : last + 1], words)
        start += len(chunk)
    return words, starts
