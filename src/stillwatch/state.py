"""What scans keep for the next one, so that a day's run reads its own day's log alone.

A folder, in which nothing that counts is ever changed:

======================= ==========================================================================================
``state.json``          what the state is bound to and what it holds, in order; comes last, under another name first
``increment-000001``    what one run took in: ``sketches.arrow``, and ``rejected.jsonl`` as a result has it
``presence-000001``     bitmaps of the principals in which fragments were seen, as of the last look, after so many increments
``lock``                held by the process that works on it
======================= ==========================================================================================

What ``state.json`` does not name was never there: a run that is killed leaves the state as it was, and the next one
removes what it left. No text is in it.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

import msgspec
import numpy as np
import pyarrow as pa

from stillwatch.engine.memory import amount, presence_slots
from stillwatch.families.fragments import Presence
from stillwatch.fingerprint import SKETCH_SCHEMA, SKETCH_VERSION
from stillwatch.listing import LogFile, digest_of, list_files, state_of, unchanged
from stillwatch.objective.model import load as load_objective
from stillwatch.outputs import sync
from stillwatch.rejects import RejectLog
from stillwatch.spool import Kept
from stillwatch.state_folder import REJECTED, clear, lock_of, on_disk, refuse_another_folder
from stillwatch.state_manifest import (
    MANIFEST,
    Bound,
    Increment,
    Manifest,
    StateError,
    Streamed,
    read_manifest,
)

if TYPE_CHECKING:
    from stillwatch.keys import Keys
    from stillwatch.sketching import Source

__all__ = ["State", "StateError", "Streamed", "Taken", "once"]

SKETCHES = "sketches.arrow"
Sketching = Callable[["Source", RejectLog], AbstractContextManager[Iterator[pa.RecordBatch]]]
"""The one pass over the text of a log."""


@dataclass(frozen=True, slots=True)
class Taken:
    """What of a log the state holds now."""

    source: Source
    """Whose text can be read."""

    rows: range
    """Which of the state's exchanges are of it; none where the log was taken in earlier than the last one."""

    held: int
    """Exchanges that the state holds."""

    parts: int
    """Files that they are of, or parts of a topic."""

    before: int
    """Files of the log that were passed over: an earlier run had taken them in, or they come twice in it."""

    files: int
    """Files of the log."""

    tables: int
    """Mappings of identities that they were read with."""


