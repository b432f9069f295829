"""The tables of some streams, made of what their exchanges have in the sketches."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import pyarrow as pa

from stillwatch.spool import at_rows
from stillwatch.streams import HOUR_US, OBJECTIVE_SUMS, SETTINGS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.engine.base import Engine
    from stillwatch.spool import Columns
    from stillwatch.streams import Members


@dataclass(frozen=True, slots=True)
class Owners:
    """Who sent each of the n exchanges of a log, and to which model."""

    hashes: NDArray[np.int64]
    """int64[p]: keyed hash of each principal."""

    of_row: NDArray[np.int32]
    """int32[n]: principal of each exchange."""

    model: NDArray[np.int32]
    """int32[n]: number of the model, in order of name; -1 for none."""


def build(engine: Engine, members: Members, sketches: Columns, owners: Owners) -> dict[str, pa.Table]:
    """Tables of the streams in ``members``: cells, fills, topics and settings, registered with the engine
    too."""
    at = sketches["at_us"].to_numpy()[members.row]
    columns: dict[str, Any] = {
        "stream_id": members.stream,
        "principal": owners.hashes[owners.of_row[members.row]],
        "hour": (at // HOUR_US).astype(np.int32),
        "model": owners.model[members.row],
        "at_us": at,
        "variety": members.variety,
    }
    for name in ("input_tokens", "output_tokens", *SETTINGS):
        columns[name] = _numbers_at(sketches, name, members.row)
    columns |= {name: members.objective[:, index] for index, name in enumerate(OBJECTIVE_SUMS)}
    engine.register({"member": pa.table(columns)})
    tables = {name: engine.query(sql) for name, sql in _STREAM_SQL.items()}
    engine.register({"member": pa.table({"stream_id": pa.array([], pa.int32())})})
    tables |= {"fills": _fill_table(members, owners), "topics": _word_table(members, sketches, owners)}
    engine.register(tables)
    return tables


def _fill_table(members: Members, owners: Owners) -> pa.Table:
    """What fills the slots of each stream, in how many exchanges and by how many principals."""
    bounds, values, owner = _by_stream(members.fill_stream, members.fill, owners.of_row[members.fill_row])
    stream, fill, exchanges, principals = _count_fills(bounds, values, owner, len(owners.hashes))
    return pa.table({"stream_id": stream, "fill": fill, "exchanges": exchanges, "principals": principals})


def _word_table(members: Members, sketches: Columns, owners: Owners) -> pa.Table:
    """Words of the vocabulary samples in each stream by principal, and in how many exchanges."""
    words, member = _words_at(sketches, members)
    bounds, values, owner = _by_stream(members.stream[member], words, owners.of_row[members.row[member]])
    del words, member
    stream, word, exchanges, owner = _count_words(bounds, values, owner, len(owners.hashes))
    return pa.table(
        {"stream_id": stream, "principal": owners.hashes[owner], "word": word, "exchanges": exchanges}
    )


def _numbers_at(sketches: Columns, name: str, rows: NDArray[np.int32]) -> pa.Array:
    """A column of numbers at some rows."""
    values, known = np.zeros(len(rows), np.int64), np.zeros(len(rows), bool)
    for places, found in at_rows(sketches, name, rows):
        if found.null_count < len(found):
            values[places] = found.fill_null(0).to_numpy()
            known[places] = found.is_valid().to_numpy(zero_copy_only=False)
    return pa.array(values, mask=~known)


def _words_at(sketches: Columns, members: Members) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Words of the vocabulary samples of the members, and the member that each belongs to."""
    words, owners = [np.empty(0, np.int64)], [np.empty(0, np.int32)]
    for places, lists in at_rows(sketches, "vocabulary", members.row):
        words.append(lists.flatten().to_numpy(zero_copy_only=False).astype(np.int64, copy=False))
        lengths = lists.value_lengths().fill_null(0).to_numpy()
        owners.append(np.repeat(places.astype(np.int32), lengths))
    return np.concatenate(words), np.concatenate(owners)


