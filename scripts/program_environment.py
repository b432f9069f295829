"""Environments of other people's programs, each apart and pinned by hashes; never a dependency of the package."""

from __future__ import annotations

import hashlib
import os
import subprocess
import venv
from pathlib import Path

DEFAULT_CACHE = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "stillwatch-integration"


def python_of(cache: Path, lock: Path) -> Path | None:
    """The Python of the environment that was made for a lock file; None where none was."""
    directory = _directory(cache, lock)
    return directory / "bin" / "python" if (directory / "complete").exists() else None


def _directory(cache: Path, lock: Path) -> Path:
    stamp = hashlib.sha256(lock.read_bytes()).hexdigest()[:12]
    return cache / f"{lock.stem.removeprefix('integration_')}-{stamp}"


def environment(cache: Path, lock: Path) -> Path:
    """Return the Python of an environment that holds just what the lock file names; make it if need be."""
    directory = _directory(cache, lock)
    python = directory / "bin" / "python"
    done = directory / "complete"
    if not done.exists():
        print(f"installing {lock.name} into {directory}", flush=True)
        venv.EnvBuilder(with_pip=True, clear=True).create(directory)
        install: list[str | Path] = [
            python,
            "-m",
            "pip",
            "install",
            "-qq",
            "--require-hashes",
            "--no-deps",
            "-r",
            lock,
        ]
        subprocess.run(install, check=True, timeout=1800)
        done.touch()
    return python
