"""Identities that a log lacks: a table from the log's key (a hashed API key, say) to the account behind it.

The table is CSV, JSON Lines or Parquet with the columns ``key`` and ``account_id`` and, where known,
``organization_id``, ``end_user_id``, ``account_created_at``, ``country`` and ``payment_fingerprint``. The
key is what the log calls the account; where a log names no account (plain request bodies), it is the end
user. What the table knows replaces what the log says; a key that it lacks stays as it is.
"""

from __future__ import annotations

import csv
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from stillwatch.exchange import EXCHANGE_SCHEMA, UTC_MICROSECONDS
from stillwatch.formats._conform import Columns
from stillwatch.formats._stated import MalformedError, is_blank
from stillwatch.formats._times import to_microseconds
from stillwatch.rejects import LogError

REQUIRED = ("key", "account_id")
OPTIONAL = ("organization_id", "end_user_id", "account_created_at", "country", "payment_fingerprint")


class IdentityError(LogError):
    """The mapping of identities cannot be used."""


class Identities:
    """A mapping of identities; :meth:`complete` applies it to the columns of a batch.

    Attributes:
        unmapped: exchanges so far of which the key is not in the table.
    """

    def __init__(self, table: dict[str, pa.Array]) -> None:
        self._keys = table["key"]
        self._values = {name: column for name, column in table.items() if name != "key"}
        self.unmapped = 0

    def complete(self, columns: Columns) -> Columns:
        """Return the columns with what the table knows of each key."""
        keys = pc.coalesce(columns["account_id"], columns["end_user_id"])
        places = pc.index_in(keys, value_set=self._keys, skip_nulls=True)
        self.unmapped += places.null_count
        filled = dict(columns)
        for name, values in self._values.items():
            filled[name] = pc.coalesce(values.take(places), columns[name])
        return filled

    def names(self) -> dict[str, tuple[str, str | None]]:
        """From each key to the account and, where the table names one, the end user behind it."""
        accounts = self._values["account_id"].to_pylist()
        users = (
            self._values["end_user_id"].to_pylist()
            if "end_user_id" in self._values
            else [None] * len(accounts)
        )
        return dict(zip(self._keys.to_pylist(), zip(accounts, users, strict=True), strict=True))


def read_identities(path: Path) -> Identities:
    """Read a mapping of identities; its format is told by the suffix."""
    rows = _rows(path)
    if not rows:
        raise IdentityError(
            f"{path} holds no identity; it needs the columns {', '.join(REQUIRED)}.", file=path
        )
    names = {name for row in rows for name in row}
    unknown = sorted(names - set(REQUIRED) - set(OPTIONAL))
    missing = [name for name in REQUIRED if name not in names]
    if unknown or missing:
        wrong = f"lacks the column {missing[0]}" if missing else f"has the unknown column {unknown[0]}"
        raise IdentityError(
            f"{path} {wrong}; required are {', '.join(REQUIRED)}, allowed are {', '.join(OPTIONAL)}. "
            "Rename or remove the column.",
            file=path,
        )
    seen: set[str] = set()
    for number, row in enumerate(rows, start=1):
        for name in REQUIRED:
            if not row.get(name):
                raise IdentityError(
                    f"{path}, row {number}: {name} is empty. Fill it in.", file=path, row=number
                )
        if str(row["key"]) in seen:
            raise IdentityError(
                f"{path}, row {number}: the key stands there twice. Keep one row a key.",
                file=path,
                row=number,
            )
        seen.add(str(row["key"]))
    return Identities({name: _column(name, rows, path) for name in (*REQUIRED, *OPTIONAL) if name in names})


def _rows(path: Path) -> list[dict[str, Any]]:
    """Return the rows of the table, with blank values left out."""
    try:
        match path.suffix:
            case ".parquet":
                import pyarrow.parquet as pq

                rows = pq.read_table(path).to_pylist()
            case ".jsonl" | ".ndjson":
                lines = [line for line in path.read_bytes().split(b"\n") if line.strip()]
                rows = [_object(line, path, number) for number, line in enumerate(lines, start=1)]
            case ".csv":
                with path.open(encoding="utf-8-sig", newline="") as file:
                    rows = _records(csv.DictReader(file, strict=True), path)
            case _:
                raise IdentityError(
                    f"{path} is no mapping of identities; give .csv, .jsonl or .parquet.", file=path
                )
    except (OSError, pa.ArrowException, csv.Error, UnicodeDecodeError) as error:
        raise IdentityError(
            f"{path} cannot be read as {path.suffix.removeprefix('.')}. Check that it exists and is whole.",
            file=path,
        ) from error
    return [{name: value for name, value in row.items() if not is_blank(value)} for row in rows]


def _object(line: bytes, path: Path, number: int) -> dict[str, Any]:
    try:
        return msgspec.json.decode(line, type=dict[str, Any])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise IdentityError(
            f"{path}, row {number}: not a JSON object. Repair the line or remove it.", file=path, row=number
        ) from None


def _records(reader: csv.DictReader[str], path: Path) -> list[dict[str, Any]]:
    header = list(reader.fieldnames or ())
    if len(set(header)) < len(header):
        raise IdentityError(f"{path} names a column twice. Rename or remove one.", file=path)
    rows = []
    for number, row in enumerate(reader, start=1):
        if None in row:
            raise IdentityError(
                f"{path}, row {number}: it has more values than the header has names. Quote values that hold "
                "a comma.",
                file=path,
                row=number,
            )
        rows.append(dict(row))
    return rows


def _column(name: str, rows: list[dict[str, Any]], path: Path) -> pa.Array:
    values = [row.get(name) for row in rows]
    if name != "account_created_at":
        for number, value in enumerate(values, start=1):
            # Printed, 5.0 or b'5' would be the name of nobody in the log.
            if isinstance(value, bool) or not isinstance(value, str | int | None):
                raise IdentityError(
                    f"{path}, row {number}: {name} is {type(value).__name__}, not a text. Write it as one.",
                    file=path,
                    row=number,
                )
        type_ = pa.string() if name == "key" else EXCHANGE_SCHEMA.field(name).type
        return pa.array([None if value is None else str(value) for value in values], type_)
    times: list[int | None] = []
    for number, value in enumerate(values, start=1):
        try:
            text = value.isoformat() if isinstance(value, datetime) else value
            times.append(None if text is None else to_microseconds(text))
        except (MalformedError, TypeError):
            raise IdentityError(
                f"{path}, row {number}: account_created_at is no time. Write it as ISO 8601.",
                file=path,
                row=number,
            ) from None
    return pa.array(times, pa.int64()).cast(UTC_MICROSECONDS)
