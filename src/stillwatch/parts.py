"""What a batch of a stream is made of, files or ranges of a topic: each sketched by a worker as a scan would sketch it.

As in :mod:`stillwatch.spreading` a worker is told a name, reads what it names itself, and writes sketches into the folder
of the state under a temporary name; text stays where it was read.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec
import pyarrow.parquet as pq

from stillwatch.bodies import read_values
from stillwatch.engine.batches import Folder, Topic
from stillwatch.fingerprint import SKETCH_SCHEMA, sketch
from stillwatch.identities import read_identities
from stillwatch.listing import digest_of, state_of, unchanged
from stillwatch.rejects import LogError, RejectLog
from stillwatch.sketching import Source, write_sketches
from stillwatch.spreading import Told, account, refuse_told_in_several_files, sketched, sketches_in

if TYPE_CHECKING:
    import pyarrow as pa

    from stillwatch.engine.spark import SparkEngine
    from stillwatch.keys import Keys

VALUES, VALUES_BYTES = 4096, 64 << 20
"""Records of a topic that are read together, and their bytes: fewer than both, whenever they are read."""


@dataclass(frozen=True, slots=True)
class Reading:
    """How the parts of a stream are read. ``set_aside``: name a file that cannot be read among the rejected, and go on."""

    source: Folder | Topic
    format: str
    identities: Path | None
    set_aside: bool


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a batch, sketched."""

    name: str
    """A file, or the topic and a partition of it."""
    into: Path
    told: Told


def in_order(items: Sequence[str], source: Folder | Topic) -> list[str]:
    """The parts of a batch in the one order in which a state takes them in, however Spark put them.

    >>> in_order(["/log/b.parquet", "/log/a/z.parquet"], Folder(Path("/log"), 1))
    ['/log/a/z.parquet', '/log/b.parquet']
    """
    if isinstance(source, Folder):
        return sorted(items, key=lambda item: Path(item).parts)
    return sorted(items, key=msgspec.json.decode)


def sketch_parts(
    items: Sequence[str], reading: Reading, keys: Keys, engine: SparkEngine, folder: Path
) -> list[Part]:
    """Have workers sketch the parts of a batch; ``folder`` is seen by all of them under this name."""
    places = [folder.resolve() / f"{number:07d}" for number in range(len(items))]
    tasks = [msgspec.json.encode((item, str(place))) for item, place in zip(items, places, strict=True)]
    answers = engine.spread(tasks, partial(_sketch, reading=reading, keys=keys))
    return [
        Part(_name(item, reading.source), place, msgspec.json.decode(answer, type=Told))
        for item, place, answer in zip(items, places, answers, strict=True)
    ]


def read_parts(parts: Sequence[Part], reading: Reading, rejects: RejectLog) -> Iterator[pa.RecordBatch]:
    """The sketches of parts in order, what could not be read counted. Raises ``LogError`` for a file that cannot be read."""
    for part in parts:
        if reading.set_aside and part.told.error is not None and isinstance(reading.source, Folder):
            rejects.reject(part.name, part.told.error[2] or 0, part.told.error[1])
            continue
        account(part.told, part.name, rejects, part.into)
        yield from sketches_in(part.into)


def _name(item: str, source: Folder | Topic) -> str:
    return item if isinstance(source, Folder) else f"{source.topic}/{msgspec.json.decode(item)[0]}"


def _sketch(task: bytes, *, reading: Reading, keys: Keys) -> bytes:
    """On a worker: sketch one part; what it could not read is told and not raised, which would be tried again."""
    item, into = msgspec.json.decode(task)
    if isinstance(reading.source, Folder):
        told = _sketch_file(Path(item), Path(into), reading, keys)
    else:
        told = _sketch_range(item, Path(into), reading, reading.source, keys)
    return msgspec.json.encode(told)


def _sketch_file(file: Path, into: Path, reading: Reading, keys: Keys) -> Told:
    own = Source((file,), reading.format, reading.identities)
    try:
        before = state_of(file)
        digest = digest_of(file)
        told = sketched(into, partial(_write_file, own, keys))
        unchanged(file, before)
    except LogError as error:
        return Told(error=(type(error).__name__, str(error), error.row))
    return replace(told, digest=digest, size=before.size)


def _write_file(source: Source, keys: Keys, made: Path, rejects: RejectLog) -> None:
    refuse_told_in_several_files(source)
    write_sketches(source, keys, made, rejects)


def _sketch_range(item: str, into: Path, reading: Reading, topic: Topic, keys: Keys) -> Told:
    from stillwatch.engine.topic import range_of, records

    wanted = range_of(item)
    values = records(topic.servers, topic.topic, wanted)
    size = 0

    def write(made: Path, rejects: RejectLog) -> None:
        nonlocal size
        mapping = None if reading.identities is None else read_identities(reading.identities)
        with pq.ParquetWriter(made, SKETCH_SCHEMA, compression="zstd", write_page_checksum=True) as writer:
            for together in _together(values):
                size += sum(len(value) for _, value in together)
                piece = read_values(together, reading.format, None if mapping is None else mapping.complete)
                rejects.accept(len(piece.batch))
                for offset, reason in piece.rejected:
                    rejects.reject(topic.topic, offset, reason)
                rejects.note(piece.nulled, piece.skipped, piece.zoneless)
                if len(piece.batch):
                    writer.write_batch(sketch(piece.batch, keys))
        rejects.unmapped += 0 if mapping is None else mapping.unmapped

    told = sketched(into, write)
    return replace(told, size=size)


def _together(values: Iterator[tuple[int, bytes]]) -> Iterator[list[tuple[int, bytes]]]:
    """Records in lists of bounded size, the same ones whenever they are read."""
    for first in values:
        together, size = [first], len(first[1])
        for value in values if size < VALUES_BYTES else ():
            together.append(value)
            size += len(value[1])
            if len(together) >= VALUES or size >= VALUES_BYTES:
                break
        yield together
