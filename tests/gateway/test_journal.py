"""What was acknowledged is there, once; in the journal, from files, from a topic."""

from __future__ import annotations

import gzip
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from stillwatch.fingerprint import SKETCH_SCHEMA, sketch
from stillwatch.keys import Keys
from stillwatch.live.intake import Intake, IntakeError, inflated
from stillwatch.live.journal import FullError, Journal, JournalError, Reader
from stillwatch.live.metrics import Metrics
from stillwatch.live.tailing import Tail
from tests.conftest import exchange, to_batch
from tests.gateway.watching import KEYS

FIXTURES = Path(__file__).parents[1] / "fixtures"
LITELLM = gzip.decompress((FIXTURES / "litellm.jsonl.gz").read_bytes())


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path, KEYS.name)
    yield opened
    opened.close()


def ids(folder: Path) -> list[str]:
    return [name for batch in Reader(folder).new() for name in batch["exchange_id"].to_pylist()]


def line(number: int, **more: Any) -> bytes:
    row = exchange(number, f"acct-{number % 9}", f"a question about thing {number}", **more)
    return json.dumps({**row, "started_at": row["started_at"].isoformat()}).encode() + b"\n"


def test_sketches_come_back_as_they_were_made_and_hold_no_text(journal: Journal, tmp_path: Path) -> None:
    batch = sketch(to_batch([exchange(n, "acct", f"peculiar words {n} " * 9) for n in range(50)]), KEYS)
    journal.submit(batch.slice(0, 20)).result()
    journal.submit(batch.slice(20)).result()
    reader = Reader(tmp_path)
    read = list(reader.new())
    assert [one.num_rows for one in read] == [20, 30]
    assert read[0].equals(batch.slice(0, 20).cast(SKETCH_SCHEMA.remove_metadata()))
    assert list(reader.new()) == []
    assert (
        b"peculiar"
        not in (tmp_path / "arrivals.db").read_bytes() + (tmp_path / "arrivals.db-wal").read_bytes()
    )


def test_many_that_write_at_once_share_a_commit_and_lose_nothing(journal: Journal, tmp_path: Path) -> None:
    batches = [sketch(to_batch([exchange(n, "a", f"text {n}")]), KEYS) for n in range(200)]
    with ThreadPoolExecutor(16) as pool:
        for future in list(pool.map(journal.submit, batches)):
            future.result(timeout=30)
    assert sorted(ids(tmp_path)) == [f"x{n:07d}" for n in range(200)]


def test_a_journal_belongs_to_one_process_and_one_key(journal: Journal, tmp_path: Path) -> None:
    with pytest.raises(JournalError, match="another process writes into"):
        Journal(tmp_path, KEYS.name)
    journal.close()
    with pytest.raises(JournalError, match="made with another key"):
        Journal(tmp_path, Keys(local=b"another key of enough bytes").name)
    again = Journal(tmp_path, KEYS.name)
    again.close()
    journal.__init__(tmp_path, KEYS.name)  # type: ignore[misc]  # for the fixture to close


def test_what_the_window_has_passed_is_forgotten(journal: Journal, tmp_path: Path) -> None:
    old = sketch(to_batch([exchange(n, "a", "old") for n in range(5)]), KEYS)
    new = sketch(to_batch([exchange(90_000, "a", "new")]), KEYS)
    journal.submit(old).result()
    journal.submit(new).result()
    reader = Reader(tmp_path)
    assert reader.forget(new["at_us"][0].as_py()) == 5
    assert ids(tmp_path) == ["x0090000"]


def test_a_sender_is_told_to_come_again_where_too_much_waits(tmp_path: Path) -> None:
    batch = sketch(to_batch([exchange(n, "a", f"text {n}") for n in range(50)]), KEYS)
    small = Journal(tmp_path / "small", KEYS.name, waiting_bytes=batch.nbytes)
    try:
        full = []
        futures = []
        for _ in range(300):
            try:
                futures.append(small.submit(batch))
            except FullError as error:
                full.append(error.retry_after_s)
        for future in futures:
            future.result()
        assert set(full) == {1}
        small.submit(batch).result()  # once the disk has caught up
    finally:
        small.close()
    none_left = Journal(tmp_path / "none", KEYS.name, free_bytes=1 << 60)
    with pytest.raises(FullError, match="the disk is full"):
        none_left.submit(batch)
    none_left.close()


def test_a_bad_record_costs_no_other_and_its_reason_is_kept(journal: Journal, tmp_path: Path) -> None:
    intake = Intake(journal, KEYS, tmp_path)
    records = LITELLM.splitlines()
    bodies = {
        "array": b"[" + b",".join([*records, b'{"startTime": 1, "call_type": "x", "metadata": {}}']) + b"]",
        "lines": LITELLM + b'{"secret words\n',
        "one": records[0],
    }
    taken = {name: intake.take(body, name, "litellm") for name, body in bodies.items()}
    for one in taken.values():
        one.done.result()
    assert [one.accepted for one in taken.values()] == [29, 29, 1]
    assert [[row for row, _ in one.rejected] for one in taken.values()] == [[31], [31], []]
    assert [one.skipped for one in taken.values()] == [1, 1, 0]
    letters = [json.loads(text) for text in (tmp_path / "rejected.jsonl").read_text().splitlines()]
    assert [(one["file"], one["row"]) for one in letters] == [("array", 31), ("lines", 31)]
    assert "secret" not in (tmp_path / "rejected.jsonl").read_text()


