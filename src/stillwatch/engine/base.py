"""What the rest of stillwatch asks of an engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa


class EngineError(Exception):
    """An engine that cannot start or go on; the text says what it needs."""


class Engine(Protocol):
    """Runs portable SQL over named Arrow tables: integers in, integers out, so that engines agree exactly."""

    name: str

    def register(self, tables: Mapping[str, pa.Table]) -> None:
        """Make each table known under its name; an earlier table of that name is replaced."""

    def query(self, sql: str) -> pa.Table:
        """Rows of ``sql``; their order is not promised."""

    def keep(self, name: str, sql: str) -> None:
        """Make the rows of ``sql`` known as a table ``name``, which stays with the engine; nothing passes through here."""

    def close(self) -> None:
        """Give back threads, memory and temporary files."""