@numba.njit(nogil=True, cache=True)
def _by_stream(stream: Any, value: Any, owner: Any) -> Any:
    """Entries in order of stream: where those of each begin, value and owner."""
    bounds = np.zeros((stream.max() if len(stream) else -1) + 2, np.int64)
    for at in range(len(stream)):
        bounds[stream[at] + 1] += 1
    bounds = np.cumsum(bounds)
    place = bounds[:-1].copy()
    values, owners = np.empty(len(value), np.int64), np.empty(len(owner), np.int32)
    for at in range(len(stream)):
        spot = place[stream[at]]
        values[spot], owners[spot] = value[at], owner[at]
        place[stream[at]] += 1
    return bounds, values, owners


@numba.njit(nogil=True, cache=True)
def _count_fills(bounds: Any, values: Any, owners: Any, principals: int) -> Any:
    """Stream, value, entries and distinct owners of each pair of stream and value."""
    size = len(values)
    streams, found = np.empty(size, np.int32), np.empty(size, np.int64)
    entries, distinct = np.zeros(size, np.int64), np.zeros(size, np.int64)
    last = np.full(principals, -1, np.int64)
    end = 0
    for stream in range(len(bounds) - 1):
        start, stop = bounds[stream], bounds[stream + 1]
        order = np.argsort(values[start:stop])
        for place in range(stop - start):
            at = start + order[place]
            if place == 0 or values[at] != found[end - 1]:
                streams[end], found[end] = stream, values[at]
                end += 1
            entries[end - 1] += 1
            if last[owners[at]] != end - 1:
                last[owners[at]] = end - 1
                distinct[end - 1] += 1
    return streams[:end].copy(), found[:end].copy(), entries[:end].copy(), distinct[:end].copy()


@numba.njit(nogil=True, cache=True)
def _count_words(bounds: Any, values: Any, owners: Any, principals: int) -> Any:
    """Stream, value, entries and owner of each of their triples."""
    size = len(values)
    streams, found = np.empty(size, np.int32), np.empty(size, np.int64)
    entries, held_by = np.zeros(size, np.int64), np.empty(size, np.int32)
    spot_of = np.full(principals, -1, np.int64)
    end = 0
    for stream in range(len(bounds) - 1):
        start, stop = bounds[stream], bounds[stream + 1]
        order = np.argsort(values[start:stop])
        begin = end
        for place in range(stop - start):
            at = start + order[place]
            if place == 0 or values[at] != values[start + order[place - 1]]:
                begin = end
            spot = spot_of[owners[at]]
            if spot < begin:
                spot = end
                spot_of[owners[at]] = end
                streams[end], found[end], held_by[end] = stream, values[at], owners[at]
                end += 1
            entries[spot] += 1
    return streams[:end].copy(), found[:end].copy(), entries[:end].copy(), held_by[:end].copy()


_STREAM_SQL = {
    "cells": f"""
        SELECT stream_id, principal, hour, model, CAST(count(*) AS BIGINT) AS exchanges,
               CAST(coalesce(sum(input_tokens), 0) AS BIGINT) AS input_tokens,
               CAST(coalesce(sum(output_tokens), 0) AS BIGINT) AS output_tokens,
               min(at_us) AS first_us, max(at_us) AS last_us,
               CAST(sum(variety) AS BIGINT) AS variety,
               {", ".join(f"CAST(sum({name}) AS BIGINT) AS {name}" for name in OBJECTIVE_SUMS)}
        FROM member GROUP BY stream_id, principal, hour, model""",
    "settings": f"""
        SELECT stream_id, principal, {", ".join(SETTINGS)}, CAST(count(*) AS BIGINT) AS exchanges
        FROM (SELECT stream_id, principal, {", ".join(f"coalesce({name}, -1) AS {name}" for name in SETTINGS)}
              FROM member WHERE coalesce({", ".join(SETTINGS)}) IS NOT NULL) s
        GROUP BY stream_id, principal, {", ".join(SETTINGS)}""",
}