def test_the_list_of_what_was_rejected_does_not_fill_the_disk(
    journal: Journal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stillwatch.live.intake.REJECTED_BYTES", 1000)
    intake = Intake(journal, KEYS, tmp_path)
    for _ in range(100):
        intake.take(b"not json", "here")
    files = sorted(file.name for file in tmp_path.glob("rejected*"))
    assert files in (["rejected.1.jsonl"], ["rejected.1.jsonl", "rejected.jsonl"])
    assert all((tmp_path / name).stat().st_size < 1300 for name in files)
    assert intake.take(b"no json", "x").rejected == ((1, "no known format, or no JSON"),)


def test_a_body_that_unpacks_to_too_much_is_refused() -> None:
    assert inflated(gzip.compress(b"abc"), "gzip") == b"abc"
    for body, encoding in (
        (gzip.compress(bytes(65 << 20)), "gzip"),
        (gzip.compress(b"abc")[:-9], "gzip"),
        (b"abc", "gzip"),
        (b"abc", "br"),
    ):
        with pytest.raises(IntakeError):
            inflated(body, encoding)


def test_a_file_is_followed_through_rotation_and_restarts(journal: Journal, tmp_path: Path) -> None:
    intake, metrics, log = Intake(journal, KEYS, tmp_path), Metrics(), tmp_path / "log.jsonl"

    def follow() -> Tail:
        return Tail(log, "auto", intake, metrics, journal.places().get(f"tail:{log.resolve()}"))

    def drain(tail: Tail) -> None:
        while tail.step():
            pass

    tail = follow()
    drain(tail)  # not there yet
    log.write_bytes(line(0) + line(1) + line(2)[:40])
    drain(tail)
    assert ids(tmp_path) == ["x0000000", "x0000001"]
    with log.open("ab") as file:
        file.write(line(2)[40:] + line(3))
    drain(follow())  # another process goes on where the one before stopped
    assert ids(tmp_path)[2:] == ["x0000002", "x0000003"]
    tail = follow()
    drain(tail)
    with log.open("ab") as file:
        file.write(line(4))
    log.rename(tmp_path / "log.jsonl.1")
    log.write_bytes(line(5))
    drain(tail)
    assert ids(tmp_path)[4:] == ["x0000004", "x0000005"]
    log.write_bytes(line(6)[:0])
    drain(tail)
    with log.open("ab") as file:
        file.write(line(7))
    drain(tail)
    assert ids(tmp_path)[6:] == ["x0000007"]


def test_a_broken_first_line_costs_no_other(journal: Journal, tmp_path: Path) -> None:
    body = b"\n".join([line(1)[:40], line(2).strip(), line(3)[:40], line(4).strip()])
    taken = Intake(journal, KEYS, tmp_path).take(body, "test")
    taken.done.result()
    assert ids(tmp_path) == ["x0000002", "x0000004"]
    assert [row for row, _ in taken.rejected] == [1, 3]
    document = json.dumps(json.loads(line(5)), indent=1).encode()
    Intake(journal, KEYS, tmp_path).take(document, "test").done.result()
    assert ids(tmp_path)[2:] == ["x0000005"]


def test_a_topic_is_read_once_at_least_and_its_offsets_come_after(journal: Journal, tmp_path: Path) -> None:
    confluent = pytest.importorskip(
        "confluent_kafka", reason="confluent-kafka is not installed (the extra [kafka])"
    )
    from stillwatch.live.kafka import Topic

    producer = confluent.Producer({"test.mock.num.brokers": 1})
    brokers = producer.list_topics(timeout=30).brokers.values()
    servers = ",".join(f"{one.host}:{one.port}" for one in brokers)
    intake, metrics, stop = Intake(journal, KEYS, tmp_path), Metrics(), threading.Event()

    def send(*values: bytes) -> None:
        for value in values:
            producer.produce("exchanges", value)
        assert producer.flush(30) == 0

    def read(count: int, topic: Topic) -> None:
        deadline = time.monotonic() + 60
        while count > 0 and time.monotonic() < deadline:
            count -= topic.step(stop)
        assert count == 0

    send(*(line(number).strip() for number in range(40)), b"not json", LITELLM.splitlines()[0])
    first = Topic(servers, "exchanges", "g", "auto", intake, metrics)
    read(42, first)
    # It dies after it has written and before it has committed: the next one reads again, and nothing is missing.
    first._consumer.close()
    send(*(line(number).strip() for number in range(40, 60)))
    second = Topic(servers, "exchanges", "g", "auto", intake, metrics)
    read(20, second)
    second._consumer.close()
    found = ids(tmp_path)
    assert set(found) >= {f"x{number:07d}" for number in range(60)}
    assert found.count("x0000050") == 1
    other = Topic(servers, "exchanges", "another", "auto", intake, metrics)
    read(62, other)
    other._consumer.close()
    assert metrics.registry.get_sample_value("stillwatch_records_rejected_total", {"way": "kafka"}) == 4
