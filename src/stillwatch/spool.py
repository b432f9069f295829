"""The sketches of one run on disk: written once, read several times, mapped and not held in memory."""

from __future__ import annotations

import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

import numpy as np
import pyarrow as pa

from stillwatch.fingerprint import SKETCH_SCHEMA

if TYPE_CHECKING:
    from numpy.typing import NDArray


def in_parallel(
    batches: Iterable[pa.RecordBatch], work: Callable[[pa.RecordBatch], pa.RecordBatch], threads: int
) -> Iterator[pa.RecordBatch]:
    """``work`` on each batch, in order, over ``threads`` threads; at most twice so many batches are held."""
    with ThreadPoolExecutor(threads) as pool:
        waiting: deque[Future[pa.RecordBatch]] = deque()
        try:
            for batch in batches:
                waiting.append(pool.submit(work, batch))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


class Sketches(Protocol):
    """Sketches that can be read as often as needed."""

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """The batches, always in one order."""

    def table(self, columns: Iterable[str]) -> pa.Table:
        """Some columns of all rows, in the order of the batches."""


class Spool:
    """Sketch batches in a temporary folder beside the result, removed on exit whatever happens.

    ``parent``: folder in which the temporary one is made (it needs about 500 bytes an exchange).
    """

    def __init__(self, parent: Path) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix=".stillwatch-spool-", dir=parent))
        self._path = self._folder / "sketches.arrow"
        self._writer: pa.ipc.RecordBatchFileWriter | None = pa.ipc.new_file(str(self._path), SKETCH_SCHEMA)
        self.rows = 0

    def __enter__(self) -> Spool:
        """Return the spool itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the folder, also after an error."""
        self._close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def write(self, batch: pa.RecordBatch) -> None:
        """Append one batch of ``SKETCH_SCHEMA``."""
        if self._writer is None:
            raise ValueError("this spool was read already; nothing can be written after that")
        self._writer.write_batch(batch)
        self.rows += batch.num_rows

    def _close(self) -> None:
        if self._writer is not None:
            self._writer.close()
            self._writer = None

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """The batches in the order of writing; may be asked for as often as needed."""
        self._close()
        with pa.memory_map(str(self._path)) as source:
            reader = pa.ipc.open_file(source)
            for index in range(reader.num_record_batches):
                yield reader.get_batch(index)

    def table(self, columns: Iterable[str]) -> pa.Table:
        """Some columns of all rows, mapped."""
        self._close()
        names = list(columns)
        schema = pa.schema([SKETCH_SCHEMA.field(name) for name in names])
        return pa.Table.from_batches([batch.select(names) for batch in self], schema=schema)


def opens_conversation(sketches: pa.Table) -> NDArray[np.bool_]:
    """True for the exchanges with which a conversation begins in this log. bool[n]; false without
    conversations."""
    column = sketches["conversation"].combine_chunks()
    named = np.flatnonzero(column.is_valid().to_numpy(zero_copy_only=False))
    opening = np.zeros(sketches.num_rows, bool)
    if not len(named):
        return opening
    name = column.fill_null(0).to_numpy()[named]
    principal = sketches["principal"].combine_chunks().to_numpy()[named]
    at = sketches["at_us"].combine_chunks().to_numpy()[named]
    order = np.lexsort((at, name, principal))
    starts = np.r_[
        True, (name[order][1:] != name[order][:-1]) | (principal[order][1:] != principal[order][:-1])
    ]
    first_at = np.repeat(at[order][starts], np.diff(np.r_[np.flatnonzero(starts), len(order)]))
    opening[named[order]] = at[order] == first_at
    return opening
