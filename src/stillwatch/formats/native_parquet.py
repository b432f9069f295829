"""The native exchange table as Parquet: read in batches, by column, without copying what already fits."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stillwatch.exchange import COLUMNS, EXCHANGE_SCHEMA, REQUIRED, UTC_MICROSECONDS
from stillwatch.formats import About, Complete, Piece
from stillwatch.formats._conform import Columns, conform, message_lists
from stillwatch.formats._content import known_role
from stillwatch.formats._stated import MalformedError
from stillwatch.formats._times import EARLIEST_SECONDS, LATEST_SECONDS, is_zoneless, to_microseconds
from stillwatch.listing import LogFile, opened
from stillwatch.rejects import DamagedLogError, MissingColumnError

# Memory of one batch: rows are few where their texts are long.
BATCH_BYTES = 64 << 20
READ_BUFFER_BYTES = 1 << 20
_NOT_UNICODE = "a text is not UTF-8"
BROKEN = (pa.ArrowException, OSError, UnicodeDecodeError)
"""What Arrow raises for a Parquet file that is not whole."""
_UNKNOWN_ROLE = "a message has no role, or an unknown one"
_NO_TIME = "the time is none between the years 2000 and 2200"


class NativeTable:
    """The exchange table itself; other column types are cast where that loses nothing."""

    name = "native-parquet"
    about = About(
        title="stillwatch exchange table, Parquet",
        needs="nothing: this is the table itself; an optional column may be left out",
        fields={column.name: column.name for column in COLUMNS},
        lost={"any other column": "it is no column of the table"},
        identity="account_id and end_user_id, as they stand; a mapping of identities may replace them",
    )

    def recognises_schema(self, schema: pa.Schema) -> bool:
        """Say whether a table names its accounts and messages as the exchange table does."""
        return "account_id" in schema.names or "messages" in schema.names

    def read_file(
        self,
        path: LogFile,
        batch_rows: int,
        complete: Complete | None = None,
        unread: frozenset[str] = frozenset(),
    ) -> Iterator[tuple[float, Piece]]:
        """Yield the file in pieces, each with the share of the file that was read by then; columns that are
        ``unread`` are null."""
        try:
            with (
                opened(path) as raw,
                pq.ParquetFile(
                    raw, buffer_size=READ_BUFFER_BYTES, pre_buffer=False, page_checksum_verification=True
                ) as file,
            ):
                names = [name for name in self._columns(file.schema_arrow, path) if name not in unread]
                total = file.metadata.num_rows
                rows = _rows_of_a_batch(file.metadata, batch_rows)
                first = 0
                for batch in file.iter_batches(batch_size=rows, columns=names):
                    yield (first + len(batch)) / max(total, 1), _piece(batch, path, first, complete)
                    first += len(batch)
                # A page whose header is torn may be passed over instead of refused.
                if first != total:
                    raise damaged(path)
        except BROKEN as error:
            raise damaged(path) from error

    def _columns(self, schema: pa.Schema, path: LogFile) -> list[str]:
        missing = [name for name in REQUIRED if name not in schema.names]
        if missing:
            raise MissingColumnError(
                f"{path} lacks the required column {missing[0]}; required are {', '.join(REQUIRED)}. "
                f"Add it, or rename the column that holds it.",
                file=path,
            )
        return [name for name in EXCHANGE_SCHEMA.names if name in schema.names]


def read_schema(path: LogFile) -> pa.Schema:
    """Return the schema of a Parquet file, or raise an error that names what is wrong with it."""
    try:
        with opened(path) as raw:
            return pq.read_schema(raw)
    except BROKEN as error:
        raise damaged(path) from error


def damaged(path: LogFile) -> DamagedLogError:
    """Return the error for a file that is not whole."""
    return DamagedLogError(
        f"{path} is no whole Parquet file: it was cut off or is broken inside. "
        "Write it again or leave it out.",
        file=path,
    )


def _rows_of_a_batch(metadata: Any, batch_rows: int) -> int:
    size: int = sum(metadata.row_group(index).total_byte_size for index in range(metadata.num_row_groups))
    row_bytes = max(1, size // max(1, int(metadata.num_rows)))
    return max(1, min(batch_rows, BATCH_BYTES // row_bytes))


def _piece(batch: pa.RecordBatch, path: LogFile, first: int, complete: Complete | None) -> Piece:
    columns: Columns = {}
    bad = dict.fromkeys(_not_unicode(batch), _NOT_UNICODE)
    rows_kept = np.delete(np.arange(len(batch)), list(bad))
    rows: Sequence[int] = ()
    if bad:
        batch = batch.take(pa.array(rows_kept))
    zoneless, lost = 0, {}
    for name in batch.schema.names:
        column = batch.column(name)
        if name == "messages":
            column, rows = _messages(_plain(column), path)
        columns[name] = _cast(name, column, path)
        if EXCHANGE_SCHEMA.field(name).type == UTC_MICROSECONDS:
            lost[name] = pc.and_(column.is_valid(), columns[name].is_null())
            zoneless += _zoneless(column) if name == "started_at" else 0
    if rows:
        bad |= {int(rows_kept[row]): _UNKNOWN_ROLE for row in rows}
        keep = np.ones(len(batch), dtype=bool)
        keep[rows] = False
        rows_kept = rows_kept[keep]
        columns = {name: column.filter(pa.array(keep)) for name, column in columns.items()}
        lost = {name: column.filter(pa.array(keep)) for name, column in lost.items()}
    checked = conform(columns, complete)
    for index, reason in checked.rejected:
        no_time = reason.startswith("started_at") and lost["started_at"][index].as_py()
        bad[int(rows_kept[index])] = _NO_TIME if no_time else reason
    rejected = tuple((first + index + 1, reason) for index, reason in sorted(bad.items()))
    nulled = Counter(checked.nulled)
    if "account_created_at" in lost:
        nulled["account_created_at"] += pc.sum(lost["account_created_at"]).as_py() or 0
    return Piece(checked.batch, rejected, +nulled, zoneless=zoneless)


def _zoneless(times: pa.Array) -> int:
    """Times that name no zone: all of a column without one, or the texts without an offset."""
    if pa.types.is_temporal(times.type):
        return 0 if getattr(times.type, "tz", None) else len(times) - times.null_count
    return sum(is_zoneless(value) for value in times.to_pylist() if isinstance(value, str))


def _not_unicode(batch: pa.RecordBatch, first: int = 0) -> Iterator[int]:
    """Yield the rows with a text that is not UTF-8, which Parquet does not check; found by halving."""
    try:
        batch.validate(full=True)
    except pa.ArrowInvalid:
        if len(batch) == 1:
            yield first
            return
        half = len(batch) // 2
        for start, stop in ((0, half), (half, len(batch))):
            yield from _not_unicode(batch.take(pa.array(np.arange(start, stop))), first + start)


def _plain(column: pa.Array) -> pa.Array:
    """Return a dictionary-encoded column as its values."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def _cast(name: str, column: pa.Array, path: LogFile) -> pa.Array:
    wanted = EXCHANGE_SCHEMA.field(name).type
    column = _plain(column)
    if wanted == UTC_MICROSECONDS:
        return _times(column)
    if column.type == wanted:
        return column
    try:
        return column.cast(wanted)
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, pa.ArrowTypeError):
        raise MissingColumnError(
            f"{path}: the column {name} is {column.type}; it must be {wanted}, or a type that casts to it. "
            "Cast it, or leave it out if it is optional.",
            file=path,
        ) from None


