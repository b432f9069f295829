"""The pass over the text by many workers at once: each sketches files of its own, and no text leaves it.

A worker is given the name of a file, reads and sketches it as a scan of that file alone would, and writes the sketches into
the folder of the result under a temporary name: what is done twice, as where a worker died, is done once in the end. The key
travels to the workers, who cannot hash without it.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pyarrow.parquet as pq

from stillwatch.engine.base import EngineError
from stillwatch.formats import MessageFormat, PairedFormat, all_formats
from stillwatch.listing import LogFile, list_files, named, state_of
from stillwatch.rejects import EmptyLogError, LogError, RejectLog, TooManyRejectsError, UnknownFormatError
from stillwatch.sketching import BATCH_ROWS, Source, sketch_log, write_sketches
from stillwatch.sources import empty, kind_of
from stillwatch.stored import StoredObject

if TYPE_CHECKING:
    import pyarrow as pa

    from stillwatch.engine.spark import SparkEngine
    from stillwatch.keys import Keys
    from stillwatch.sources import Progress


@dataclass(frozen=True, slots=True)
class Task:
    """One file to sketch."""

    file: str
    size: int
    modified_ns: int
    into: str
    """Path of the sketches, without its ending."""


@dataclass(frozen=True, slots=True)
class Told:
    """What became of what a worker was given."""

    accepted: int = 0
    nulled: dict[str, int] = field(default_factory=dict)
    skipped: dict[str, int] = field(default_factory=dict)
    zoneless: int = 0
    unmapped: int = 0
    error: tuple[str, str, int | None] | None = None
    """Kind, text and row of what ended it."""

    digest: str = ""
    """SHA-256 of a file that was read, where that was asked for."""

    size: int = 0
    """Its bytes."""


def sketch_apart(
    source: Source, keys: Keys, rejects: RejectLog, engine: SparkEngine, folder: Path,
    progress: Progress | None = None,
) -> Iterator[pa.RecordBatch]:  # fmt: skip
    """What :func:`stillwatch.sketching.sketch_log` gives, of files that workers sketch; ``folder`` is seen by all of
    them under this name."""
    if source.sketched:
        yield from sketch_log(source, keys, rejects, progress)
        return
    files = list_files(source.paths)
    with tempfile.TemporaryDirectory(prefix="sketches-", dir=folder) as place:
        tasks = [_task(file, Path(place) / f"{number:07d}") for number, file in enumerate(files)]
        identities = source.identities and source.identities.resolve()
        work = partial(
            _sketch, source=replace(source, paths=(), identities=identities), keys=keys, alone=len(files) == 1
        )
        found = engine.spread([msgspec.json.encode(task) for task in tasks], work)
        total, done = source.bytes, 0
        for file, task, answer in zip(files, tasks, found, strict=True):
            told = msgspec.json.decode(answer, type=Told)
            if told.error is not None:
                kind, text, row = told.error
                told = replace(told, error=(kind, text.replace(task.file, str(file)), row))
            account(told, str(file), rejects, Path(task.into))
            done += task.size
            rejects.check(done / max(total, 1))
            yield from sketches_in(Path(task.into))
            if progress is not None:
                progress(done, total)
    rejects.check()
    if not rejects.seen:
        raise empty(files[0], rejects.skipped)


def _task(file: LogFile, into: Path) -> Task:
    state = state_of(file)
    name = str(file) if isinstance(file, StoredObject) else str(file.resolve())
    return Task(name, state.size, state.modified_ns, str(into.resolve()))


def _file_of(task: Task) -> LogFile:
    file = named(task.file)
    return StoredObject(file.place, task.size, task.modified_ns) if isinstance(file, StoredObject) else file


def _sketch(item: bytes, *, source: Source, keys: Keys, alone: bool) -> bytes:
    """On a worker: sketch one file; what it could not read is told and not raised, which would be tried again."""
    task = msgspec.json.decode(item, type=Task)
    own = replace(source, paths=(_file_of(task),))

    def write(made: Path, rejects: RejectLog) -> None:
        if not alone:
            refuse_told_in_several_files(own)
        write_sketches(own, keys, made, rejects)

    return msgspec.json.encode(sketched(Path(task.into), write))


def sketched(into: Path, write: Callable[[Path, RejectLog], object]) -> Told:
    """On a worker: the sketches that ``write`` makes, and what it could not read, once they are whole.

    What lies at ``into`` with ``.parquet`` and ``.rejected`` is the same however often this is done.
    """
    try:
        with (
            tempfile.TemporaryDirectory(prefix=f"{into.name}-", dir=into.parent) as name,
            RejectLog(into.with_suffix(".rejected"), limit=1.0, stage=Path(name)) as rejects,
        ):
            made = Path(name) / "sketches"
            # A file of nothing, or of nothing readable, is an error only where all are.
            with suppress(EmptyLogError, TooManyRejectsError):
                write(made, rejects)
                made.replace(into.with_suffix(".parquet"))
            (Path(name) / into.with_suffix(".rejected").name).replace(into.with_suffix(".rejected"))
            return Told(
                rejects.accepted,
                dict(rejects.nulled),
                dict(rejects.skipped),
                rejects.zoneless,
                rejects.unmapped,
            )
    except (LogError, EngineError) as error:
        return Told(error=(type(error).__name__, str(error), getattr(error, "row", None)))


def refuse_told_in_several_files(source: Source) -> None:
    """Refuse a file of which the halves of exchanges may lie in another one, which another worker has."""
    file = source.paths[0]
    found = all_formats().get(kind_of(file, format=source.format))
    if isinstance(found, PairedFormat | MessageFormat):
        raise UnknownFormatError(
            f"{file} is of the format {found.name}, which may tell of one exchange in two files; workers look at one file "
            "each. Scan it without --engine, or write the log as another format.",
            file=file,
        )


def account(told: Told, name: str, rejects: RejectLog, into: Path) -> None:
    """Count what a worker read; raises what ended it. ``name``: what it was given, as the user knows it."""
    if told.error is not None:
        kind, text, row = told.error
        kinds = {one.__name__: one for one in LogError.__subclasses__()}
        raise kinds.get(kind, LogError)(text, file=name, row=row)
    rejects.accept(told.accepted)
    with into.with_suffix(".rejected").open("rb") as lines:
        for line in lines:
            rejected = msgspec.json.decode(line)
            rejects.reject(name, rejected["row"], rejected["reason"])
    rejects.note(Counter(told.nulled), Counter(told.skipped), told.zoneless)
    rejects.unmapped += told.unmapped


def sketches_in(into: Path) -> Iterator[pa.RecordBatch]:
    """The sketches that a worker wrote, which go once they were read."""
    made = into.with_suffix(".parquet")
    if not made.exists():
        return
    with pq.ParquetFile(made) as table:
        for batch in table.iter_batches(BATCH_ROWS):
            yield batch.replace_schema_metadata(None)
    made.unlink()
