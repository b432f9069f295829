"""Traffic in, cases out, decisions answered: the whole way, in real processes."""

from __future__ import annotations

import datetime as dt
import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from stillwatch.arena import PRESETS, simulate
from stillwatch.formats._framing import HEAD_BYTES, framing_of, messages
from stillwatch.live.journal import Reader
from stillwatch.response.actions import Action
from stillwatch.store.cases import case, members, queue
from tests.conftest import exchange
from tests.gateway.killing import kill_at_random
from tests.gateway.watching import Watch, watch

FIXTURES = Path(__file__).parents[1] / "fixtures"
LITELLM = gzip.decompress((FIXTURES / "litellm.jsonl.gz").read_bytes())


@pytest.fixture(scope="module")
def taking(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watch]:
    folder = tmp_path_factory.mktemp("taking")
    with watch(folder, "--state", str(folder / "state"), "--step", "1d") as running:
        yield running


def stored(service: Watch) -> list[str]:
    return [
        name
        for batch, _ in Reader(service.folder / "state").new()
        for name in batch["exchange_id"].to_pylist()
    ]


def test_the_callback_of_litellm_posts_what_is_taken(taking: Watch) -> None:
    """Its ``generic_api`` posts an array of records as they are logged."""
    before = len(stored(taking))
    records = b"[" + b",".join(LITELLM.splitlines()) + b"]"
    status, _, body = taking.send("POST", "/v1/ingest", records)
    assert (status, json.loads(body)) == (200, {"accepted": 29, "rejected": 0, "skipped": 1})
    assert len(stored(taking)) == before + 29
    packed = gzip.compress(LITELLM)
    headers = {"x-api-key": taking.token, "content-encoding": "gzip"}
    assert taking.send("POST", "/v1/ingest?format=litellm", packed, headers)[0] == 200


def test_a_collector_posts_spans_as_json_and_as_protobuf(taking: Watch) -> None:
    otlp = FIXTURES / "otlp"
    line = (FIXTURES / "otlp.jsonl").read_bytes().splitlines()[0]
    headers = {"x-api-key": taking.token, "content-type": "application/json"}
    status, told, body = taking.send("POST", "/v1/traces", line, headers)
    assert (status, told["content-type"]) == (200, "application/json")
    assert set(json.loads(body)) <= {"partialSuccess"}
    for file in sorted(otlp.glob("*-traces.pb")):
        data = file.read_bytes()
        framing = framing_of(data[:HEAD_BYTES])
        assert framing is not None
        for message in (one for _, part in messages(iter([(1.0, data)]), framing) for one in part):
            headers = {"x-api-key": taking.token, "content-type": "application/x-protobuf"}
            status, told, _ = taking.send("POST", "/v1/traces", message, headers)
            assert (status, told["content-type"]) == (200, "application/x-protobuf"), file.name
    rejected = (taking.folder / "state" / "rejected.jsonl").read_bytes()
    headers = {"x-api-key": taking.token, "content-type": "application/x-protobuf"}
    assert taking.send("POST", "/v1/traces", b"", headers)[::2] == (200, b"")  # a request of nothing
    assert (taking.folder / "state" / "rejected.jsonl").read_bytes() == rejected


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/ingest", b"not json", 400),
        ("/v1/ingest?format=mystery", b"{}", 400),
        ("/v1/traces", b"\xff\xff\xff", 400),
        ("/v1/logs", b'{"resourceLogs": []}', 200),
        ("/v1/ingest", b'{"custom_id": "q", "response": {"status_code": 200, "body": {}}}', 400),
    ],
)
def test_what_is_nothing_is_refused_and_kept_with_its_reason(
    taking: Watch, path: str, body: bytes, status: int
) -> None:
    assert taking.send("POST", path, body)[0] == status


def test_nobody_hands_in_without_a_token(taking: Watch) -> None:
    for path in ("/v1/ingest", "/v1/traces", "/v1/logs"):
        assert taking.send("POST", path, LITELLM, {"x-api-key": "wrong"})[0] == 401


