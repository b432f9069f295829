"""Logs as folders that fill, streams of them, in this process or in one of their own, and what a scan makes of the same."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pyarrow as pa
import pytest

from stillwatch.engine.spark import SparkEngine
from stillwatch.examine import Options
from stillwatch.keys import Keys
from stillwatch.scan import scan, take_in
from stillwatch.sketching import Source
from stillwatch.streaming import Batch, Folder, Plan, Reading, Stream, Topic
from tests.scans import TEST_KEY, command, environment
from tests.spark_programs import mixed_log, packages, settings

KEYS = Keys(local=TEST_KEY)
QUIET = Options(sketch_only=True)
TOGETHER = 2
"""Files of a batch."""


@contextmanager
def session(folder: Path) -> Iterator[SparkEngine]:
    """The Spark session of this process, which tests share."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(packages())
        for name, value in settings("local[2]").items():
            patch.setenv(name, value)
        engine = SparkEngine(folder)
        yield engine
        engine.close()


def filling(folder: Path, rows: int = 1) -> list[Path]:
    """A folder of Parquet and JSON Lines, some of it broken, in the order in which its files came; one of them is empty."""
    log = mixed_log(folder, rows)
    files = sorted(log.rglob("part-*"))
    odd = files[2].with_name("pärt 2 %41.jsonl.gz")
    files[2] = files[2].rename(odd)
    for number, file in enumerate([*files, log / "dt=1" / "quiet.jsonl"]):
        os.utime(file, (1_790_000_000 + 100 * number, 1_790_000_000 + 100 * number))
    return files


def by_scan(files: Sequence[Path], folder: Path, together: int = TOGETHER) -> None:
    """What scans with a state make of the same files, so many at a time."""
    *earlier, last = [tuple(sorted(files[at : at + together])) for at in range(0, len(files), together)]
    for some in earlier:
        take_in(Source(some), KEYS, QUIET, folder / "state")
    scan(Source(last), folder / "result", KEYS, QUIET, kept=folder / "state")


def run_stream(
    source: Folder | Topic, folder: Path, *, set_aside: bool = False, interval_s: int | None = None,
    look_every: int = 1, stop: threading.Event | None = None,
) -> list[Batch]:  # fmt: skip
    """Run a stream in this process; by default until there is nothing new."""
    told: list[Batch] = []

    def tell(batch: Batch) -> None:
        told.append(batch)
        if stop is not None and len(told) >= look_every:
            stop.set()

    plan = Plan(folder / "state", folder / "checkpoint", folder / "result", interval_s, look_every)
    Stream(Reading(source, "auto", None, set_aside), plan, KEYS, Options(), tell).run(
        stop or threading.Event()
    )
    return told


def start(log: Path, folder: Path, *more: str, before: str = "") -> subprocess.Popen[str]:
    """Start a stream of a folder in a process of its own."""
    (folder / "key").write_bytes(TEST_KEY)
    (folder / "key").chmod(0o600)
    return subprocess.Popen(
        command(
            "stream", log, "--state", folder / "state", "--checkpoint", folder / "checkpoint", "--out", folder / "result",
            "--key", folder / "key", "--most-files", str(TOGETHER), *more, before=before,
        ),
        env=environment(folder) | settings("local[2]"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def held(state: Path) -> dict[str, object]:
    """All that a state holds, but for how far its stream is; sketches by value, since what lies under a null is not set."""
    increments = sorted(state.glob("increment-*"))
    manifest = msgspec.json.decode((state / "state.json").read_bytes())
    for increment in manifest["increments"]:
        del increment["sketches"]
    return {
        "manifest": {name: value for name, value in manifest.items() if name not in {"streamed", "presence"}},
        "sketches": [
            pa.ipc.open_file(pa.OSFile(str(one / "sketches.arrow"))).read_all() for one in increments
        ],
        "rejected": [(one / "rejected.jsonl").read_bytes() for one in increments],
        "presence": [pa.ipc.open_file(pa.OSFile(str(one))).read_all() for one in state.glob("presence-*")],
    }
