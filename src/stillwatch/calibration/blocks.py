"""Clean traffic to blocks and their scores: a block is scanned as the log will be, and its largest margin kept."""

from __future__ import annotations

import datetime as dt
import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stillwatch.calibration.conformal import NOTHING, CalibrationError
from stillwatch.calibration.record import FIRST_USES, NO_RELEASE, STATED, Block, Traffic
from stillwatch.distinct import distinct
from stillwatch.dossier import missing_columns
from stillwatch.examine import Options, Scanned, examine
from stillwatch.families.fragments import Presence
from stillwatch.history import DAY_S, iso
from stillwatch.judging import judge
from stillwatch.listing import LogFile, list_files
from stillwatch.sketching import Source, sketch_log
from stillwatch.spool import Spool
from stillwatch.streams import releases_of
from stillwatch.verdict import Verdict, margin

if TYPE_CHECKING:
    from stillwatch.keys import Keys
    from stillwatch.rejects import RejectLog
    from stillwatch.sources import Progress

CERTAIN = 1e-300
"""A probability that every stream has, so that all gates of an accusation but this one are left."""

_MIX = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


Scored = Callable[[Iterable[pa.RecordBatch], str, Path, Options], Block]
"""What turns the sketches of a block, with its name, into the block and its score; the folder is for working files."""


def scanned_once(batches: Iterable[pa.RecordBatch], name: str, folder: Path, options: Options) -> Block:
    """A block with the score of a scan of it."""
    with Spool(folder) as spool:
        presence = Presence(options.rule.least_principals)
        for batch in batches:
            spool.write(batch)
            presence.observe(batch)
        scanned = examine(spool, presence, options)
        return block_of(scanned, name, score(scanned, options), options)


def block_of(scanned: Scanned, name: str, reached: float, options: Options) -> Block:
    """A block, of which all is known, and the score that it has reached."""
    return Block(describe(scanned, name, options), None if reached == NOTHING else reached)


def score_blocks(
    logs: Sequence[LogFile], days: float | None, source: Source, keys: Keys, options: Options,
    rejects: RejectLog, progress: Progress | None = None, scored: Scored = scanned_once,
) -> list[Block]:  # fmt: skip
    """Score every log as one block, or cut into consecutive blocks of ``days`` days; without ``scored``, by a scan.

    ``source`` says how the logs are read; its paths are not looked at. Working files lie in the system's
    temporary folder, about 500 bytes an exchange.
    """
    _refuse_shared_files(logs)
    found: list[Block] = []
    for log in logs:
        own = replace(source, paths=(log,))
        with tempfile.TemporaryDirectory(prefix="stillwatch-calibrate-") as folder:
            batches = sketch_log(own, keys, rejects, progress)
            for name, part in _blocks(batches, "/".join(log.parts[-2:]), days, Path(folder)):
                block = scored(part, name, Path(folder), options)
                found.append(replace(block, traffic=replace(block.traffic, mapped=own.mapped)))
    return found


def score(scanned: Scanned, options: Options) -> float:
    """Largest margin of a stream that would be accused if evidence were all it lacks, or ``NOTHING``.

    A scan accuses somebody exactly if this is not negative, and under a calibration exactly if it exceeds the
    calibrated margin as well.
    """
    return max(margins(scanned, options), default=NOTHING)


def margins(scanned: Scanned, options: Options) -> list[float]:
    """Bits by which each stream that passes all other gates of an accusation lies beyond the threshold."""
    bar = replace(options.bar, probability=CERTAIN, excess=NOTHING)
    judged = judge(
        scanned, scanned.merged, scanned.groups.judged, scanned.by_group, replace(options, bar=bar)
    )
    return [
        float(margin(one.case.bits, one.case.doubted, options.bar))
        for one in judged
        if one.ruling.verdict is Verdict.EXTRACTION
    ]


def describe(scanned: Scanned, name: str, options: Options) -> Traffic:
    """Length, volume and content of a scanned log, and what its scan was told that may differ from log to log."""
    sketches = scanned.sketches
    at = sketches["at_us"].combine_chunks().to_numpy()
    return Traffic(
        name=name,
        days=float((at.max() - at.min()) / 1e6 / DAY_S),
        exchanges=sketches.num_rows,
        principals=scanned.principals.count,
        columns_missing=tuple(sorted(missing_columns(scanned))),
        digest=_digest(sketches),
        licences=options.registry.in_force(dt.datetime.fromtimestamp(int(at.max()) / 1e6, dt.UTC).date()),
        releases=_releases(scanned, options),
    )


def _releases(scanned: Scanned, options: Options) -> str:
    """What stands for the releases of models in a log."""
    stated = releases_of(scanned.sketches, options.releases).values()
    if not stated:
        return FIRST_USES
    at = scanned.sketches["at_us"].combine_chunks().to_numpy()
    return STATED if any(at.min() < release <= at.max() for release in stated) else NO_RELEASE


def _digest(sketches: pa.Table) -> str:
    """Hash of who sent which request when, in any order of rows; the key goes into it through the hashes."""
    mixed = np.zeros(sketches.num_rows, np.uint64)
    for name, factor in zip(("principal", "at_us", "request_hash"), _MIX, strict=True):
        mixed += sketches[name].combine_chunks().fill_null(0).to_numpy().astype(np.uint64) * np.uint64(factor)
        mixed ^= mixed >> np.uint64(29)
    total = int(mixed.sum(dtype=np.uint64))
    return f"{sketches.num_rows:x}-{total:016x}-{int(np.bitwise_xor.reduce(mixed)):016x}"


def _blocks(
    batches: Iterable[pa.RecordBatch], name: str, days: float | None, folder: Path
) -> Iterator[tuple[str, Iterable[pa.RecordBatch]]]:
    if days is None:
        yield name, batches
        return
    with Spool(folder) as whole:
        first, last = 2**63 - 1, -(2**63)
        for batch in batches:
            whole.write(batch)
            first = min(first, pc.min(batch["at_us"]).as_py())
            last = max(last, pc.max(batch["at_us"]).as_py())
        length = round(days * DAY_S * 1e6)
        count = max(1, math.ceil((last - first) / length))
        if last - first < length:
            raise CalibrationError(
                f"{name} is {(last - first) / 1e6 / DAY_S:.1f} days long and holds no block of {days:g} days; "
                "give a smaller --days, or leave it out to take the log as one block"
            )
        with ExitStack() as stack:
            spools = [stack.enter_context(Spool(folder)) for _ in range(count)]
            for batch in whole:
                at = batch["at_us"].to_numpy()
                # The last exchange of a log that is a whole number of blocks long belongs to the last of them.
                place = np.minimum((at - first) // length, count - 1)
                for number in distinct(place).tolist():
                    spools[number].write(batch.filter(pa.array(place == number)))
            for number, spool in enumerate(spools):
                begins = iso(first + number * length)[:10]
                if spool.rows:  # a gap in the log is no block
                    yield f"{name} from {begins}", spool


def _refuse_shared_files(logs: Sequence[LogFile]) -> None:
    seen: dict[LogFile, LogFile] = {}
    for log in logs:
        for file in (file.resolve() for file in list_files([log])):
            if file in seen:
                raise CalibrationError(
                    f"{log} and {seen[file]} hold the same file {file.name}; give every block of clean traffic once"
                )
            seen[file] = log