def _times(column: pa.Array) -> pa.Array:
    """Return times as UTC microseconds; what is no time is null."""
    if pa.types.is_temporal(column.type):
        times = column.cast(UTC_MICROSECONDS, safe=False).cast(pa.int64())
        nonsense = pc.or_(
            pc.less(times, EARLIEST_SECONDS * 1_000_000), pc.greater(times, LATEST_SECONDS * 1_000_000)
        )
        if pc.any(nonsense).as_py():
            times = pc.if_else(nonsense, pa.scalar(None, pa.int64()), times)
        return times.cast(UTC_MICROSECONDS)
    return pa.array([_time(value) for value in column.to_pylist()], pa.int64()).cast(UTC_MICROSECONDS)


def _time(value: Any) -> int | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        return to_microseconds(value)
    except MalformedError:
        return None


def _messages(column: pa.Array, path: LogFile) -> tuple[pa.Array, Sequence[int]]:
    """Return messages with known roles and no null content, and the rows in which that is impossible."""
    if pa.types.is_large_list(column.type):
        column = column.cast(pa.list_(column.type.value_type))
    fields = {field.name for field in column.type.value_type} if _is_list_of_structs(column.type) else set()
    if not {"role", "content"} <= fields:
        raise MissingColumnError(
            f"{path}: the column messages is {column.type}; it must be list<struct<role: string, content: "
            "string>>. Write text and parts of a message as one text.",
            file=path,
        )
    # A null list keeps no place in offsets: such rows are refused by their missing messages.
    nulls = column.is_null()
    roles = _text(column.values.field("role"), path)
    contents = _text(column.values.field("content"), path)
    if contents.null_count:
        contents = pc.fill_null(contents, "")
    mapped = _roles(roles)
    rows: Sequence[int] = ()
    if mapped.null_count:
        offsets = column.offsets.to_numpy()
        positions = np.flatnonzero(mapped.is_null().to_numpy(zero_copy_only=False))
        within = positions[(positions >= offsets[0]) & (positions < offsets[-1])]
        rows = [int(row) for row in np.unique(np.searchsorted(offsets, within, side="right") - 1)]
        mapped = pc.fill_null(mapped, "user")
    lists = message_lists(column.offsets, mapped, contents)
    if column.null_count:
        lists = pc.if_else(nulls, pa.scalar(None, lists.type), lists)
    return lists, rows


def _is_list_of_structs(type_: pa.DataType) -> bool:
    return bool(pa.types.is_list(type_)) and bool(pa.types.is_struct(type_.value_type))


def _text(column: pa.Array, path: LogFile) -> pa.Array:
    column = _plain(column)
    if column.type == pa.string():
        return column
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        raise MissingColumnError(
            f"{path}: role or content inside messages is {column.type}; it must be string. "
            "Write text and parts of a message as one text.",
            file=path,
        ) from None


def _roles(roles: pa.Array) -> pa.Array:
    """Return roles as the table names them; an unknown one is null."""
    found = pc.unique(roles)
    known = [_role(role) for role in found.to_pylist()]
    if known == found.to_pylist():
        return roles
    return pa.array(known, pa.string()).take(pc.index_in(roles, value_set=found))


def _role(role: str | None) -> str | None:
    try:
        return None if role is None else known_role(role)
    except MalformedError:
        return None


FORMAT = NativeTable()
