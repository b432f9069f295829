"""Log or sketches on disk to sketches in a spool: the one pass over the text."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from stillwatch.fingerprint import DEFAULT_LIMITS, SKETCH_SCHEMA, SKETCH_VERSION, Limits, sketch
from stillwatch.formats.native_parquet import BROKEN
from stillwatch.listing import LogFile, list_files, named, opened, state_of, unchanged
from stillwatch.objective.model import load as load_objective
from stillwatch.outputs import OutputError
from stillwatch.rejects import DamagedLogError, EmptyLogError, LogError, RejectLog
from stillwatch.sources import (
    APART,
    SKETCH,
    SKETCH_METADATA,
    Progress,
    is_blank,
    is_parquet,
    kind_of,
    open_log,
)
from stillwatch.spool import in_parallel

if TYPE_CHECKING:
    from stillwatch.keys import Keys

BATCH_ROWS = 16_384
UNREAD = frozenset({"completion", "reasoning"})
"""Columns of the exchange table of which a sketch holds nothing."""
KEY_NAME, MODEL_NAME, CIRCLE_NAME = b"stillwatch.key", b"stillwatch.objective", b"stillwatch.circle"


class SketchError(LogError):
    """Sketches of another key or version, which cannot be compared with what this run would make."""


@dataclass(frozen=True, slots=True)
class Source:
    """A log to read, as the command line names it."""

    paths: tuple[LogFile, ...]
    format: str = "auto"
    identities: Path | None = None
    limits: Limits = DEFAULT_LIMITS

    @property
    def sketched(self) -> bool:
        """Whether the paths hold sketches and no text."""
        return kind_of(*self.paths, format=self.format) == SKETCH

    @property
    def mapped(self) -> bool | None:
        """Whether a table of identities is read with the log; None where that is not known, as of sketches, which may have
        been made with one."""
        return None if not self.paths or self.sketched else self.identities is not None

    @property
    def bytes(self) -> int:
        """Size of the log as it lies on disk."""
        return sum(state_of(file).size for file in list_files(self.paths))

    @property
    def files(self) -> int:
        """Files of the log that hold anything."""
        return sum(state_of(file).size > 0 for file in list_files(self.paths))

    def spare(self, places: Iterable[Path]) -> None:
        """Refuse to write over a file of the log."""
        written = {place.resolve() for place in places}
        for file in list_files(self.paths):
            if file.resolve() in written:
                raise OutputError(
                    f"{file} is the log and would be written over; give another name with --out"
                )

    def refuse_to_show(self) -> None:
        """Refuse to show text where there are sketches of it alone."""
        if self.sketched:
            raise SketchError(
                f"{self.paths[0]} holds sketches, and no text of them can be shown. Scan the log itself, or leave "
                "--show-text out."
            )

    def exchanges(
        self, rejects: RejectLog, progress: Progress | None = None, unread: frozenset[str] = UNREAD
    ) -> Iterator[pa.RecordBatch]:
        """The exchanges of the log, with the text of their requests."""
        return open_log(
            self.paths, rejects=rejects, format=self.format, identities=self.identities,
            batch_rows=BATCH_ROWS, progress=progress, unread=unread,
        )  # fmt: skip


def sketch_log(
    source: Source, keys: Keys, rejects: RejectLog, progress: Progress | None = None
) -> Iterator[pa.RecordBatch]:
    """Sketches of a log, or those that were written earlier with the same key, in order, bounded in
    memory."""
    if source.sketched:
        yield from _stored(source, keys, rejects, progress)
        return
    threads = max(1, os.cpu_count() or 1)
    work: Callable[[pa.RecordBatch], pa.RecordBatch] = lambda batch: sketch(batch, keys, source.limits)  # noqa: E731 (typed closure)
    yield from in_parallel(source.exchanges(rejects, progress), work, threads)


def sketch_metadata(keys: Keys) -> dict[bytes, bytes]:
    """What a file of sketches says of itself."""
    stated = {
        SKETCH_METADATA: str(SKETCH_VERSION).encode(),
        KEY_NAME: keys.name.encode(),
        MODEL_NAME: load_objective().version.encode(),
    }
    return stated if keys.circle_name is None else stated | {CIRCLE_NAME: keys.circle_name.encode()}


def _stored(
    source: Source, keys: Keys, rejects: RejectLog, progress: Progress | None
) -> Iterator[pa.RecordBatch]:
    _refuse_what_is_of_text(source)
    files = list_files(source.paths)
    states = [state_of(file) for file in files]
    sizes = [state.size for state in states]
    expected = sketch_metadata(keys)
    for number, file in enumerate(files):
        for batch in _stored_in(file, expected):
            rejects.accept(batch.num_rows)
            yield batch
        unchanged(file, states[number])
        if progress is not None:
            progress(sum(sizes[: number + 1]), sum(sizes))
    if not rejects.accepted:
        raise EmptyLogError(f"{files[0]} holds no exchange. Give a log that is not empty.", file=files[0])


def _stored_in(file: LogFile, expected: Mapping[bytes, bytes]) -> Iterator[pa.RecordBatch]:
    """The batches of one file of sketches, each page held against its checksum."""
    if not is_parquet(file):
        if is_blank(file):
            return
        raise _no_sketch(file)
    try:
        with opened(file) as raw, pq.ParquetFile(raw, page_checksum_verification=True) as table:
            _check_sketch(file, table.schema_arrow, expected)
            rows = table.metadata.num_rows
            for batch in table.iter_batches(BATCH_ROWS):
                batch.validate(full=True)
                rows -= batch.num_rows
                yield batch.replace_schema_metadata(None)
            # A page whose header is torn may be passed over instead of refused.
            if rows:
                raise pa.ArrowInvalid(f"{rows} rows are missing")
    except BROKEN as error:
        raise DamagedLogError(
            f"{file} is cut off or broken inside, and its sketches cannot be trusted. Sketch the log again, or "
            "leave it out.",
            file=file,
        ) from error


def _refuse_what_is_of_text(source: Source) -> None:
    """Refuse what a run was told of its log that nothing can be done with once a log is sketched."""
    file = list_files(source.paths)[0]
    if source.identities is not None:
        raise SketchError(
            f"{file} holds sketches, which were made of the accounts that they name: {source.identities} changes "
            "nothing any more. Give --identities to the `stillwatch fingerprint` that makes the sketches.",
            file=file,
        )
    if source.format != "auto":
        raise SketchError(
            f"{file} holds sketches and cannot be read as {source.format}. Leave the format to be found by itself.",
            file=file,
        )


def _no_sketch(file: LogFile) -> SketchError:
    return SketchError(
        f"{file} is no sketch, and sketches are not read together with a log. {APART}", file=file
    )


def _check_sketch(file: LogFile, schema: pa.Schema, expected: Mapping[bytes, bytes]) -> None:
    found = schema.metadata or {}
    if SKETCH_METADATA not in found:
        raise _no_sketch(file)
    for name, what in (
        (SKETCH_METADATA, "version"),
        (KEY_NAME, "key"),
        (MODEL_NAME, "objective model"),
        (CIRCLE_NAME, "circle key"),
    ):
        # Sketches that were made for a circle may be scanned without its key.
        if name in expected and found.get(name) != expected[name]:
            raise SketchError(
                f"{file} was sketched with another {what} ({found.get(name, b'none').decode()}, this "
                "run has "
                f"{expected[name].decode()}): give the key with --key, or sketch the log again",
                file=file,
            )
    if not schema.equals(SKETCH_SCHEMA):
        raise pa.ArrowInvalid("the columns are not those of a sketch")


def write_sketches(
    source: Source, keys: Keys, path: Path, rejects: RejectLog, progress: Progress | None = None
) -> int:
    """Write the sketches of a log as one Parquet file, each page with a checksum; returns how many exchanges
    it holds. The caller gives a temporary name."""
    rows = 0
    schema = SKETCH_SCHEMA.with_metadata(sketch_metadata(keys))
    try:
        with pq.ParquetWriter(path, schema, compression="zstd", write_page_checksum=True) as writer:
            for batch in sketch_log(source, keys, rejects, progress):
                writer.write_batch(batch.replace_schema_metadata(schema.metadata))
                rows += batch.num_rows
    except BaseException:
        # The writer closes what it has as if it were all.
        path.unlink(missing_ok=True)
        raise
    return rows


def paths_of(names: Sequence[str | LogFile]) -> tuple[LogFile, ...]:
    """Names as paths, or objects."""
    return tuple(map(named, names))
