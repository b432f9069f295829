"""The folder of a state: whose it is, and what a run that was killed left in it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from stillwatch.outputs import locked
from stillwatch.state_manifest import MANIFEST, Manifest, StateError

LOCK = "lock"
REJECTED = "rejected.jsonl"
LEFT = (".stillwatch-*", "increment-*", "presence-*", REJECTED)
"""What a run that was killed may have left, where ``state.json`` does not name it."""


@contextmanager
def on_disk(folder: Path, left: str = "what it held is as it was") -> Iterator[None]:
    """What the disk refuses is an error that says what became of the state."""
    try:
        yield
    except OSError as error:
        raise StateError(f"cannot write the state in {folder}: {error.strerror or error}; {left}") from error


def refuse_another_folder(folder: Path) -> None:
    """Refuse a folder that holds what is no part of a state."""
    if (folder / MANIFEST).exists():
        return
    own = {path for pattern in (*LEFT, LOCK) for path in folder.glob(pattern)}
    if any(path not in own for path in folder.iterdir()):
        raise StateError(
            f"{folder} holds other files and no {MANIFEST}: it is no state; name an empty folder with --state"
        )


def lock_of(folder: Path) -> int:
    """The open lock that says that this folder is ours; the system lets it go with the process."""
    lock = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    if locked(lock) is False:
        os.close(lock)
        raise StateError(
            f"another process works on {folder}; wait until it has ended, or name another folder with --state"
        )
    return lock


def clear(folder: Path, manifest: Manifest) -> None:
    """Remove what runs that were killed left."""
    count = len(manifest.increments)
    kept = {f"increment-{number:06d}" for number in range(1, count + 1)} | {
        f"presence-{manifest.observed:06d}"
    }
    for path in (path for pattern in LEFT for path in folder.glob(pattern) if path.name not in kept):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
