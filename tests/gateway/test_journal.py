"""What was acknowledged is there, once; in the journal, from files, from a topic."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import re
import sqlite3
import threading
import time
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from stillwatch.bodies import read_whole
from stillwatch.fingerprint import SKETCH_SCHEMA, sketch
from stillwatch.keys import Keys
from stillwatch.live.arrivals import Arrivals, as_arrivals
from stillwatch.live.intake import Intake, IntakeError, inflated
from stillwatch.live.journal import FullError, Journal, JournalError, Reader
from stillwatch.live.metrics import Metrics
from stillwatch.live.tailing import Tail
from tests.conftest import exchange, to_batch
from tests.gateway.watching import KEYS
from tests.otlp_requests import START, as_json, chat

FIXTURES = Path(__file__).parents[1] / "fixtures"
LITELLM = gzip.decompress((FIXTURES / "litellm.jsonl.gz").read_bytes())


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    opened = Journal(tmp_path, KEYS.name)
    yield opened
    opened.close()


def ids(folder: Path) -> list[str]:
    return [name for batch, _ in Reader(folder).new() for name in batch["exchange_id"].to_pylist()]


def line(number: int, **more: Any) -> bytes:
    row = exchange(number, f"acct-{number % 9}", f"a question about thing {number}", **more)
    return json.dumps({**row, "started_at": row["started_at"].isoformat()}).encode() + b"\n"


def test_sketches_come_back_as_they_were_made_and_hold_no_text(journal: Journal, tmp_path: Path) -> None:
    batch = sketch(to_batch([exchange(n, "acct", f"peculiar words {n} " * 9) for n in range(50)]), KEYS)
    journal.submit(batch.slice(0, 20)).result()
    journal.submit(batch.slice(20)).result()
    reader = Reader(tmp_path)
    read = [one for one, _ in reader.new()]
    assert [one.num_rows for one in read] == [20, 30]
    assert read[0].equals(as_arrivals(batch.slice(0, 20)))
    assert (
        read[0].select(SKETCH_SCHEMA.names).equals(batch.slice(0, 20).cast(SKETCH_SCHEMA.remove_metadata()))
    )
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


def test_all_members_of_a_packed_body_are_read_and_a_second_stream_is_refused() -> None:
    assert inflated(gzip.compress(b"abc") + gzip.compress(b"def") + gzip.compress(b""), "gzip") == b"abcdef"
    assert inflated(zlib.compress(b"abc"), "deflate") == b"abc"
    for body, encoding in (
        (gzip.compress(b"abc") + b"def", "gzip"),
        (gzip.compress(b"abc") + gzip.compress(b"def")[:-3], "gzip"),
        (zlib.compress(b"abc") + zlib.compress(b"def"), "deflate"),
        (zlib.compress(b"abc")[:-1], "deflate"),
    ):
        with pytest.raises(IntakeError):
            inflated(body, encoding)


def test_a_body_that_unpacks_to_too_much_is_refused() -> None:
    assert inflated(gzip.compress(b"abc"), "gzip") == b"abc"
    for body, encoding in (
        (gzip.compress(bytes(65 << 20)), "gzip"),
        (gzip.compress(bytes(33 << 20)) * 2, "gzip"),
        (zlib.compress(bytes(65 << 20)), "deflate"),
        (gzip.compress(b"abc")[:-9], "gzip"),
        (b"abc", "gzip"),
        (b"abc", "br"),
    ):
        with pytest.raises(IntakeError):
            inflated(body, encoding)


def test_a_file_is_followed_through_rotation_and_restarts(journal: Journal, tmp_path: Path) -> None:
    intake, metrics, log = Intake(journal, KEYS, tmp_path), Metrics(), tmp_path / "log.jsonl"

    def follow() -> Tail:
        place = journal.places().get(f"tail:{log.resolve()}")
        return Tail(log, "auto", intake, metrics, place, quiet_s=0)

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


def test_a_file_that_was_renamed_is_read_to_its_end_and_then_left(journal: Journal, tmp_path: Path) -> None:
    intake, log = Intake(journal, KEYS, tmp_path), tmp_path / "log.jsonl"
    tail = Tail(log, "auto", intake, Metrics(), None, quiet_s=0.3)
    log.write_bytes(line(1) + line(2)[:40])
    while tail.step():
        pass
    with log.open("ab") as held:  # a writer goes on in the renamed file for a while, and dies in a line
        log.rename(tmp_path / "log.jsonl.1")
        log.write_bytes(line(5))
        assert not tail.step()
        held.write(line(2)[40:])
        held.flush()
        assert tail.step()
        held.write(line(3)[:40])
        held.flush()
        assert not tail.step()
        log.rename(tmp_path / "log.jsonl.2")  # sooner than the one before it is left
        log.write_bytes(line(6))
        assert not tail.step()
    assert ids(tmp_path) == ["x0000001", "x0000002"]
    deadline = time.monotonic() + 30
    while len(ids(tmp_path)) < 4 and time.monotonic() < deadline:
        tail.step()
    assert ids(tmp_path)[2:] == ["x0000005", "x0000006"]
    assert len((tmp_path / "rejected.jsonl").read_bytes().splitlines()) == 1
    log.write_bytes(b"")
    tail.step()
    with log.open("ab") as held:
        held.write(line(7) + line(8).strip())
    log.rename(tmp_path / "log.jsonl.3")
    log.write_bytes(line(9))
    while len(ids(tmp_path)) < 7 and time.monotonic() < deadline:
        tail.step()
    assert ids(tmp_path)[4:] == ["x0000007", "x0000008", "x0000009"]


def test_words_before_the_records_of_a_file_cost_none_of_them(journal: Journal, tmp_path: Path) -> None:
    intake, metrics, log = Intake(journal, KEYS, tmp_path), Metrics(), tmp_path / "log.jsonl"
    log.write_bytes(b"\xef\xbb\xbfstarting up\nplease wait\n" + b"".join(map(line, range(50))))
    assert Tail(log, "native-jsonl", intake, metrics, None).step()
    assert len(ids(tmp_path)) == 50
    assert metrics.registry.get_sample_value("stillwatch_records_rejected_total", {"way": "tail"}) == 2
    letters = [json.loads(text) for text in (tmp_path / "rejected.jsonl").read_text().splitlines()]
    assert [(one["file"], one["row"]) for one in letters] == [
        ("tail:log.jsonl@0", 1),
        ("tail:log.jsonl@0", 2),
    ]


def test_a_call_that_a_span_and_an_event_tell_of_counts_once(tmp_path: Path, journal: Journal) -> None:
    intake, responses = Intake(journal, KEYS, tmp_path), [("r1", 1), ("r2", 2), ("r3", 2)]
    spans = [chat(number=number, **{"gen_ai.response.id": name}) for name, number in responses]
    event = {"event": "gen_ai.client.inference.operation.details"}
    events = [{**span, **event, "time": span["time"] + 5 * 10**8 + place} for place, span in enumerate(spans)]
    for one in (*spans[:2], *events, spans[0], chat(number=9), {**chat(number=9), "time": START + 10**12}):
        intake.take(as_json([one]), "test").done.result()
    arrivals = Arrivals(KEYS)
    for batch, came_us in Reader(tmp_path).new():
        arrivals.take(batch, came_us, 0, 0)
    # The third response of one span is a call of its own; a span that comes again is known.
    assert (arrivals.counts.taken, arrivals.counts.repeated) == (4, 4)
    kept = arrivals.due(2**62, 0)
    assert kept is not None
    arrivals.keep_only([kept])
    for batch, came_us in Reader(tmp_path).new():
        arrivals.take(batch, came_us, 0, 0)
    assert arrivals.counts.taken == 4


def test_a_clock_that_is_ahead_is_judged_as_it_comes_and_keeps_nothing(tmp_path: Path) -> None:
    now_s = exchange(0, "a", "b")["started_at"].timestamp()
    journal = Journal(tmp_path, KEYS.name, clock=lambda: now_s)
    far = [exchange(n, "a", f"text {n}", started_at=dt.datetime(2150, 1, n, tzinfo=dt.UTC)) for n in (1, 2)]
    soon = exchange(3, "a", "soon", started_at=dt.datetime.fromtimestamp(now_s + 3 * 86_400, dt.UTC))
    for one in (*far, soon):
        journal.submit(sketch(to_batch([exchange(0, "a", "now"), one]), KEYS)).result()
    journal.close()

    def counts(now_s: float) -> tuple[int, int]:
        arrivals = Arrivals(KEYS)
        for batch, came_us in Reader(tmp_path).new():
            arrivals.take(batch, came_us, 0, 0)
        return arrivals.counts.taken, arrivals.counts.ahead

    assert counts(now_s) == counts(now_s + 4 * 86_400) == (1, 3)
    reader = Reader(tmp_path)
    assert reader.forget(int((now_s + 86_400) * 1e6)) == 0
    assert reader.forget(int((now_s + 86_401) * 1e6)) == 6


def test_a_journal_of_the_version_before_is_gone_on_with(tmp_path: Path) -> None:
    batch = sketch(to_batch([exchange(1, "a", "text")]), KEYS).replace_schema_metadata(None)
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    with closing(sqlite3.connect(tmp_path / "arrivals.db")) as base, base:
        base.executescript(
            "CREATE TABLE arrivals (id INTEGER PRIMARY KEY AUTOINCREMENT, exchanges INTEGER NOT NULL, "
            "last_us INTEGER NOT NULL, sketches BLOB NOT NULL);"
            "CREATE TABLE setting (name TEXT PRIMARY KEY, value TEXT NOT NULL);"
            "INSERT INTO setting VALUES ('version', '1');"
        )
        row = (1, 2**60, sink.getvalue().to_pybytes())
        base.execute("INSERT INTO arrivals (exchanges, last_us, sketches) VALUES (?, ?, ?)", row)
    journal = Journal(tmp_path, KEYS.name, clock=lambda: 1e6)
    journal.submit(batch).result()
    journal.close()
    read = list(Reader(tmp_path).new())
    assert [came_us for _, came_us in read] == [10**12, 10**12]
    assert read[0][0].equals(read[1][0])
    assert Reader(tmp_path).forget(10**12 + 86_400_000_001) == 2


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

    other = next(one for one in LITELLM.splitlines() if len(read_whole(one).batch))
    send(*(line(number).strip() for number in range(40)), b"not json", other)
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
    assert metrics.registry.get_sample_value("stillwatch_records_rejected_total", {"way": "kafka"}) == 2
    assert len(found) == 61
    letters = [json.loads(text) for text in (tmp_path / "rejected.jsonl").read_text().splitlines()]
    (places,) = {(one["file"], one["row"]) for one in letters}
    assert re.fullmatch(r"kafka:exchanges/\d", places[0])


def test_brokers_that_are_away_are_counted_and_told_once_a_minute_as_json(
    journal: Journal, tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("confluent_kafka", reason="confluent-kafka is not installed (the extra [kafka])")
    from stillwatch.live.kafka import Topic

    metrics = Metrics()
    topic = Topic("127.0.0.1:9", "exchanges", "g", "auto", Intake(journal, KEYS, tmp_path), metrics)

    def count() -> float:
        name = "stillwatch_topic_errors_total"
        return metrics.registry.get_sample_value(name, {"code": "_TRANSPORT"}) or 0

    deadline = time.monotonic() + 30
    while count() < 3 and time.monotonic() < deadline:
        topic.step(threading.Event())
    topic._consumer.close()
    assert count() >= 3
    told = [record.told["code"] for record in caplog.records if hasattr(record, "told")]
    assert told.count("_TRANSPORT") == 1
    assert "127.0.0.1" not in capfd.readouterr().err + caplog.text