class State:
    """An open state. ``key``: that of the sketches; ``memory``: what the run may take; ``least``: principals from which a
    fragment is heavy."""

    def __init__(self, folder: Path, keys: Keys, least: int, memory: str) -> None:
        self._folder, self._least, self._memory = folder, least, amount(memory)
        bound = Bound(SKETCH_VERSION, keys.name, load_objective().version, keys.circle_name)
        with on_disk(folder):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
            refuse_another_folder(folder)
            self._held = lock_of(folder)
        try:
            self._manifest = read_manifest(folder, bound)
            with on_disk(folder):
                clear(folder, self._manifest)
        except BaseException:
            os.close(self._held)
            raise

    def __enter__(self) -> State:
        """Return the state itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let others have it."""
        os.close(self._held)

    @property
    def increments(self) -> tuple[Increment, ...]:
        """What it holds, in order."""
        return self._manifest.increments

    @property
    def rows(self) -> int:
        """Exchanges that it holds."""
        return self._manifest.rows

    @property
    def files(self) -> frozenset[str]:
        """SHA-256 of each file that was taken in."""
        return frozenset(digest for one in self.increments for digest in one.files) - {NOTHING}

    @property
    def streamed(self) -> Streamed | None:
        """How far the stream that it follows was taken in; None where it follows none."""
        return self._manifest.streamed

    @property
    def parts(self) -> int:
        """Files that it holds exchanges of, or parts of a topic."""
        return sum(one.parts for one in self.increments)

    @property
    def tables(self) -> int:
        """Mappings of identities that were given for what it holds."""
        return len({one.identities for one in self.increments if one.identities})

    def follow(self, streamed: Streamed) -> None:
        """Keep how far a stream was taken in where a batch of it holds nothing."""
        with (
            on_disk(self._folder),
            tempfile.TemporaryDirectory(dir=self._folder, prefix=".stillwatch-") as name,
        ):
            self._seal(Path(name), msgspec.structs.replace(self._manifest, streamed=streamed))

    def add(
        self, streamed: Streamed, files: tuple[str, ...], parts: int, size: int, identities: Path | None,
        sketches: Callable[[RejectLog], Iterable[pa.RecordBatch]],
    ) -> int:  # fmt: skip
        """Take in a batch of a stream and, with it and no sooner, keep that it was; returns how many exchanges it has.

        ``files``: digests of its files; ``parts``: how many it has; ``size``: bytes of them; ``identities``: what it was
        read with. Raises what :meth:`take` raises.
        """
        names = self._names_of(identities)
        with (
            on_disk(self._folder),
            tempfile.TemporaryDirectory(dir=self._folder, prefix=".stillwatch-") as name,
        ):
            stage = Path(name) / "increment"
            stage.mkdir()
            with RejectLog(self._folder / REJECTED, limit=1.0, stage=stage) as rejects:
                rows = _write(sketches(rejects), stage)
            if rejects.seen or rejects.skipped:
                self._commit(Path(name), _told(files, parts, size, rows, rejects, stage, names), streamed)
            else:
                self._seal(Path(name), msgspec.structs.replace(self._manifest, streamed=streamed))
        return rows

    def take(
        self, source: Source, reject_share: float, sketches: Sketching, listed: Path | None = None
    ) -> Taken:
        """Take in what of a log was not taken in before. ``listed``: where the records that could not be read are listed
        where they are too many, by default in the folder of the state.

        Raises ``LogError`` where the log cannot be read, and :class:`StateError` where the state cannot be written;
        what it held is as it was then.
        """
        files = list_files(source.paths)
        states = [state_of(file) for file in files]
        digests = [digest_of(file) for file in files]
        new = once(digests, self.files)
        before = len(files) - len(new)
        if before and all(digests[place] == NOTHING for place in new):
            return self._taken(source, self._rows_of_last(digests), files, before)
        names = self._names_of(source.identities)
        if before:
            source = replace(source, paths=tuple(files[place] for place in new))
        with (
            on_disk(self._folder),
            tempfile.TemporaryDirectory(dir=self._folder, prefix=".stillwatch-") as name,
        ):
            stage = Path(name) / "increment"
            stage.mkdir()
            with (
                RejectLog(listed or self._folder / REJECTED, limit=reject_share, stage=stage) as rejects,
                sketches(source, rejects) as batches,
            ):
                rows = _write(batches, stage)
            for place in new:
                unchanged(files[place], states[place])
            taken = tuple(digests[place] for place in new)
            self._commit(
                Path(name),
                _told(taken, source.files, source.bytes, rows, rejects, stage, names),
                self._manifest.streamed,
            )
        rows_before = self._manifest.rows - rows
        return self._taken(source, range(rows_before, rows_before + rows), files, before)

    def verify(self) -> None:
        """Refuse files that are not what was written. To take in reads none of them."""
        expected = {}
        for number, one in enumerate(self.increments, start=1):
            expected[self._increment(number) / SKETCHES] = one.sketches
            expected[self._increment(number) / REJECTED] = one.rejected
        if self._manifest.observed:
            expected[self._presence_file(self._manifest.observed)] = self._manifest.presence
        with ThreadPoolExecutor(max(1, os.cpu_count() or 1)) as pool:
            found = dict(zip(expected, pool.map(_digest_if_there, expected), strict=True))
        for file in (file for file in expected if found[file] != expected[file]):
            what = "is gone" if found[file] is None else "is not what was written"
            raise StateError(
                f"{file} {what}, and a verdict on the rest would not be one on all that was taken in; restore "
                f"{self._folder} from a copy, or take all logs in again with another --state"
            )

    def tell(self, rejects: RejectLog) -> None:
        """Count all that was read for what the state holds, and what could not be."""
        for number, one in enumerate(self.increments, start=1):
            rejects.accept(one.rows)
            with (self._increment(number) / REJECTED).open("rb") as lines:
                for line in lines:
                    told = msgspec.json.decode(line)
                    rejects.reject(told["file"], told["row"], told["reason"])
            rejects.note(one.nulled, one.skipped, one.zoneless)
            rejects.unmapped += one.unmapped

    def sketches(self, folder: Path) -> Kept:
        """All sketches, in the order in which they were taken in; more may be put aside in ``folder``."""
        files = (self._increment(number + 1) / SKETCHES for number in range(len(self.increments)))
        return Kept(folder, files, self._manifest.rows)

    def presence(self) -> Presence:
        """In how many principals fragments were seen: what a look before this one kept, and what was taken in since."""
        slots = presence_slots(self._memory, sum(one.bytes for one in self.increments))
        presence = Presence(self._least, slots)
        if self._manifest.observed:
            presence.table = _read_table(self._presence_file(self._manifest.observed))
        while len(presence.table) < slots:
            # A slot is of the lowest bits of a fragment: what was in one slot may be of either of the two that follow.
            presence.table = np.concatenate([presence.table] * 2)
        count = len(self.increments)
        if self._manifest.observed < count:
            new = (
                self._increment(number) / SKETCHES for number in range(self._manifest.observed + 1, count + 1)
            )
            for batch in Kept(self._folder, new, 0).only("parts", "principal"):
                presence.observe(batch)
            self._keep(presence)
        return presence

    def _keep(self, presence: Presence) -> None:
        before, count = self._manifest.observed, len(self.increments)
        with (
            on_disk(self._folder, "all that was taken in is kept, run it again"),
            tempfile.TemporaryDirectory(dir=self._folder, prefix=".stillwatch-") as name,
        ):
            table = Path(name) / "presence"
            _write_table(presence.table, table)
            sync(table)
            table.replace(self._presence_file(count))
            manifest = msgspec.structs.replace(
                self._manifest, observed=count, presence=digest_of(self._presence_file(count))
            )
            self._seal(Path(name), manifest)
            if before:
                self._presence_file(before).unlink()

    def _taken(self, source: Source, rows: range, files: list[LogFile], before: int) -> Taken:
        return Taken(source, rows, self._manifest.rows, self.parts, before, len(files), self.tables)

    def _names_of(self, identities: Path | None) -> str:
        """The digest of a mapping of identities, empty for none; refuses one where others were read without, and none where
        they were read with one."""
        names = "" if identities is None else digest_of(identities)
        for one in self.increments:
            if one.identities is not None and bool(one.identities) != bool(names):
                held, given = ("with", "has none") if one.identities else ("without", "has one")
                remedy = "leave it out" if names else "give it"
                raise StateError(
                    f"{self._folder} holds logs that were taken in {held} --identities, and this run {given}: accounts are "
                    f"named when a log is taken in, so one customer would count as two. {remedy.capitalize()}, or take all "
                    "logs in again with another --state"
                )
        return names

    def _rows_of_last(self, digests: Iterable[str]) -> range:
        """The exchanges of a log that the last increment took in; none where an earlier one did."""
        last = self.increments[-1]
        rows = last.rows if set(last.files) >= set(digests) - {NOTHING} else 0
        return range(self._manifest.rows - rows, self._manifest.rows)

    def _increment(self, number: int) -> Path:
        return self._folder / f"increment-{number:06d}"

    def _presence_file(self, increments: int) -> Path:
        return self._folder / f"presence-{increments:06d}"

    def _commit(self, stage: Path, increment: Increment, streamed: Streamed | None) -> None:
        """Make an increment part of the state."""
        for file in (*(stage / "increment").iterdir(), stage / "increment"):
            sync(file)
        (stage / "increment").replace(self._increment(len(self.increments) + 1))
        increments = (*self.increments, increment)
        self._seal(stage, msgspec.structs.replace(self._manifest, increments=increments, streamed=streamed))

    def _seal(self, stage: Path, manifest: Manifest) -> None:
        """Write the manifest, once all that it names lies under its own name on the disk."""
        written = stage / MANIFEST
        written.write_bytes(msgspec.json.format(msgspec.json.encode(manifest), indent=1) + b"\n")
        sync(written)
        sync(self._folder)
        written.replace(self._folder / MANIFEST)
        sync(self._folder)
        self._manifest = manifest


