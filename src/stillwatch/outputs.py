"""Files of a result: each is written under a temporary name and renamed, the whole folder or nothing new."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


class OutputError(Exception):
    """A result that could not be written; the text says where, why and that the old result is untouched."""


@contextmanager
def staged(out: Path) -> Iterator[Path]:
    """A temporary folder beside ``out``; on success its files are moved into ``out``, on failure it is
    removed.

    Files of ``out`` that the result does not contain are left alone. A killed run leaves the old result,
    since nothing is moved before everything is written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
        stage = Path(tempfile.mkdtemp(prefix=".stillwatch-result-", dir=out))
    except OSError as error:
        raise OutputError(
            f"cannot write to {out}: {error.strerror}; choose another folder with --out"
        ) from error
    try:
        yield stage
        for path in sorted(stage.iterdir()):
            os.replace(path, out / path.name)
    except OSError as error:
        raise OutputError(
            f"cannot write the result into {out}: {error.strerror}; an earlier result there is as it was"
        ) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def write_table(table: pa.Table, path: Path) -> None:
    """Parquet, zstd, the same bytes for the same rows."""
    pq.write_table(table, path, compression="zstd", store_schema=False)


def write_json(value: Any, path: Path) -> None:
    """JSON with sorted keys and a newline at the end."""
    path.write_text(json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False) + "\n")


ACCOUNTS = pa.schema(
    [
        ("account_id", pa.string()),
        ("end_user_id", pa.string()),
        ("verdict", pa.string()),
        ("campaign_id", pa.string()),
        ("probability", pa.float64()),
        ("evidence_bits", pa.float64()),
        ("exchanges", pa.int64()),
        ("extraction_exchanges", pa.int64()),
        ("first_seen", pa.timestamp("us", tz="UTC")),
        ("last_seen", pa.timestamp("us", tz="UTC")),
        ("reasons", pa.list_(pa.string())),
    ]
)

FAMILIES = pa.schema(
    [
        ("family_id", pa.string()),
        ("role", pa.string()),
        ("verdict", pa.string()),
        ("campaign_id", pa.string()),
        ("exchanges", pa.int64()),
        ("principals", pa.int64()),
        ("accounts", pa.int64()),
        ("evidence_bits", pa.float64()),
        ("first_seen", pa.timestamp("us", tz="UTC")),
        ("last_seen", pa.timestamp("us", tz="UTC")),
        ("objective", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("signals", pa.map_(pa.string(), pa.float64())),
    ]
)

MATCHES = pa.schema([("exchange_id", pa.string()), ("family_id", pa.string()), ("campaign_id", pa.string())])


def to_table(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows as a table of ``schema``; a missing key is null."""
    return pa.table(
        {field.name: pa.array([row.get(field.name) for row in rows], field.type) for field in schema},
        schema=schema,
    )
