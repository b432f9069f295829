"""The sketches of one run on disk: written once, read several times, a batch or a column at a time."""

from __future__ import annotations

import mmap
import shutil
import tempfile
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
from pyarrow import dataset

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


class Columns(Protocol):
    """Some columns of all rows, as a ``pyarrow.Table`` has them; others read each when it is asked for."""

    @property
    def num_rows(self) -> int:
        """Exchanges."""

    @property
    def column_names(self) -> list[str]:
        """Names of the columns, in order."""

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        """One column."""


class Sketches(Protocol):
    """Sketches that can be read as often as needed."""

    folder: Path
    """Where they lie, and more may be put aside."""

    def only(self, *columns: str) -> Iterable[pa.RecordBatch]:
        """Some columns of the batches, always in one order; may be read as often as needed."""

    def table(self, columns: Iterable[str]) -> Columns:
        """Some columns of all rows, in the order of the batches."""

    def aside(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Any:
        """What an engine reads as a table with the rows of ``batches``, which need not fit into memory."""


class Kept:
    """Sketch batches in files of Arrow, one after the other: read several times, a batch or a column at a time.

    ``folder``: where more may be put aside, which its owner removes.
    """

    def __init__(self, folder: Path, files: Iterable[Path], rows: int) -> None:
        self.folder = folder
        self.rows = rows
        self._files = list(files)

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        """The batches in order; may be asked for as often as needed."""
        return self.read(())

    def only(self, *columns: str) -> Iterable[pa.RecordBatch]:
        """Some columns of the batches, in order; the others are not read."""
        return _Only(self, columns)

    def read(self, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        """Some columns of the batches, once; all of them where none is named."""
        fields = [SKETCH_SCHEMA.get_field_index(name) for name in columns]
        for file in self._files:
            # Read and not mapped: pages of a mapped file count as this process's memory until the system wants them.
            with pa.OSFile(str(file)) as source:
                reader = pa.ipc.open_file(source, options=pa.ipc.IpcReadOptions(included_fields=fields))
                for index in range(reader.num_record_batches):
                    yield reader.get_batch(index)

    def table(self, columns: Iterable[str]) -> Columns:
        """Some columns of all rows; each is read when it is asked for and not held."""
        return _OnDisk(self, list(columns))

    def aside(self, schema: pa.Schema, batches: Iterable[pa.RecordBatch]) -> Any:
        """Rows that are written beside the sketches, as a dataset that an engine reads in batches."""
        path = self.folder / f"aside-{sum(1 for _ in self.folder.iterdir())}.arrow"
        with pa.ipc.new_file(str(path), schema) as writer:
            for batch in batches:
                writer.write_batch(batch)
        return dataset.dataset(path, schema, format="ipc")


class Spool(Kept):
    """Sketch batches in a temporary folder beside the result, removed on exit whatever happens.

    ``parent``: folder in which the temporary one is made (it needs about 500 bytes an exchange).
    """

    def __init__(self, parent: Path) -> None:
        folder = Path(tempfile.mkdtemp(prefix=".stillwatch-spool-", dir=parent))
        path = folder / "sketches.arrow"
        super().__init__(folder, [path], 0)
        self._writer: pa.ipc.RecordBatchFileWriter | None = pa.ipc.new_file(str(path), SKETCH_SCHEMA)

    def __enter__(self) -> Spool:
        """Return the spool itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Remove the folder, also after an error."""
        self._close()
        shutil.rmtree(self.folder, ignore_errors=True)

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

    def read(self, columns: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
        """Some columns of the batches, once; nothing can be written after that."""
        self._close()
        return super().read(columns)


@dataclass(frozen=True, slots=True)
class _Only:
    """Some columns of batches on disk, again for every ``iter``."""

    kept: Kept
    columns: tuple[str, ...]

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self.kept.read(self.columns)


@dataclass(frozen=True, slots=True)
class _OnDisk:
    """Columns of batches on disk, read one at a time."""

    kept: Kept
    column_names: list[str]

    @property
    def num_rows(self) -> int:
        return self.kept.rows

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        if name not in self.column_names:
            raise KeyError(f"{name!r} is none of the columns {', '.join(self.column_names)}")
        kind = SKETCH_SCHEMA.field(name).type
        none = pa.array([], kind)
        # A column of a batch keeps the memory of the whole batch: copied, it keeps its own.
        return pa.chunked_array([pa.concat_arrays([chunk, none]) for chunk in self.chunks(name)], kind)

    def chunks(self, name: str) -> Iterator[pa.Array]:
        """One column, a batch at a time."""
        return (batch.column(0) for batch in self.kept.read((name,)))


def chunks_of(columns: Columns, name: str) -> Iterable[pa.Array]:
    """One column in pieces; of columns on disk one is held at a time."""
    if isinstance(columns, _OnDisk):
        return columns.chunks(name)
    chunks: list[pa.Array] = columns[name].chunks
    return chunks


def put_aside(values: NDArray[Any], folder: Path) -> NDArray[Any]:
    """The same array in a file of the folder: pages of it are in memory while they are asked for.

    The file has no name any more when this returns, so it is gone with the array, and nothing is written over it.
    """
    if not len(values):
        return values
    with tempfile.NamedTemporaryFile(dir=folder, suffix=".array") as file:
        file.write(values.data)
        file.flush()
        return np.memmap(file.name, values.dtype, "r")


def let_go(*arrays: NDArray[Any]) -> None:
    """Have the pages of arrays that were put aside count as this process's memory no longer."""
    for values in arrays:
        if isinstance(values, np.memmap) and hasattr(mmap, "MADV_DONTNEED"):
            values._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]


def between(ascending: NDArray[np.integer[Any]], start: int, stop: int) -> tuple[int, int]:
    """Where the rows from ``start`` to before ``stop`` stand in a list of rows.

    Bounds of another type than the list's have numpy copy the list, for every batch of a log.
    """
    first, last = np.searchsorted(ascending, np.array([start, stop], ascending.dtype)).tolist()
    return first, last


def at_rows(
    columns: Columns, name: str, rows: NDArray[np.integer[Any]]
) -> Iterator[tuple[NDArray[np.intp], pa.Array]]:
    """Places in ``rows`` and the values of a column there, a piece of the column after the other, so that it is never
    held whole."""
    order = np.argsort(rows, kind="stable")
    ascending = rows[order]
    start = 0
    for chunk in chunks_of(columns, name):
        first, last = between(ascending, start, start + len(chunk))
        if first < last:
            yield order[first:last], chunk.take(pa.array(ascending[first:last] - start))
        start += len(chunk)


def texts_at(columns: Columns, name: str, rows: NDArray[np.integer[Any]]) -> pa.Array:
    """A column of texts at some rows, in their order."""
    found = list(at_rows(columns, name, rows))
    if not found:
        return pa.array([], pa.string())
    place = np.empty(len(rows), np.int64)
    place[np.concatenate([places for places, _ in found])] = np.arange(len(rows))
    return pa.concat_arrays([texts for _, texts in found]).take(pa.array(place))


def opens_conversation(sketches: Columns) -> NDArray[np.bool_]:
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
