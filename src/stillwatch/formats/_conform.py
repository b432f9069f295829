"""Stated exchanges and foreign tables to record batches of the exchange table: the one place of every check.

A name that is blank is null, whoever wrote it: of what is not set, many programs write an empty text, and all
accounts without an organization would be of one. A row without a required value is rejected; a value that makes no
sense (a negative count, a temperature that is not a number) becomes null and is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from operator import attrgetter, itemgetter
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stillwatch.exchange import COLUMNS, EXCHANGE_SCHEMA, MESSAGE, REQUIRED, UTC_MICROSECONDS
from stillwatch.formats._blobs import holds_blob
from stillwatch.formats._content import add_turns, tool_text, without_blobs
from stillwatch.formats._stated import MalformedError, StatedExchange
from stillwatch.formats._times import is_zoneless, to_microseconds

NUMBERS = tuple(column.name for column in COLUMNS if column.type in (pa.int64(), pa.float64()))
LARGEST_INTEGER = 2**63 - 1
TEXTS = tuple(column.name for column in COLUMNS if column.type == pa.string())
NAMES = tuple(name for name in TEXTS if name not in ("completion", "reasoning"))
"""Columns of texts that name somebody or something; the others hold what was said."""

Columns = dict[str, pa.Array]
Complete = Callable[[Columns], Columns]
"""Fills in what a log leaves out, before anything is checked."""


@dataclass(frozen=True, slots=True)
class Piece:
    """Some of a log's rows: the good ones as a batch, and what became of the others."""

    batch: pa.RecordBatch
    """The good rows, of the exchange schema, in their order."""
    rejected: tuple[tuple[int, str], ...]
    """Row that is malformed (its index here, its place in the log elsewhere) and the reason, in order."""
    nulled: Mapping[str, int]
    """By column, values that made no sense and became null."""
    skipped: Mapping[str, int] = field(default_factory=dict)
    """By reason, records that are well-formed but no exchange."""
    calls: np.ndarray | None = None
    """Of each row the number of its call, where a log may tell of one call twice; 0 for a row of which it may not."""
    zoneless: int = 0
    """Times of exchanges that named no zone and were read as UTC."""


def joined(pieces: Sequence[Piece]) -> Piece:
    """Pieces that were read together as one, rejected rows in order."""
    if len(pieces) == 1:
        return pieces[0]
    nulled: Counter[str] = Counter()
    skipped: Counter[str] = Counter()
    for piece in pieces:
        nulled.update(piece.nulled)
        skipped.update(piece.skipped)
    calls = None
    if any(piece.calls is not None for piece in pieces):
        calls = np.concatenate(
            [np.zeros(len(one.batch), np.uint64) if one.calls is None else one.calls for one in pieces]
        )
    return Piece(
        pa.concat_batches([conform_stated(()).batch, *(piece.batch for piece in pieces)]),
        tuple(sorted((row for piece in pieces for row in piece.rejected), key=itemgetter(0))),
        nulled, skipped, calls, sum(piece.zoneless for piece in pieces),
    )  # fmt: skip


def conform_stated(exchanges: Sequence[StatedExchange], complete: Complete | None = None) -> Piece:
    """Check stated exchanges and return them as a record batch."""
    rejected: dict[int, str] = {}
    kept: list[int] = []
    times: list[int] = []
    tools: list[list[str] | None] = []
    roles: list[str] = []
    contents: list[str] = []
    ends = [0]
    zoneless = 0
    for index, exchange in enumerate(exchanges):
        try:
            time = to_microseconds(exchange.started_at)
            tool = None if exchange.tools is None else [tool_text(tool) for tool in exchange.tools]
            add_turns(exchange.messages, roles, contents)
        except MalformedError as error:
            rejected[index] = str(error)
        except RecursionError:
            rejected[index] = "nested too deeply"
        else:
            times.append(time)
            zoneless += is_zoneless(exchange.started_at)
            tools.append(tool)
            ends.append(len(roles))
            kept.append(index)
            continue
        del roles[ends[-1] :], contents[ends[-1] :]
    good = exchanges if not rejected else [exchanges[index] for index in kept]
    nulled: Counter[str] = Counter()
    columns = _columns(good, nulled)
    columns["started_at"] = pa.array(times, pa.int64()).cast(UTC_MICROSECONDS)
    columns["messages"] = message_lists(
        pa.array(ends, pa.int32()), pa.array(roles, pa.string()), pa.array(contents, pa.string())
    )
    columns["tools"] = pa.array(tools, pa.list_(pa.string()))
    checked = conform(columns, complete)
    nulled.update(checked.nulled)
    rejected |= {kept[index]: reason for index, reason in checked.rejected}
    return Piece(checked.batch, tuple(sorted(rejected.items())), nulled, zoneless=zoneless)


def _columns(exchanges: Sequence[StatedExchange], nulled: Counter[str]) -> Columns:
    """Return the columns that need no work beyond their type."""
    columns = {
        "account_created_at": _openings(_values(exchanges, "account_created_at"), nulled),
    }
    for name in TEXTS:
        columns[name] = _texts(_values(exchanges, name))
    for name in NUMBERS:
        values = _values(exchanges, name)
        columns[name] = _numbers(values, EXCHANGE_SCHEMA.field(name).type, partial(_count, nulled, name))
    return columns


