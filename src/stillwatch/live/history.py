"""The sketches that a live run knows: appended to as time goes on, mapped from disk, the oldest days forgotten."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stillwatch.fingerprint import SKETCH_SCHEMA

PREFIX = ".stillwatch-history-"
"""Of the name of the folder."""
WHOLE_ROWS = 65_536
"""Rows from which a piece is left as it is; smaller ones are put together, so that there are few."""


@dataclass(frozen=True, slots=True)
class _Piece:
    path: Path
    batch: pa.RecordBatch
    first_us: int


class History:
    """Sketch batches in a temporary folder, removed on exit whatever happens.

    ``parent``: folder in which the temporary one is made; an exchange takes about 500 bytes in it, and some 200
    of memory while it is looked at.
    """

    def __init__(self, parent: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=parent))
        self._pieces: list[_Piece] = []
        self._made = 0

    def __enter__(self) -> History:
        """Return the history itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the folder, also after an error."""
        self._pieces = []
        shutil.rmtree(self.folder, ignore_errors=True)

    @property
    def rows(self) -> int:
        """Exchanges that are known."""
        return sum(piece.batch.num_rows for piece in self._pieces)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """The batches; may be asked for as often as needed."""
        return iter([piece.batch for piece in self._pieces])

    def only(self, *columns: str) -> Iterable[pa.RecordBatch]:
        """Some columns of the batches; may be read as often as needed."""
        return [piece.batch.select(list(columns)) for piece in self._pieces]

    def aside(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> pa.Table:
        """The rows of ``batches`` as a table: what a history holds fits into memory."""
        return pa.Table.from_batches(batches, schema)

    def table(self, columns: Iterable[str]) -> pa.Table:
        """Some columns of all rows, in one piece, since each is asked for as a whole many times."""
        names = list(columns)
        schema = pa.schema([SKETCH_SCHEMA.field(name) for name in names])
        batches = [piece.batch.select(names).replace_schema_metadata(None) for piece in self._pieces]
        return pa.Table.from_batches(batches, schema=schema).combine_chunks()

    def append(self, batch: pa.RecordBatch) -> None:
        """Add one batch of ``SKETCH_SCHEMA``, or of more columns, which are those of every batch.

        Pieces double in size (O'Neil et al. 1996, the log-structured merge): each row is written anew some
        ``log2(WHOLE_ROWS)`` times at most.
        """
        batches = [batch]
        while self._pieces and self._pieces[-1].batch.num_rows <= min(
            2 * sum(one.num_rows for one in batches), WHOLE_ROWS
        ):
            piece = self._pieces.pop()
            batches.insert(0, piece.batch)
            piece.path.unlink()
        if sum(one.num_rows for one in batches):
            self._pieces.append(self._write(batches))

    def forget(self, before_us: int) -> int:
        """Drop the exchanges before a moment; returns how many those are."""
        dropped, kept = 0, []
        for piece in self._pieces:
            if piece.first_us >= before_us:
                kept.append(piece)
                continue
            left = piece.batch.filter(pc.greater_equal(piece.batch["at_us"], before_us))
            dropped += piece.batch.num_rows - left.num_rows
            piece.path.unlink()
            if left.num_rows:
                kept.append(self._write([left]))
        self._pieces = kept
        return dropped

    def _write(self, batches: list[pa.RecordBatch]) -> _Piece:
        whole = pa.concat_batches([batch.replace_schema_metadata(None) for batch in batches])
        path = self.folder / f"{self._made}.arrow"
        self._made += 1
        with pa.ipc.new_file(str(path), whole.schema) as writer:
            writer.write_batch(whole)
        mapped = pa.ipc.open_file(pa.memory_map(str(path))).get_batch(0)
        return _Piece(path, mapped, int(np.min(mapped["at_us"].to_numpy())))
