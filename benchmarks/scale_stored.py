"""A log as Hive partitions in a store on loopback."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

sys.path.append(str(Path(__file__).resolve().parent.parent / "scripts"))

from program_environment import DEFAULT_CACHE, environment
from s3_server import LOCK, serving

BUCKET = "logs"


def parted(log: Path, folder: Path) -> Path:
    """The log as Hive partitions, one file of Parquet an hour; made if need be."""
    parts = folder / "parts"
    if not parts.exists():
        base = duckdb.connect(":memory:", config={"memory_limit": "2GB", "threads": 1})
        base.execute("SET TimeZone = 'UTC'")
        base.execute(
            f"""COPY (SELECT *, strftime(started_at, '%Y-%m-%d') AS dt, strftime(started_at, '%H') AS hour
                      FROM read_parquet('{log}'))
                TO '{parts}' (FORMAT parquet, COMPRESSION zstd, PARTITION_BY (dt, hour))"""
        )
    return parts


@contextmanager
def stored(parts: Path, folder: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """Where the partitions are while this lasts, in a store, and the environment that says how to read them."""
    with serving(environment(DEFAULT_CACHE, LOCK), folder) as store:
        store.copy(parts, BUCKET)
        yield f"s3://{BUCKET}", store.environment()
