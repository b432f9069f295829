"""A run with a state that is killed, or whose disk is full: the state stays, and the run can be repeated."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from stillwatch import keys
from stillwatch.examine import Options
from stillwatch.scan import scan
from stillwatch.sketching import Source
from tests.scans import command, environment, fails, run, written

DIES = """
import os, signal

def counted(real):
    def call(*given, **named):
        global left
        left -= 1
        if left < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given, **named)
    return call

left = {steps}
for name in ("fsync", "replace", "rename", "unlink", "rmdir"):
    setattr(os, name, counted(getattr(os, name)))
"""
"""Ends the process, as a loss of power would, where it is about to do one more thing to the disk than so many."""


@pytest.fixture(scope="module")
def halves(log: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    table, folder = pq.read_table(log), tmp_path_factory.mktemp("halves")
    places = folder / "first.parquet", folder / "second.parquet"
    middle = len(table) // 2
    pq.write_table(table.slice(0, middle), places[0])
    pq.write_table(table.slice(middle), places[1])
    return places


def arguments(log: Path, key: Path, folder: Path) -> tuple[str | Path, ...]:
    return (
        "scan", log, "--key", key, "--sketch-only", "--out", folder / "result", "--state", folder / "state",
    )  # fmt: skip


def held(state: Path) -> dict[str, bytes]:
    """All that a state holds."""
    return {
        path.relative_to(state).as_posix(): path.read_bytes()
        for path in sorted(state.rglob("*"))
        if path.is_file() and not path.relative_to(state).as_posix().startswith(".")
    }


def repeat(log: Path, key: Path, folder: Path) -> None:
    """The run as it was meant, in this process."""
    options = Options(sketch_only=True)
    scan(Source((log,)), folder / "result", keys.load(key), options, kept=folder / "state")


@pytest.fixture(scope="module")
def undisturbed(halves: tuple[Path, Path], key: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the state of the first half, and its result."""
    folder = tmp_path_factory.mktemp("undisturbed") / "first"
    repeat(halves[0], key, folder)
    return folder


@pytest.fixture(scope="module")
def both(undisturbed: Path, halves: tuple[Path, Path], key: Path) -> Path:
    """A folder with the state of both, of runs that nobody disturbed."""
    folder = undisturbed.with_name("both")
    shutil.copytree(undisturbed, folder)
    repeat(halves[1], key, folder)
    return folder


@pytest.fixture
def first(undisturbed: Path, tmp_path: Path) -> Path:
    """A copy of the state of the first half, and its result, to disturb."""
    return Path(shutil.copytree(undisturbed, tmp_path / "first"))


@pytest.mark.parametrize("every", [(4, 8), pytest.param((0, 2, 5, 6, 10, 12), marks=pytest.mark.slow)])
def test_a_run_that_dies_at_any_step_can_be_repeated(
    every: tuple[int, ...], first: Path, both: Path, halves: tuple[Path, Path], key: Path, tmp_path: Path
) -> None:
    died = 0
    for steps in every:
        folder = tmp_path / f"after-{steps}"
        shutil.copytree(first, folder)
        found = run(*arguments(halves[1], key, folder), folder=tmp_path, before=DIES.format(steps=steps))
        died += found.returncode == -signal.SIGKILL
        repeat(halves[1], key, folder)
        assert held(folder / "state") == held(both / "state"), steps
        assert written(folder / "result") == written(both / "result"), steps
        assert not list((folder / "state").glob(".*"))
        shutil.rmtree(folder)
    assert died > len(every) // 2


@pytest.mark.slow
def test_a_run_that_is_killed_at_any_moment_can_be_repeated(
    first: Path, both: Path, halves: tuple[Path, Path], key: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "killed"
    shutil.copytree(first, folder)
    given = arguments(halves[1], key, folder)
    shutil.copytree(first, tmp_path / "timed")
    began = time.monotonic()
    assert run(*arguments(halves[1], key, tmp_path / "timed"), folder=tmp_path).returncode == 0
    whole = time.monotonic() - began
    moments = random.Random(7)
    for _ in range(3):
        with subprocess.Popen(
            command(*given), env=environment(tmp_path), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as process:
            try:
                process.wait(timeout=moments.uniform(0.4, 1.0) * whole)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
    repeat(halves[1], key, folder)
    assert held(folder / "state") == held(both / "state")
    assert written(folder / "result") == written(both / "result")


def limited(size: int) -> str:
    return f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({size}, {size}))"


def test_a_state_that_may_not_grow_is_a_clear_error_and_stays(
    first: Path, both: Path, halves: tuple[Path, Path], key: Path, tmp_path: Path
) -> None:
    before = held(first / "state"), written(first / "result")
    said = fails(*arguments(halves[1], key, first), folder=tmp_path, before=limited(20_000))
    assert f"cannot write the state in {first / 'state'}: " in said
    assert "File too large" in said
    assert "what it held is as it was" in said
    assert (held(first / "state"), written(first / "result")) == before
    repeat(halves[1], key, first)
    assert held(first / "state") == held(both / "state")


def test_bitmaps_that_may_not_be_written_lose_nothing_that_was_taken_in(
    first: Path, both: Path, halves: tuple[Path, Path], key: Path, tmp_path: Path
) -> None:
    given = arguments(halves[1], key, first)
    alone = [word for place, word in enumerate(given) if "--out" not in given[max(0, place - 1) : place + 1]]
    assert run(*alone, folder=tmp_path).returncode == 0
    said = fails(*given, folder=tmp_path, before=limited(20_000))
    assert "all that was taken in is kept, run it again" in said
    repeat(halves[1], key, first)
    assert held(first / "state") == held(both / "state")
    assert written(first / "result") == written(both / "result")


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written_is_a_clear_error(log: Path, key: Path, tmp_path: Path) -> None:
    (tmp_path / "state").mkdir(mode=0o500)
    said = fails(*arguments(log, key, tmp_path), folder=tmp_path)
    assert f"cannot write the state in {tmp_path / 'state'}: Permission denied" in said
