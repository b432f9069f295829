"""An engine by its name."""

from __future__ import annotations

from typing import TYPE_CHECKING

from stillwatch.engine.base import EngineError
from stillwatch.engine.memory import ENGINE_SHARE

if TYPE_CHECKING:
    from pathlib import Path

    from stillwatch.engine.base import Engine

DUCKDB, SPARK = "duckdb", "spark"
ENGINES = (DUCKDB, SPARK)


def open_engine(name: str, memory: int, folder: Path) -> Engine:
    """Start an engine; of ``memory``, the bytes of the whole run, it takes its share. ``folder`` is for its tables."""
    if name == SPARK:
        from stillwatch.engine.spark import SparkEngine

        return SparkEngine(folder)
    if name == DUCKDB:
        from stillwatch.engine.duckdb import DuckDBEngine

        return DuckDBEngine(f"{memory // ENGINE_SHARE}B", folder=folder)
    raise EngineError(f"{name!r} is no engine; the engines are: {', '.join(ENGINES)}")
