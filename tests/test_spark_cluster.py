"""A standalone cluster on loopback, each of its parts a process: a worker that dies in mid-run changes nothing."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from stillwatch.examine import Options
from stillwatch.keys import Keys
from stillwatch.scan import scan
from stillwatch.sketching import Source
from tests.scans import TEST_KEY, command, environment, written
from tests.spark_programs import mixed_log, packages, settings

pytestmark = [pytest.mark.spark, pytest.mark.slow]

FILES = 24
START_SECONDS, RUN_SECONDS = 180, 1500


@dataclass(frozen=True, slots=True)
class Cluster:
    """A master and its workers."""

    url: str
    workers: list[subprocess.Popen[bytes]]
    log: Path
    """What the master told."""


@contextmanager
def cluster(folder: Path, workers: int) -> Iterator[Cluster]:
    """Start a master and workers, each in a process group of its own, and end them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    url, log = f"spark://127.0.0.1:{port}", folder / "master.log"
    started: list[subprocess.Popen[bytes]] = []

    def start(kind: str, told: Path, *arguments: str) -> None:
        spark_class = packages() / "pyspark" / "bin" / "spark-class"
        started.append(
            subprocess.Popen(
                [spark_class, f"org.apache.spark.deploy.{kind}", "--host", "127.0.0.1", "--webui-port", "0", *arguments],
                env=os.environ | settings(url) | {"SPARK_HOME": str(packages() / "pyspark")},
                stdout=told.open("wb"), stderr=subprocess.STDOUT, start_new_session=True,
            )
        )  # fmt: skip

    try:
        start("master.Master", log, "--port", str(port))
        _await(lambda: "I have been elected leader" in log.read_text(), log)
        for number in range(workers):
            place = folder / f"worker-{number}"
            start("worker.Worker", folder / f"worker-{number}.log", "--cores", "1", "--memory", "1g",
                  "--work-dir", str(place), url)  # fmt: skip
        _await(lambda: log.read_text().count("Registering worker") == workers, log)
        yield Cluster(url, started[1:], log)
    finally:
        for process in started:
            _end(process, signal.SIGTERM)


def _end(process: subprocess.Popen[bytes], how: signal.Signals) -> None:
    """End a process that was started here, and what it started."""
    if process.poll() is None:
        os.killpg(process.pid, how)
    process.wait(timeout=60)


def _await(reached: Callable[[], bool], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not reached():
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def test_a_worker_that_is_killed_in_mid_run_changes_nothing(tmp_path: Path) -> None:
    log = mixed_log(tmp_path, 20_000, FILES)
    scan(Source((log,)), tmp_path / "alone", Keys(local=TEST_KEY), Options())
    (tmp_path / "key").write_bytes(TEST_KEY)
    (tmp_path / "key").chmod(0o600)
    out = tmp_path / "apart"
    arguments = ("scan", log, "--out", out, "--key", tmp_path / "key", "--engine", "spark")
    with cluster(tmp_path, 2) as running:
        told = settings(running.url)
        told["PYSPARK_SUBMIT_ARGS"] = "--conf spark.executor.memory=512m " + told["PYSPARK_SUBMIT_ARGS"]
        with (tmp_path / "scan.log").open("wb") as said:
            run = subprocess.Popen(
                command(*arguments), env=environment(tmp_path) | told, stdout=said, stderr=said, cwd=tmp_path
            )
        try:
            _await(lambda: len(_sketched(out)) >= 3 or run.poll() is not None, tmp_path / "scan.log")
            done = len(_sketched(out))
            assert 3 <= done < FILES, (tmp_path / "scan.log").read_text()
            _end(running.workers[0], signal.SIGKILL)
            assert run.wait(timeout=RUN_SECONDS) == 0, (tmp_path / "scan.log").read_text()
        finally:
            if run.poll() is None:
                run.kill()
                run.wait()
        assert "Removing worker" in running.log.read_text()
    for number in range(2):
        assert list((tmp_path / f"worker-{number}").glob("app-*/*/stderr")), "both took part"
    assert written(out) == written(tmp_path / "alone")
    assert not [path.name for path in out.iterdir() if path.name.startswith(".stillwatch")]


def _sketched(out: Path) -> list[Path]:
    """Files of which the sketches are there."""
    return list(out.glob(".stillwatch-result-*/.stillwatch-spool-*/sketches-*/*.parquet"))
