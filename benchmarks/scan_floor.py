"""The floor under a scan: DuckDB reads the same prompt text and hashes it, and does nothing else."""

from __future__ import annotations

import sys

import duckdb

SQL = """
    SELECT count(*), coalesce(sum(strlen(content)), 0), bit_xor(hash(content))
    FROM (SELECT unnest(messages).content AS content FROM read_parquet(?))"""


def main(path: str) -> None:
    """Print messages and bytes of text."""
    row = duckdb.connect(":memory:").execute(SQL, [path]).fetchone()
    assert row is not None
    print(row[0], row[1])


if __name__ == "__main__":
    main(sys.argv[1])
