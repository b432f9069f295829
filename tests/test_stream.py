"""A stream counts what a scan counts, to the byte, however often its process is killed and whatever is broken in it."""

from __future__ import annotations

import itertools
import json
import os
import random
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from stillwatch.engine.base import EngineError
from stillwatch.engine.spark import SparkEngine
from stillwatch.rejects import DamagedLogError
from stillwatch.streaming import Folder, Topic
from tests.scans import written
from tests.streamed import TOGETHER, by_scan, filling, held, run_stream, session, start

DIES = """
import os, signal
from stillwatch import {module} as place

left, real = {times}, place.{name}

def call(*given, **named):
    global left
    left -= 1
    if not left and {first}:
        os.kill(os.getpid(), signal.SIGKILL)
    answer = real(*given, **named)
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)
    return answer

place.{name} = call
"""
"""Ends the process, as a loss of power would, before or after one of its steps."""
WAIT_S = 900


@pytest.fixture(scope="module", autouse=True)
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkEngine]:
    with session(tmp_path_factory.mktemp("spark")) as engine:
        yield engine


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """The files of a folder, in the order in which they came."""
    return filling(tmp_path_factory.mktemp("filling"))


@pytest.fixture(scope="module")
def scanned(files: list[Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the state and the result of scans of the same files."""
    folder = tmp_path_factory.mktemp("scanned")
    by_scan(files, folder)
    return folder


def log_of(files: list[Path]) -> Path:
    return files[0].parents[1]


def is_as_scanned(folder: Path, scanned: Path) -> None:
    assert held(folder / "state") == held(scanned / "state")
    assert written(folder / "result") == written(scanned / "result")
    assert len(written(folder / "result")["rejected.jsonl"].splitlines()) == 3
    assert not list((folder / "state").glob(".*")), "nothing is left"


def killed(
    files: list[Path], folder: Path, module: str, name: str, times: int, *, before: bool = False
) -> None:
    """Run a stream that dies at a step."""
    dies = DIES.format(module=module, name=name, times=times, first=before)
    process = start(log_of(files), folder, "--once", before=dies)
    try:
        _, said = process.communicate(timeout=WAIT_S)
    finally:
        process.kill()
    assert process.returncode == -signal.SIGKILL, said


@pytest.mark.spark
def test_a_stream_that_dies_between_the_two_commits_counts_each_file_once(
    files: list[Path], scanned: Path, tmp_path: Path
) -> None:
    killed(files, tmp_path, "state", "State._seal", 3)
    done = {path.name for path in (tmp_path / "checkpoint" / "commits").iterdir() if path.name.isdigit()}
    assert done == {"0"}
    assert json.loads((tmp_path / "state" / "state.json").read_bytes())["streamed"]["batch"] == 1
    told = run_stream(Folder(log_of(files), TOGETHER), tmp_path)
    assert [(batch.number, batch.again, batch.exchanges > 0) for batch in told[:2]] == [
        (1, True, False),
        (2, False, True),
    ]
    is_as_scanned(tmp_path, scanned)
    assert sum(batch.exchanges for batch in run_stream(Folder(log_of(files), TOGETHER), tmp_path)) == 0
    is_as_scanned(tmp_path, scanned)


@pytest.mark.slow
@pytest.mark.spark
@pytest.mark.parametrize(
    ("module", "name", "times", "before"),
    [
        ("streaming", "sketch_parts", 1, False),
        ("state", "State._commit", 2, True),
        ("state", "State._seal", 2, True),
        ("state", "State._seal", 2, False),
        ("streaming", "look", 1, True),
        ("findings", "write", 1, False),
        ("streaming", "look", 1, False),
    ],
)
def test_a_stream_that_dies_at_any_step_goes_on_where_it_was(
    files: list[Path], scanned: Path, tmp_path: Path, module: str, name: str, times: int, before: bool
) -> None:
    killed(files, tmp_path, module, name, times, before=before)
    run_stream(Folder(log_of(files), TOGETHER), tmp_path)
    is_as_scanned(tmp_path, scanned)


@pytest.mark.slow
@pytest.mark.spark
def test_a_stream_that_is_killed_at_random_moments_goes_on_where_it_was(
    files: list[Path], scanned: Path, tmp_path: Path
) -> None:
    (tmp_path / "timed").mkdir()
    began = time.monotonic()
    process = start(log_of(files), tmp_path / "timed", "--once")
    process.communicate(timeout=WAIT_S)
    assert process.returncode == 0
    whole, moments, died = time.monotonic() - began, random.Random(5), 0
    for _ in range(5):
        process = start(log_of(files), tmp_path, "--once")
        try:
            process.communicate(timeout=moments.uniform(0.4, 1.0) * whole)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            died += 1
    assert died >= 3
    run_stream(Folder(log_of(files), TOGETHER), tmp_path)
    is_as_scanned(tmp_path, scanned)


@pytest.mark.slow
@pytest.mark.spark
def test_a_stream_looks_now_and_then_and_ends_when_it_is_told_to(
    files: list[Path], scanned: Path, tmp_path: Path
) -> None:
    process = start(log_of(files), tmp_path, "--interval", "2s", "--look-every", "2")
    assert process.stderr is not None
    told: list[str] = []
    try:
        for line in process.stderr:
            if line.startswith("stillwatch: "):
                told.append(line)
            if len(told) == 2:
                process.send_signal(signal.SIGTERM)
                told.append("told to stop")
        assert process.wait(timeout=WAIT_S) == 0
    finally:
        process.kill()
    assert told[0].startswith("stillwatch: batch 0 of 2 parts: ")
    assert "looked" not in told[0]
    assert told[1].startswith("stillwatch: batch 1 of 2 parts: ")
    assert "looked: 1 extraction campaign" in told[1]
    run_stream(Folder(log_of(files), TOGETHER), tmp_path)
    is_as_scanned(tmp_path, scanned)


@pytest.mark.slow
@pytest.mark.spark
def test_a_file_that_is_broken_ends_the_stream_which_goes_on_once_it_is_mended(
    files: list[Path], scanned: Path, tmp_path: Path
) -> None:
    broken, apart = files[3], tmp_path / "apart"
    whole, at = broken.read_bytes(), broken.stat().st_mtime_ns
    try:
        broken.write_bytes(whole[:-100])
        os.utime(broken, ns=(at, at))
        with pytest.raises(DamagedLogError, match=r"part-03\.parquet is no whole Parquet file"):
            run_stream(Folder(log_of(files), TOGETHER), tmp_path)
        aside = run_stream(Folder(log_of(files), TOGETHER), apart, set_aside=True)
    finally:
        broken.write_bytes(whole)
        os.utime(broken, ns=(at, at))
    assert len(held(tmp_path / "state")["manifest"]["increments"]) == 1  # type: ignore[index]
    told = run_stream(Folder(log_of(files), TOGETHER), tmp_path)
    is_as_scanned(tmp_path, scanned)
    assert told[-1].held - aside[-1].held == pq.read_metadata(broken).num_rows
    rejected = [json.loads(line) for line in (apart / "result" / "rejected.jsonl").read_text().splitlines()]
    assert [row["row"] for row in rejected if row["file"] == str(broken)] == [0]


@pytest.fixture
def topic(files: list[Path]) -> tuple[str, Any, list[list[bytes]]]:
    """The address of librdkafka's mock broker, a producer, and records for two partitions of a topic, two of them broken."""
    confluent = pytest.importorskip(
        "confluent_kafka", reason="confluent-kafka is not installed (the extra [kafka])"
    )
    producer = confluent.Producer({"test.mock.num.brokers": 1})
    servers = ",".join(f"{one.host}:{one.port}" for one in producer.list_topics(timeout=30).brokers.values())
    rows = [row for file in files[1:4:2] for row in pq.read_table(file).to_pylist()]
    values = [json.dumps(row, default=str).encode() for row in rows]
    values[100:100] = [values[100][:80], b"no json"]
    partitions: list[list[bytes]] = [[], []]
    for number, value in enumerate(values):
        partitions[number % 3 % 2].append(value)
    return servers, producer, partitions


@pytest.mark.slow
@pytest.mark.spark
def test_a_topic_is_counted_once_and_gives_what_a_scan_of_its_records_gives(
    topic: tuple[str, Any, list[list[bytes]]], tmp_path: Path
) -> None:
    servers, producer, partitions = topic

    def send(share: slice) -> None:
        for number, values in enumerate(partitions):
            for value in values[share]:
                producer.produce("exchanges", value, partition=number)
                producer.poll(0)
        assert producer.flush(60) == 0

    source = Topic(servers, "exchanges", most=2000, split=700)
    send(slice(None, 1000))
    assert held_after(source, tmp_path) == sum(len(values[:1000]) for values in partitions) - 2
    send(slice(1000, None))
    assert held_after(source, tmp_path) == sum(map(len, partitions)) - 2

    logs: list[Path] = []
    ends = [0, 0]
    batches = sum(path.name.isdigit() for path in (tmp_path / "checkpoint" / "commits").iterdir())
    for number in range(batches):
        begins, ends = ends, [offset_of(tmp_path, number, partition) for partition in (0, 1)]
        values = [partitions[one][begins[one] : ends[one]] for one in (0, 1)]
        logs.append(tmp_path / f"log-{number}.jsonl")
        logs[-1].write_bytes(b"\n".join(itertools.chain(*values)) + b"\n")
        assert sum(ends) - sum(begins) <= 2000
    by_scan(logs, tmp_path / "scanned", together=1)
    streamed, scanned = (written(place / "result") for place in (tmp_path, tmp_path / "scanned"))
    rejected = [json.loads(line) for line in streamed.pop("rejected.jsonl").splitlines()]
    assert [(row["file"], row["row"]) for row in rejected] == [("exchanges/0", 67), ("exchanges/1", 33)]
    assert len(scanned.pop("rejected.jsonl").splitlines()) == 2
    for name in ("overview.json", "report.html"):  # a batch is of more parts than one
        del streamed[name], scanned[name]
    assert streamed == scanned


def held_after(source: Topic, folder: Path) -> int:
    """Exchanges that there are once a stream of a topic has ended.

    It is started again where Spark did not wait for a process that a busy machine was slow to start.
    """
    for attempt in range(4):
        try:
            run_stream(source, folder)
        except EngineError:
            if attempt == 3:
                raise
        else:
            break
    manifest = json.loads((folder / "state" / "state.json").read_bytes())
    return sum(increment["rows"] for increment in manifest["increments"])


def offset_of(folder: Path, batch: int, partition: int) -> int:
    """Where a batch ends in a partition, by Spark's checkpoint."""
    told = (folder / "checkpoint" / "offsets" / str(batch)).read_text().splitlines()[-1]
    return int(json.loads(told).get(str(partition), 0))
