"""A log, its key, the result of an undisturbed scan, and a folder with an older result."""

from __future__ import annotations

from pathlib import Path

import pytest

from stillwatch.arena import PRESETS, generate
from tests.scans import OLD, scan_files, write_parquet, written


@pytest.fixture(scope="session")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_parquet(generate(PRESETS["tiny"])[0], tmp_path_factory.mktemp("robust") / "log.parquet")


@pytest.fixture(scope="session")
def key(log: Path) -> Path:
    path = log.with_name("key")
    path.write_bytes(b"a key for tests and nothing else")
    return path


@pytest.fixture(scope="session")
def fresh(log: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The result of an undisturbed scan."""
    folder = tmp_path_factory.mktemp("fresh")
    scan_files([log], folder)
    return written(folder)


@pytest.fixture
def out(tmp_path: Path) -> Path:
    """A folder with an older result."""
    folder = tmp_path / "result"
    folder.mkdir()
    for name, data in OLD.items():
        (folder / name).write_bytes(data)
    return folder