def _values(exchanges: Sequence[StatedExchange], name: str) -> list[Any]:
    return list(map(attrgetter(name), exchanges))


def _count(nulled: Counter[str], name: str, values: int) -> None:
    nulled[name] += values


def _texts(values: list[str | int | None]) -> pa.Array:
    try:
        return pa.array(values, pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())


def _numbers(values: list[int | float | None], type_: pa.DataType, count: Callable[[int], None]) -> pa.Array:
    try:
        # The inferred type: an explicit one would cut fractions off.
        array = pa.array(values)
        if pa.types.is_null(array.type) or array.type == type_ or pa.types.is_floating(type_):
            return array.cast(type_)
    except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
        pass
    kept = [_number(value, type_) for value in values]
    count(kept.count(None) - values.count(None))
    return pa.array(kept, type_)


def _number(value: int | float | None, type_: pa.DataType) -> int | float | None:
    if value is None:
        return None
    try:
        if pa.types.is_floating(type_):
            return float(value)
        return int(value) if int(value) == value and abs(value) <= LARGEST_INTEGER else None
    except (OverflowError, ValueError):
        return None


def _openings(values: list[str | int | float | None], nulled: Counter[str]) -> pa.Array:
    times: list[int | None] = []
    for value in values:
        try:
            times.append(None if value is None else to_microseconds(value))
        except MalformedError:
            times.append(None)
            nulled["account_created_at"] += 1
    return pa.array(times, pa.int64()).cast(UTC_MICROSECONDS)


def message_lists(offsets: pa.Array, roles: pa.Array, contents: pa.Array) -> pa.Array:
    """Return a messages column from the flat roles and contents of its lists."""
    structs = pa.StructArray.from_arrays([roles, contents], fields=list(MESSAGE))
    return pa.ListArray.from_arrays(offsets, structs)


def conform(columns: Columns, complete: Complete | None = None) -> Piece:
    """Check columns of the right types (a missing one is null) and return them as a record batch."""
    length = len(columns["messages"])
    full = {c.name: columns[c.name] if c.name in columns else pa.nulls(length, c.type) for c in COLUMNS}
    for name in NAMES:
        full[name] = _named(full[name])
    if complete is not None:
        full = complete(full)
    full["country"] = pc.ascii_upper(full["country"])
    bad = np.zeros(length, dtype=bool)
    reasons: dict[int, str] = {}
    for name in REQUIRED:
        empty = full[name].is_null().to_numpy(zero_copy_only=False)
        _reject(np.flatnonzero(empty & ~bad), f"{name} is missing or empty", reasons)
        bad |= empty
    keep = pa.array(~bad)
    if bad.any():
        full = {name: column.filter(keep) for name, column in full.items()}
    nulled: Counter[str] = Counter()
    for name in NUMBERS:
        full[name] = _sensible(full[name], partial(_count, nulled, name))
    full["messages"] = _without_blobs_in_messages(full["messages"])
    for name in ("completion", "reasoning"):
        full[name] = _without_blobs(full[name])
    # Positions by name: the schema says which columns may be null, arrays do not.
    batch = pa.RecordBatch.from_arrays([full[name] for name in EXCHANGE_SCHEMA.names], schema=EXCHANGE_SCHEMA)
    return Piece(batch, tuple(sorted(reasons.items())), nulled)


def _named(column: pa.Array) -> pa.Array:
    """Return a column of names in which a blank one is null; the same array where there is none."""
    if column.null_count == len(column):
        return column
    blank = pc.or_(pc.utf8_is_space(column), pc.equal(pc.binary_length(column), 0))
    if not pc.any(blank).as_py():
        return column
    return pc.if_else(blank, pa.scalar(None, column.type), column)


def _reject(rows: Iterable[int], reason: str, reasons: dict[int, str]) -> None:
    for row in rows:
        reasons[int(row)] = reason


def _sensible(column: pa.Array, count: Callable[[int], None]) -> pa.Array:
    """Return a column of numbers in which what is negative or no number is null."""
    if column.null_count == len(column):
        return column
    wrong = pc.less(column, pa.scalar(0, column.type))
    if column.type == pa.float64():
        wrong = pc.or_(wrong, pc.invert(pc.is_finite(column)))
    found = pc.sum(wrong).as_py() or 0
    if not found:
        return column
    count(found)
    return pc.if_else(pc.fill_null(wrong, False), pa.scalar(None, column.type), column)


def _without_blobs(column: pa.Array) -> pa.Array:
    """Return texts in which every long run of base64 is a media token; the same array where there is none."""
    if column.null_count == len(column):
        return column
    held = holds_blob(column)
    if not held.any():
        return column
    found = pa.array(held)
    replaced = pa.array([without_blobs(text.as_py()) for text in column.filter(found)], pa.string())
    return pc.replace_with_mask(column, found, replaced)


def _without_blobs_in_messages(column: pa.Array) -> pa.Array:
    contents = column.values.field("content")
    cleaned = _without_blobs(contents)
    if cleaned is contents:
        return column
    return message_lists(column.offsets, column.values.field("role"), cleaned)