def once(digests: Iterable[str], known: frozenset[str]) -> list[int]:
    """Places of the files that were not taken in before, the first of those that hold the same; ``""`` is no file, and each
    counts.

    >>> once(["a", "b", "a", "c", NOTHING, NOTHING, "", ""], frozenset("c"))
    [0, 1, 4, 5, 6, 7]
    """
    seen, new = set(known), []
    for place, digest in enumerate(digests):
        if digest not in seen:
            new.append(place)
        seen |= {digest} - {NOTHING, ""}
    return new


def _write(batches: Iterable[pa.RecordBatch], stage: Path) -> int:
    """Write sketches; returns of how many exchanges they are."""
    rows = 0
    with pa.ipc.new_file(str(stage / SKETCHES), SKETCH_SCHEMA) as writer:
        for batch in batches:
            writer.write_batch(batch)
            rows += batch.num_rows
    return rows


def _told(
    files: tuple[str, ...], parts: int, size: int, rows: int, rejects: RejectLog, stage: Path, identities: str
) -> Increment:
    return Increment(
        files, parts, size, rows, digest_of(stage / SKETCHES), digest_of(stage / REJECTED), dict(rejects.nulled),
        dict(rejects.skipped), rejects.zoneless, rejects.unmapped, identities,
    )  # fmt: skip


def _digest_if_there(file: Path) -> str | None:
    return digest_of(file) if file.is_file() else None


NOTHING = hashlib.sha256().hexdigest()
"""That of a file that holds nothing: such a one is no sign that a log was taken in before."""

_TABLE = pa.schema([("principals", pa.uint16())])


def _write_table(table: np.ndarray, file: Path) -> None:
    # Most bitmaps are empty for long.
    with pa.ipc.new_file(str(file), _TABLE, options=pa.ipc.IpcWriteOptions(compression="lz4")) as writer:
        writer.write_batch(pa.record_batch([pa.array(table)], schema=_TABLE))


def _read_table(file: Path) -> np.ndarray:
    with pa.OSFile(str(file)) as raw:
        table: np.ndarray = pa.ipc.open_file(raw).get_batch(0).column(0).to_numpy().copy()
    return table
