"""Logs in S3 give what the same files give on disk; what a store refuses is told."""

from __future__ import annotations

import gzip
import json
import os
import threading
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stillwatch.arena import PRESETS, simulate
from stillwatch.listing import list_files
from stillwatch.rejects import ChangedLogError, EmptyLogError, MissingLogError, RejectLog, UnknownFormatError
from stillwatch.sketching import Source, paths_of
from stillwatch.sources import kind_of, open_log
from tests.scans import WRITTEN, environment, fails, run, scan_files
from tests.stored_logs import Store, asking_who, fetches, person, running

pytestmark = pytest.mark.programs


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    with running(tmp_path_factory.mktemp("store")) as store, pytest.MonkeyPatch.context() as patch:
        for name, value in store.environment().items():
            patch.setenv(name, value)
        yield store


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same exchanges as one file, and as partitions of Parquet and of JSON Lines."""
    folder = tmp_path_factory.mktemp("logs")
    table = pq.read_table(simulate(PRESETS["tiny"], tmp_path_factory.mktemp("tiny")).exchanges_path)
    pq.write_table(table, folder / "whole.parquet")
    days = [f"{moment:%Y-%m-%d}" for moment in table["started_at"].to_pylist()]
    for day in sorted(set(days)):
        rows = table.filter(pa.array([one == day for one in days]))
        for kind in ("tables", "lines"):
            (folder / kind / f"dt={day}" / "hour=00").mkdir(parents=True)
        pq.write_table(rows, folder / "tables" / f"dt={day}" / "hour=00" / "part-0.parquet")
        lines = "".join(json.dumps(row, default=str) + "\n" for row in rows.to_pylist()).encode()
        (folder / "lines" / f"dt={day}" / "hour=00" / "part-0.jsonl.gz").write_bytes(gzip.compress(lines, 1))
        (folder / "lines" / f"dt={day}" / "_SUCCESS").touch()
    return folder


@pytest.fixture(scope="module")
def bucket(store: Store, log: Path) -> str:
    store.copy(log, "logs")
    return "s3://logs"


def same(one: Path, other: Path) -> bool:
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in WRITTEN)


@pytest.mark.parametrize("name", ["whole.parquet", "tables", "lines", "tables/dt=2026-03-0[2-4]/hour=*"])
def test_a_scan_of_stored_objects_gives_the_result_of_the_same_files(
    name: str, bucket: str, log: Path, tmp_path: Path
) -> None:
    scan_files([log / name], tmp_path / "local")
    scan_files(paths_of([f"{bucket}/{name}"]), tmp_path / "stored")
    assert same(tmp_path / "local", tmp_path / "stored")
    sizes = [Source(paths_of([place])).bytes for place in (str(log / name), f"{bucket}/{name}")]
    assert sizes[0] == sizes[1] > 100_000


def test_stored_sketches_are_scanned_like_their_log(
    store: Store, bucket: str, log: Path, tmp_path: Path
) -> None:
    told = run("fingerprint", f"{bucket}/lines", "--out", tmp_path / "a" / "day.parquet", folder=tmp_path)
    assert told.returncode == 0, told.stderr
    store.copy(tmp_path / "a", "sketches")
    for name, place in (("sketch", "s3://sketches"), ("log", str(log / "lines"))):
        told = run("scan", place, "--out", tmp_path / name, "--sketch-only", folder=tmp_path)
        assert told.returncode == 0, told.stderr
    assert (tmp_path / "sketch" / "accounts.parquet").read_bytes() == (
        tmp_path / "log" / "accounts.parquet"
    ).read_bytes()
    assert kind_of("s3://sketches/day.parquet") == "sketch"


TREE = (
    "a.jsonl", "b/a.jsonl", "b/c/a.jsonl", "b/c/b.jsonl.gz", "b/.hidden/a.jsonl", "b/_temporary/a.jsonl",
    "b/_SUCCESS", "b-1/a.jsonl", "d e/é.jsonl", "dt=1/hour=07/a.jsonl", "dt=1/hour=08/a.jsonl", "dt=2/hour=07/a.jsonl",
)  # fmt: skip


@pytest.mark.parametrize(
    "pattern",
    [".", "b", "b/", "*", "*.jsonl", "b/*", "**/*.jsonl", "b/**", "dt=*/hour=07", "dt=[12]/hour=0?/*.jsonl", "d e",
     "b/_temporary", "**/c"],
)  # fmt: skip
def test_places_and_patterns_name_what_they_name_on_disk(
    store: Store, tmp_path: Path, pattern: str, request: pytest.FixtureRequest
) -> None:
    for name in TREE:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"{}\n")
    bucket = f"tree{abs(hash(pattern)) % 10**9}"
    store.copy(tmp_path, bucket)
    expected = [file.relative_to(tmp_path).as_posix() for file in list_files([tmp_path / pattern])]  # type: ignore[union-attr]
    place = f"s3://{bucket}" if pattern == "." else f"s3://{bucket}/{pattern}"
    assert [str(file).removeprefix(f"s3://{bucket}/") for file in list_files([place])] == expected
    assert expected


@pytest.mark.parametrize("name", ["day.jsonl", "day.parquet"])
def test_a_small_object_is_fetched_once(store: Store, tmp_path: Path, name: str) -> None:
    rows = [exchange(row) for row in range(500)]
    (tmp_path / "day.jsonl").write_bytes(b"".join(json.dumps(row).encode() + b"\n" for row in rows))
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "day.parquet")
    store.copy(tmp_path, "once")
    before = fetches(store, f"once/{name}")
    with RejectLog(None) as rejects:
        assert sum(map(len, open_log([f"s3://once/{name}"], rejects=rejects))) == 500
    assert fetches(store, f"once/{name}") == before + 1


@pytest.mark.parametrize(
    ("place", "error", "says"),
    [
        ("s3://no-such-bucket/a", MissingLogError, "there is no bucket s3://no-such-bucket. Check its name"),
        ("s3://no-such-bucket", MissingLogError, "there is no bucket s3://no-such-bucket. Check its name"),
        (
            "s3://no-such-bucket/*/a",
            MissingLogError,
            "there is no bucket s3://no-such-bucket. Check its name",
        ),
        ("s3://logs/none", MissingLogError, "s3://logs/none does not exist. Give an object"),
        ("s3://logs/dt=2025*", MissingLogError, "does not exist. Give an object, a place of objects or a"),
        ("s3://", MissingLogError, "s3:// names no bucket. Give s3://BUCKET/KEY"),
        ("s3://other/docs", UnknownFormatError, "s3://other/docs/readme.md is no log; a folder may hold"),
        ("s3://other/hidden", EmptyLogError, "s3://other/hidden holds no log"),
    ],
)
def test_a_place_that_holds_no_log_is_told(
    store: Store, bucket: str, tmp_path: Path, place: str, error: type[Exception], says: str
) -> None:
    for name in ("docs/readme.md", "hidden/_a.jsonl"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"nothing")
    store.copy(tmp_path, "other")
    with pytest.raises(error) as told:
        list_files([place])
    assert says in str(told.value)


def exchange(row: int, text: str = "text") -> dict[str, object]:
    return {
        "exchange_id": f"e{row}",
        "account_id": "a",
        "started_at": f"2026-02-01T{row // 3600:02d}:{row // 60 % 60:02d}:{row % 60:02d}Z",
        "model": "m",
        "messages": [{"role": "user", "content": text}],
    }


def long_log(store: Store, name: str) -> list[str]:
    """An object that is read in many pieces, and one that comes after it."""
    table = pa.Table.from_pylist([exchange(row, os.urandom(200).hex()) for row in range(60_000)])
    files = store.files()
    files.create_dir("long")
    for key in (f"long/{name}", f"long/{name}-after.parquet"):
        with files.open_output_stream(key) as out:
            pq.write_table(table, out, row_group_size=8_000)
    return [f"s3://long/{name}", f"s3://long/{name}-after.parquet"]


@pytest.mark.parametrize("gone", [0, 1])
def test_an_object_that_vanishes_while_the_log_is_read_ends_it(store: Store, gone: int) -> None:
    places = long_log(store, f"vanishing-{gone}.parquet")
    with RejectLog(None) as rejects:
        batches = open_log(places, rejects=rejects)
        next(batches)
        store.files().delete_file(places[gone].removeprefix("s3://"))
        with pytest.raises(MissingLogError, match=rf"{places[gone]} does not exist"):
            list(batches)


def test_an_object_that_is_replaced_while_it_is_read_ends_it(store: Store) -> None:
    places = long_log(store, "replaced.parquet")
    with RejectLog(None) as rejects:
        batches = open_log(places[:1], rejects=rejects)
        next(batches)
        with store.files().open_output_stream("long/replaced.parquet") as out:
            out.write(b"another log")
        with pytest.raises(ChangedLogError, match=r"s3://long/replaced.parquet went from [\d,]+ to 11 bytes"):
            list(batches)


def test_a_store_that_breaks_off_is_not_taken_for_a_broken_file(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = long_log(store, "breaking.parquet")
    with ThreadingHTTPServer(("127.0.0.1", 0), _Breaking) as server:
        _Breaking.store, _Breaking.breaks = store.endpoint, False
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
        with RejectLog(None) as rejects:
            batches = open_log(places[:1], rejects=rejects)
            next(batches)
            _Breaking.breaks = True
            with pytest.raises(
                MissingLogError, match=r"breaking.parquet cannot be read: the store does not answer"
            ):
                list(batches)
        server.shutdown()


class _Breaking(BaseHTTPRequestHandler):
    """Passes everything on, and from some time on tells what is there but gives nothing of it."""

    store = ""
    breaks = False

    def do_GET(self) -> None:
        if self.breaks and self.command == "GET":
            self.send_error(503)
            return
        asked = urllib.request.Request(
            self.store + self.path, headers=dict(self.headers), method=self.command
        )
        with urllib.request.urlopen(asked, timeout=30) as answer:
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                if name not in ("Connection", "Transfer-Encoding"):
                    self.send_header(name, value)
            self.end_headers()
            self.wfile.write(answer.read())

    def do_HEAD(self) -> None:
        self.do_GET()

    def log_message(self, format: str, *values: object) -> None:
        """Say nothing."""


@pytest.mark.slow
def test_who_may_not_read_is_told_and_nobody_s_key(
    store: Store, bucket: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = f"{bucket}/whole.parquet"
    key, secret = person(store)
    with asking_who(store):
        for name, value in store.environment(key, secret).items():
            monkeypatch.setenv(name, value)
        assert run("scan", place, "--out", tmp_path / "may", folder=tmp_path).returncode == 0
        for name, value in (("AWS_SECRET_ACCESS_KEY", "WRONG"), ("AWS_ACCESS_KEY_ID", "UNKNOWN")):
            monkeypatch.setenv(name, value)
            for asked in (place, f"{bucket}/tables", f"{bucket}/t*"):
                said = fails("scan", asked, "--out", tmp_path / "out", folder=tmp_path)
                assert f"{asked} may not be read: the store refuses the credentials, or got none" in said
                assert not any(word in said for word in (key, value))
    assert not (tmp_path / "out" / "overview.json").exists()


class _Unsigned(BaseHTTPRequestHandler):
    """Refuses as S3 does what nobody signed; moto's server breaks off there."""

    def do_GET(self) -> None:
        signed = "Authorization" in self.headers
        self.send_response(404 if signed else 403)
        self.send_header("Content-Length", str(len(DENIED)))
        self.end_headers()
        self.wfile.write(DENIED)

    def do_HEAD(self) -> None:
        self.send_response(404 if "Authorization" in self.headers else 403)
        self.end_headers()

    def log_message(self, format: str, *values: object) -> None:
        """Say nothing."""


DENIED = b"<?xml version='1.0'?><Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"


def test_who_gives_no_credentials_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), _Unsigned) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_address[1]}")
        said = fails("scan", "s3://logs/a.parquet", "--out", tmp_path / "out", folder=tmp_path)
        server.shutdown()
    assert "s3://logs/a.parquet may not be read: the store refuses the credentials, or got none" in said


def test_a_store_that_does_not_answer_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    said = fails("scan", "s3://logs/a.parquet", "--out", tmp_path / "out", folder=tmp_path)
    assert "s3://logs/a.parquet cannot be read: the store does not answer" in said
    assert environment(tmp_path)["AWS_ENDPOINT_URL"] not in said
