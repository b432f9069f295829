"""Batches: two files of halves, in any order, joined over a whole scan."""

from __future__ import annotations

import json
import sqlite3
import tempfile
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from stillwatch.exchange import EXCHANGE_SCHEMA
from stillwatch.formats import MalformedError, _pairs
from stillwatch.formats._pairs import AMBIGUOUS, NO_REQUEST, PairingError, Pairs, Place
from stillwatch.formats._stated import Half
from stillwatch.rejects import RejectLog, TooManyRejectsError
from stillwatch.sources import open_log

FIXTURES = Path(__file__).parent / "fixtures"
NAMES = ["openai-batch", "anthropic-batch"]
PLACE = Place("folder", "file", 1)


def halves(name: str) -> tuple[list[bytes], list[bytes]]:
    lines = (FIXTURES / f"{name}.jsonl").read_bytes().splitlines()
    asked = [line for line in lines if b'"body": {"m' in line[:80] or b'"params"' in line]
    return asked, [line for line in lines if line not in asked]


def read(*paths: Path, **options: Any) -> tuple[list[dict[str, Any]], RejectLog]:
    rejects = RejectLog(None, limit=1.0)
    batches = list(open_log(list(paths), rejects=rejects, **options))
    return pa.Table.from_batches(batches, EXCHANGE_SCHEMA).to_pylist(), rejects


