"""DuckDB, embedded: the engine of one machine."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa

from stillwatch.engine.base import EngineError

KEPT_WHEN_FREED = "1MB"
"""What of the memory that a statement gives back may stay with the engine."""


class DuckDBEngine:
    """One in-memory database. ``memory``: a DuckDB size such as ``2GB``; ``threads``: 0 takes all cores; ``folder``:
    where tables are put aside that do not fit."""

    name = "duckdb"

    def __init__(self, memory: str = "2GB", threads: int = 0, folder: Path | None = None) -> None:
        self._connection = duckdb.connect(":memory:")
        try:
            self._connection.execute("SET memory_limit = ?", [memory])
        except duckdb.Error as error:
            raise EngineError(
                f"{memory!r} is no amount of memory; give one such as 2GB with --memory"
            ) from error
        if folder is not None:
            self._connection.execute("SET temp_directory = ?", [str(folder)])
        self._connection.execute("SET preserve_insertion_order = false")
        # Else what a large statement used is kept for the next one, beside what others hold meanwhile.
        self._connection.execute(f"SET allocator_bulk_deallocation_flush_threshold = '{KEPT_WHEN_FREED}'")
        if threads:
            self._connection.execute(f"SET threads = {int(threads)}")

    def register(self, tables: Mapping[str, pa.Table]) -> None:
        """Make each table known under its name; Arrow memory is read in place."""
        for name, table in tables.items():
            self._connection.register(name, table)

    def query(self, sql: str) -> pa.Table:
        """Rows of ``sql`` with 64-bit integers, whatever width DuckDB summed in."""
        with _explained():
            table = self._connection.sql(sql).to_arrow_table()
        fields = [
            pa.field(field.name, pa.int64()) if pa.types.is_decimal(field.type) else field
            for field in table.schema
        ]
        return table.cast(pa.schema(fields))

    def keep(self, name: str, sql: str) -> None:
        """A table of its own, which is put aside with the rest where it does not fit."""
        with _explained():
            self._connection.execute(f"CREATE OR REPLACE TEMP TABLE {name} AS {sql}")

    def close(self) -> None:
        """Close the database."""
        self._connection.close()


@contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
        raise EngineError(
            "the statistics need more memory, or more room on the disk of the working folder where they are "
            "put aside; give more with --memory"
        ) from error