def test_what_the_looks_leave_out_is_shown_and_they_leave_nothing_behind(tmp_path: Path) -> None:
    state, day = tmp_path / "state", dt.timedelta(days=1)
    now = dt.datetime.now(dt.UTC)
    times = [now - day / 24, now - 40 * day, now - 40 * day, now + 2 * day]
    body = b"\n".join(
        json.dumps(exchange(number, "a", "text", started_at=at.isoformat())).encode()
        for number, at in enumerate(times)
    )
    with watch(tmp_path, "--state", str(state), "--step", "1s") as service:

        def shown(outcome: str) -> bytes:
            told = service.send("GET", "/metrics")[2].splitlines()
            start = f'stillwatch_looks_exchanges{{outcome="{outcome}"}} '.encode()
            return next((line.removeprefix(start) for line in told if line.startswith(start)), b"")

        assert service.send("POST", "/v1/ingest", body)[0] == 200
        wait_for(lambda: shown("taken") == b"1.0")
        assert (shown("too_old"), shown("ahead")) == (b"2.0", b"1.0")
        assert service.send("POST", "/v1/ingest", body.splitlines()[1])[0] == 200
        wait_for(lambda: shown("too_old") == b"3.0")  # with nothing to look at
        wait_for(lambda: looked(service)[-1]["too_old"] == 3)
    assert sorted(path.name for path in state.iterdir()) == ["arrivals.db", "lock"]


def test_killed_at_random_it_loses_nothing_and_counts_nothing_twice(tmp_path: Path) -> None:
    outcome = kill_at_random(tmp_path, kills=5, seed=int(time.time()))
    assert outcome.acknowledged > 0
    assert outcome.lost == 0, outcome
    assert outcome.counted >= outcome.acknowledged


def looked(service: Watch) -> list[dict[str, int]]:
    lines = (json.loads(line) for line in service.errors.read_text().splitlines() if line.startswith("{"))
    return [line for line in lines if line["event"] == "looked"]


def wait_for(true: object, within_s: float = 240.0) -> None:
    assert callable(true)
    deadline = time.monotonic() + within_s
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.25)


@pytest.mark.slow
def test_a_campaign_comes_in_is_found_decided_on_and_throttled(tmp_path: Path) -> None:
    simulate(PRESETS["tiny"], tmp_path / "log")
    table = pq.read_table(tmp_path / "log" / "exchanges.parquet")
    last = pc.max(table["started_at"]).as_py().timestamp()
    shift = pa.scalar(int((time.time() - 60 - last) * 1e6), pa.duration("us"))
    place = table.schema.get_field_index("started_at")
    table = table.set_column(place, table.schema.field(place), pc.add(table["started_at"], shift))
    truth = pq.read_table(tmp_path / "log" / "truth.parquet").to_pylist()
    planted = {row["exchange_id"] for row in truth if row["extraction"]}
    owner = dict(zip(table["exchange_id"].to_pylist(), table["account_id"].to_pylist(), strict=True))
    rows = [
        json.dumps({k: v for k, v in row.items() if v is not None}, default=str) for row in table.to_pylist()
    ]
    more = ["--state", str(tmp_path / "state"), "--step", "1s", "--margin", "0", "--looks", "1"]
    with watch(tmp_path, *more) as service:

        def post() -> None:
            for start in range(0, len(rows), 1000):
                body = "\n".join(rows[start : start + 1000]).encode()
                assert service.send("POST", "/v1/ingest?format=native-jsonl", body)[0] == 200

        def found() -> list[str]:
            return [
                row["id"]
                for row in queue(service.store)["rows"]
                if row["verdict"] == "extraction" and row["id"] != "c-1"
            ]

        post()
        wait_for(lambda: looked(service) and looked(service)[-1]["taken"] == len(rows) and found())
        (name, *_) = found()
        people = {
            row["account_id"] for row in members(service.store, name, case(service.store, name)["scan_id"])
        }
        assert people <= {owner[one] for one in planted}
        account = sorted(people)[0]
        service.decide(Action.SUSPEND, account, case_id=name, waited=False)
        wait_for(lambda: service.ask(account_id=account)["status"] == 403)
        assert service.ask(account_id=next(one for one in owner.values() if one not in people))["allow"]
        # Killed, started again, and told everything once more: the same cases, and nothing counted twice.
        before = set(found())
        assert service.process is not None
        service.process.kill()
        service.process.wait(timeout=30)
        service.start(*more)
        assert service.ask(account_id=account)["status"] == 403
        post()
        wait_for(lambda: looked(service)[-1]["repeated"] == len(rows))
        assert looked(service)[-1]["taken"] == len(rows)
        assert set(found()) == before
