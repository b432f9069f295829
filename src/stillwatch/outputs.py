"""Files of a result: each is written under a temporary name, and all are moved once all are whole."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

STAGE_PREFIX = ".stillwatch-result-"
LOCK = ".lock"
RESULT = (
    "accounts.parquet",
    "campaigns.json",
    "circle.json",
    "families.parquet",
    "matches.parquet",
    "overview.json",
    "rejected.jsonl",
    "report.html",
    "shadow.parquet",
    "templates.parquet",
)
"""Files of a result."""
SEALS = ("overview.json", "report.html")
"""Files that say that a result is whole: the first to go when a new result comes, the last to come."""
NO_LOCKS = frozenset({errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL, errno.EBADF})
"""What a file system answers that knows no locks."""


class OutputError(Exception):
    """A result that could not be written; the text says where, why, and what became of the old result."""


@contextmanager
def staged(
    out: Path, *, what: str = "", seals: Sequence[str] = SEALS, retired: Sequence[str] = ()
) -> Iterator[Path]:
    """A temporary folder inside ``out``; on success its files are moved into ``out``, on failure it is
    removed.

    A folder that was made for a result goes with it where there is none in the end.

    Nothing is moved before everything is written. The files among ``seals`` leave first and come last, so
    that a run killed between two moves leaves a result without them, and never parts of two results that
    look whole. Files of ``out`` that the new result does not contain are left alone.

    Args:
        out: folder of the result; made if need be.
        what: the result as errors name it, by default "the result into ``out``".
        seals: files that say that a result is whole.
        retired: files of an earlier result, or patterns of them, that go even where the new one has none
            of that name.

    Raises:
        OutputError: ``out`` cannot be written.
    """
    what = what or f"the result into {out}"
    try:
        made = [folder for folder in (out, *out.parents) if not folder.exists()]
        out.mkdir(parents=True, exist_ok=True)
        _remove_stale(out)
        stage, lock = _locked_stage(out)
    except OSError as error:
        raise OutputError(
            f"cannot write to {out}: {_cause(error)}; choose another folder with --out"
        ) from error
    try:
        try:
            yield stage
            names = _order(stage, seals)
            _check_places(names, out)
            for name in names:
                sync(stage / name)
        except OSError as error:
            raise OutputError(
                f"cannot write {what}: {_cause(error)}; an earlier result there is as it was"
            ) from error
        _move(names, stage, out, what, seals, retired)
    finally:
        shutil.rmtree(stage, ignore_errors=True)
        os.close(lock)
        with suppress(OSError):  # one that holds something stays, and what it lies in
            for folder in made:
                folder.rmdir()


def _cause(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__


def _order(stage: Path, seals: Sequence[str]) -> list[str]:
    """Files of a stage in the order in which they are moved."""
    files = (path.relative_to(stage).as_posix() for path in stage.rglob("*") if path.is_file())
    names = {name for name in files if name != LOCK}
    return [*sorted(names - set(seals)), *(name for name in seals if name in names)]


def _check_places(names: Sequence[str], out: Path) -> None:
    for name in names:
        if (out / name).is_dir() and not (out / name).is_symlink():
            raise OSError(errno.EISDIR, f"a folder stands where {name} must go, move it away")
        folder = (out / name).parent
        if folder.exists() and not folder.is_dir():
            raise OSError(
                errno.ENOTDIR, f"a file stands where the folder {folder.name} must go, move it away"
            )


def _move(
    names: Sequence[str], stage: Path, out: Path, what: str, seals: Sequence[str], retired: Sequence[str]
) -> None:
    state = "an earlier result there is as it was"
    folder = os.open(out, os.O_RDONLY)
    try:
        # Two runs into one folder must not mix their files.
        with suppress(OSError):
            fcntl.flock(folder, fcntl.LOCK_EX)
        kept = [name for name in names if name not in seals]
        gone = [path for pattern in retired for path in sorted(out.glob(pattern))]
        for path in (*(out / name for name in names[len(kept) :]), *gone):
            path.unlink(missing_ok=True)
            state = "the result there is incomplete, run it again"
        for folder_of in {(out / name).parent for name in names}:
            folder_of.mkdir(exist_ok=True)
        sync(out)
        for place, name in enumerate(names):
            if place == len(kept):
                sync(out)
            os.replace(stage / name, out / name)
            state = "the result there is incomplete, run it again"
        sync(out)
    except OSError as error:
        raise OutputError(f"cannot write {what}: {_cause(error)}; {state}") from error
    finally:
        os.close(folder)


def sync(path: Path) -> None:
    """Have the disk hold a file, or the names in a folder, before what comes next."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError:
        # Some file systems cannot do it for a folder; a file that cannot reach the disk is an error.
        if not path.is_dir():
            raise
    finally:
        os.close(descriptor)