def write(path: Path, lines: list[bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"\n".join(lines) + b"\n")
    return path


def request(custom_id: str, text: str = "Hello", **more: Any) -> bytes:
    body = {"model": "m", "messages": [{"role": "user", "content": text}]}
    line = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps({**line, "account_id": "acme", **more}).encode()


def reply(custom_id: str, text: str = "Hi", **more: Any) -> bytes:
    body = {"id": f"c-{text}", "created": 1769940000, "choices": [{"message": {"content": text}}]}
    response = {"status_code": 200, "request_id": "r", "body": body}
    line = {"id": "batch_req_1", "custom_id": custom_id, "response": response, "error": None}
    return json.dumps({**line, **more}).encode()


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_files_and_lines_does_not_matter(name: str, tmp_path: Path) -> None:
    asked, told = halves(name)
    assert len(asked) == len(told) == 4
    expected, _ = read(write(tmp_path / "one" / "a.jsonl", asked), write(tmp_path / "one" / "b.jsonl", told))
    turned, _ = read(
        write(tmp_path / "two" / "a.jsonl", told[::-1]), write(tmp_path / "two" / "b.jsonl", asked)
    )
    apart, rejects = read(
        write(tmp_path / "in" / "x.jsonl", asked), write(tmp_path / "out" / "x.jsonl", told)
    )
    assert len(expected) == 4
    assert rejects.rejected == 0
    by_id = sorted(expected, key=lambda row: row["exchange_id"])
    assert sorted(turned, key=lambda row: row["exchange_id"]) == by_id
    assert sorted(apart, key=lambda row: row["exchange_id"]) == by_id


SOME = [half(name, text) for name in "abcdef" for half, text in ((request, name), (reply, f"={name}"))]


@settings(max_examples=40, deadline=None, derandomize=True, database=None)
@given(order=st.permutations(range(len(SOME))), cuts=st.lists(st.integers(0, len(SOME)), max_size=3))
def test_any_order_over_any_files_gives_the_same_exchanges(order: list[int], cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(SOME)]
    with tempfile.TemporaryDirectory() as folder:
        paths = [
            write(Path(folder) / f"{number}.jsonl", [SOME[place] for place in order[start:end]])
            for number, (start, end) in enumerate(pairwise(edges))
        ]
        rows, rejects = read(*paths)
    assert sorted(row["messages"][0]["content"] + row["completion"] for row in rows) == [
        f"{n}={n}" for n in "abcdef"
    ]
    assert (rejects.rejected, rejects.skipped) == (0, {})


def test_every_column_of_a_batch_of_openai(tmp_path: Path) -> None:
    asked, told = halves("openai-batch")
    rows, _ = read(write(tmp_path / "in.jsonl", asked), write(tmp_path / "out.jsonl", told))
    by_id = {row["exchange_id"]: row for row in rows}
    assert set(by_id) == {"chatcmpl-70", "chatcmpl-71", "resp_72", "batch_req_3"}
    row = by_id["resp_72"]
    assert (row["account_id"], row["end_user_id"], row["model"]) == ("acme", "s-3", "gpt-x")
    assert [message["content"] for message in row["messages"]] == ["Be brief.", "Six by seven?"]
    assert (row["completion"], row["status"], row["output_tokens"]) == ("42.", "success", 7)
    failed = by_id["batch_req_3"]
    assert (failed["status"], failed["completion"]) == ("failure", None)


def test_every_column_of_a_batch_of_anthropic(tmp_path: Path) -> None:
    asked, told = halves("anthropic-batch")
    rows, _ = read(write(tmp_path / "in.jsonl", asked), write(tmp_path / "out.jsonl", told))
    assert [row["status"] for row in rows].count("success") == 2
    row = next(row for row in rows if row["exchange_id"] == "msg_80")
    assert (row["account_id"], row["end_user_id"]) == ("globex", "u-9")
    assert (row["completion"], row["reasoning"], row["max_tokens"]) == ("42.", "Hm.", 2048)
    assert row["started_at"].isoformat() == "2026-02-01T10:00:00+00:00"


def test_a_half_without_the_other_is_counted_or_kept_if_it_has_a_time(tmp_path: Path) -> None:
    lines = [request("a"), request("b", started_at=1769940000), reply("c"), request("d"), reply("d")]
    rows, rejects = read(write(tmp_path / "log.jsonl", lines))
    assert [(row["completion"], row["status"]) for row in rows] == [("Hi", "success"), (None, None)]
    assert rejects.skipped == {"a request of a batch without an answer or a time": 1, NO_REQUEST: 1}
    assert rejects.rejected == 0


def test_one_name_on_two_requests_of_a_folder_is_never_guessed_about(tmp_path: Path) -> None:
    lines = [
        request("1", "mine"),
        request("1", "yours"),
        reply("1", "for me"),
        reply("1", "for you"),
        request("2"),
        reply("2"),
    ]
    rows, rejects = read(write(tmp_path / "log.jsonl", lines))
    assert [row["completion"] for row in rows] == ["Hi"]
    assert rejects.rejected == 4
    with pytest.raises(TooManyRejectsError, match="add batch_id to the lines of both files"):
        list(open_log([tmp_path / "log.jsonl"], rejects=RejectLog(None)))


def test_a_batch_id_or_a_folder_of_its_own_tells_equal_names_apart(tmp_path: Path) -> None:
    asked = [request("1", "mine", batch_id="x"), request("1", "yours", batch_id="y")]
    told = [reply("1", "for you", batch_id="y"), reply("1", "for me", batch_id="x")]
    rows, _ = read(write(tmp_path / "one" / "in.jsonl", asked), write(tmp_path / "one" / "out.jsonl", told))
    assert {(row["messages"][0]["content"], row["completion"]) for row in rows} == {
        ("mine", "for me"),
        ("yours", "for you"),
    }
    for folder, text in (("x", "mine"), ("y", "yours")):
        write(tmp_path / "two" / folder / "in.jsonl", [request("1", text)])
    for folder, text in (("x", "for me"), ("y", "for you")):
        write(tmp_path / "two" / folder / "out.jsonl", [reply("1", text)])
    rows, _ = read(tmp_path / "two")
    assert {(row["messages"][0]["content"], row["completion"]) for row in rows} == {
        ("mine", "for me"),
        ("yours", "for you"),
    }


def test_what_is_left_of_a_whole_folder_is_not_given_to_another(tmp_path: Path) -> None:
    write(tmp_path / "x" / "log.jsonl", [request("1"), reply("1"), request("7", started_at=1769940000)])
    write(tmp_path / "y" / "log.jsonl", [reply("7", "of somebody else")])
    rows, rejects = read(tmp_path)
    assert [row["completion"] for row in rows] == ["Hi", None]
    assert rejects.skipped == {NO_REQUEST: 1}


@pytest.mark.parametrize("name", NAMES)
def test_a_served_reply_without_a_time_says_what_to_add(name: str, tmp_path: Path) -> None:
    asked, told = halves(name)
    bare = [json.dumps({**json.loads(line), "started_at": None}).encode() for line in asked]
    lines = [
        line.replace(b'"created": 1', b'"made": 1').replace(b'"created_at": 1', b'"made": 1') for line in told
    ]
    rejects = RejectLog(tmp_path / "rejected.jsonl", limit=1.0)
    with rejects, pytest.raises(TooManyRejectsError, match=r"add (started_at|it) to the lines of one file"):
        list(open_log([write(tmp_path / "log.jsonl", [*bare, *lines])], rejects=rejects))


def test_an_embedding_in_a_batch_is_counted(tmp_path: Path) -> None:
    body = {"object": "list", "data": [{"embedding": [0.5]}], "model": "e"}
    answered = json.loads(reply("1"))
    answered["response"]["body"] = body
    asked = json.loads(request("1"))
    asked["body"] = {"model": "e", "input": "Hello"}
    path = write(
        tmp_path / "log.jsonl",
        [json.dumps(asked).encode(), json.dumps(answered).encode(), request("2"), reply("2")],
    )
    rows, rejects = read(path)
    assert len(rows) == 1
    assert rejects.skipped == {"a call that asks for no text": 1}


def test_a_log_of_halves_alone_is_empty(tmp_path: Path) -> None:
    with pytest.raises(Exception, match="holds no exchange but 1 records of other kinds"):
        read(write(tmp_path / "log.jsonl", [reply("1")]))


def test_halves_outgrow_memory_onto_the_disk_and_are_found_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_pairs, "MEMORY_KIB", 64)
    pairs = Pairs()
    text = b"x" * 10_000
    for number in range(500):
        assert pairs.match("f", Half(str(number), is_reply=False), text + str(number).encode(), PLACE) is None
    for number in reversed(range(500)):
        met = pairs.match("f", Half(str(number), is_reply=True), b"reply", PLACE)
        assert met == (text + str(number).encode(), b"reply")
    assert list(pairs.leftovers()) == []
    pairs.close()


def test_a_full_disk_is_a_named_error() -> None:
    pairs = Pairs()
    pairs.match("f", Half("1", is_reply=False), b"{}", PLACE)
    assert pairs._base is not None
    pairs._base.execute("PRAGMA max_page_count = 8")
    with pytest.raises(PairingError, match="Free room there, or set TMPDIR") as caught:
        pairs.match("f", Half("2", is_reply=False), b"secret" * 100_000, PLACE)
    assert isinstance(caught.value.__cause__, sqlite3.Error)
    assert "secret" not in str(caught.value)


def test_a_third_half_of_a_name_is_malformed() -> None:
    pairs = Pairs()
    pairs.match("f", Half("1", is_reply=True), b"a", PLACE)
    for is_reply in (True, False):
        with pytest.raises(MalformedError):
            pairs.match("f", Half("1", is_reply=is_reply), b"b", PLACE)
    assert [half.reason for half in pairs.leftovers()] == [AMBIGUOUS]