def _locked_stage(out: Path) -> tuple[Path, int]:
    """A new temporary folder, and the open lock that tells others that its run lives."""
    while True:
        stage = Path(tempfile.mkdtemp(prefix=STAGE_PREFIX, dir=out))
        try:
            lock = os.open(stage / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except FileNotFoundError:
            continue  # another run took the new folder for a stale one, before it had a lock
        if locked(lock) is not False and _holds(lock, stage / LOCK):
            return stage, lock
        os.close(lock)


def locked(descriptor: int) -> bool | None:
    """Whether the lock is ours now; None where the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in NO_LOCKS:
            return None
        raise
    return True


def _holds(descriptor: int, path: Path) -> bool:
    """Whether an open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _remove_stale(out: Path) -> None:
    """Remove the temporary folders of runs that were killed; a living run holds the lock of its own."""
    for stage in out.glob(STAGE_PREFIX + "*"):
        if not stage.is_dir() or stage.is_symlink():
            continue
        try:
            lock = os.open(stage / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError:
            continue  # gone meanwhile, or another user's
        try:
            if locked(lock):
                shutil.rmtree(stage, ignore_errors=True)
        except OSError:
            continue
        finally:
            os.close(lock)


def write_table(table: pa.Table, path: Path) -> None:
    """Parquet, zstd, with a checksum a page, the same bytes for the same rows."""
    pq.write_table(table, path, compression="zstd", store_schema=False, write_page_checksum=True)


def write_json(value: Any, path: Path) -> None:
    """JSON with sorted keys and a newline at the end."""
    text = json.dumps(value, ensure_ascii=False, indent=1, sort_keys=True, allow_nan=False)
    path.write_text(text + "\n", encoding="utf-8")


ACCOUNTS = pa.schema(
    [
        ("account_id", pa.string()),
        ("end_user_id", pa.string()),
        ("verdict", pa.string()),
        ("campaign_id", pa.string()),
        ("probability", pa.float64()),
        ("evidence_bits", pa.float64()),
        ("exchanges", pa.int64()),
        ("extraction_exchanges", pa.int64()),
        ("first_seen", pa.timestamp("us", tz="UTC")),
        ("last_seen", pa.timestamp("us", tz="UTC")),
        ("reasons", pa.list_(pa.string())),
    ]
)

FAMILIES = pa.schema(
    [
        ("family_id", pa.string()),
        ("role", pa.string()),
        ("verdict", pa.string()),
        ("campaign_id", pa.string()),
        ("exchanges", pa.int64()),
        ("principals", pa.int64()),
        ("accounts", pa.int64()),
        ("evidence_bits", pa.float64()),
        ("first_seen", pa.timestamp("us", tz="UTC")),
        ("last_seen", pa.timestamp("us", tz="UTC")),
        ("objective", pa.string()),
        ("reasons", pa.list_(pa.string())),
        ("signals", pa.map_(pa.string(), pa.float64())),
    ]
)

MATCHES = pa.schema([("exchange_id", pa.string()), ("family_id", pa.string()), ("campaign_id", pa.string())])

TEMPLATES = pa.schema(
    [
        ("family_id", pa.string()),
        ("key", pa.string()),
        ("least_weight", pa.float64()),
        ("least_fragments", pa.int64()),
        ("fragments", pa.list_(pa.int64())),
        ("weights", pa.list_(pa.int64())),
    ]
)


def to_table(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """Rows as a table of ``schema``; a missing key is null."""
    return pa.table(
        {field.name: pa.array([row.get(field.name) for row in rows], field.type) for field in schema},
        schema=schema,
    )
