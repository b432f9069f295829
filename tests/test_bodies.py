"""Bodies and records of a topic: what is wrong with one record costs no other."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from stillwatch.bodies import NOT_KNOWN, check_format, read_values, read_whole
from stillwatch.formats._reading import LONE_HALF
from stillwatch.rejects import UnknownFormatError
from tests.conftest import exchange

FIXTURES = Path(__file__).parent / "fixtures"


def record(number: int) -> dict[str, object]:
    row = exchange(number, "acct", f"a question about thing {number}")
    return {**row, "started_at": row["started_at"].isoformat()}


def encoded(*numbers: int) -> bytes:
    return b"\n".join(json.dumps(record(number)).encode() for number in numbers)


def test_each_record_may_be_an_object_an_array_lines_or_a_document() -> None:
    array = json.dumps([record(2), record(3)]).encode()
    document = json.dumps(record(6), indent=2).encode()
    piece = read_values([(70, encoded(1)), (71, array), (73, encoded(4, 5)), (90, document)], "auto")
    assert piece.batch["exchange_id"].to_pylist() == [f"x{number:07d}" for number in range(1, 7)]
    assert piece.rejected == ()


def test_what_is_wrong_is_told_by_the_number_of_the_record() -> None:
    cut = encoded(2)[:50]
    values = [
        (7, cut),
        (8, encoded(1)),
        (9, b""),
        (10, b"\xff\xfe"),
        (12, b'{"account_id": "a"}'),
        (13, encoded(3)),
    ]
    piece = read_values(values, "auto")
    assert piece.batch["exchange_id"].to_pylist() == ["x0000001", "x0000003"]
    assert [row for row, _ in piece.rejected] == [7, 9, 10, 12]
    assert not any("thing" in reason for _, reason in piece.rejected)


def test_records_of_no_known_format_are_rejected_one_by_one() -> None:
    piece = read_values([(5, b"no json"), (6, b'{"a": 1}')], "auto")
    assert len(piece.batch) == 0
    assert piece.rejected == ((5, NOT_KNOWN), (6, NOT_KNOWN))


def test_a_format_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(UnknownFormatError, match="there is no such format; there are auto, anthropic, "):
        check_format("csv")


def names(body: bytes, name: str = "auto") -> list[str]:
    found: list[str] = read_whole(body, name).batch["exchange_id"].to_pylist()
    return found


@pytest.mark.parametrize("name", ["auto", "native-jsonl"])
@pytest.mark.parametrize(
    "first",
    [
        b"starting up",
        b"{cut off",
        b"[INFO] starting up",
        b"[1, 2]",
        b"5",
        b"null",
        b"\x00\x00" + encoded(1),
        b"," + encoded(1),
        b"\n".join([b"a trace, line by line"] * 200),
        b"\xff\xfe",
    ],
)
def test_what_stands_before_the_records_costs_none_of_them(first: bytes, name: str) -> None:
    piece = read_whole(first + b"\n" + encoded(2, 3), name)
    assert piece.batch["exchange_id"].to_pylist() == ["x0000002", "x0000003"]
    lines = first.count(b"\n") + 1
    assert sorted({row for row, _ in piece.rejected}) == list(range(1, lines + 1))


@pytest.mark.parametrize("name", ["auto", "native-jsonl"])
def test_a_byte_order_mark_is_read_as_it_is(name: str) -> None:
    for body in (encoded(1), encoded(1, 2), json.dumps(record(1), indent=2).encode()):
        piece = read_whole(b"\xef\xbb\xbf" + body, name)
        assert piece.batch["exchange_id"].to_pylist() == names(body)
        assert piece.rejected == ()


def test_lines_may_be_arrays_and_a_document_may_hold_lines_that_are_json() -> None:
    arrays = json.dumps([record(1)]).encode() + b"\n" + json.dumps([record(2), record(3)]).encode()
    assert names(arrays) == ["x0000001", "x0000002", "x0000003"]
    lines = json.dumps(record(4)).encode()
    assert names(b"[\n" + lines + b",\n" + lines + b"\n]") == ["x0000004"] * 2
    assert names(b"[\n" + lines + b',\n{"temperature": NaN},\n' + lines + b"\n]") == ["x0000004"] * 2


def test_not_a_number_on_every_line_costs_no_line() -> None:
    lines = [json.dumps({**record(number), "temperature": float("nan")}).encode() for number in (1, 2)]
    assert names(b"\n".join(lines)) == ["x0000001", "x0000002"]


def test_a_body_of_no_known_format_is_rejected_record_by_record() -> None:
    piece = read_whole(b'{"a": 1}\n{"a": 2}')
    assert len(piece.batch) == 0
    assert piece.rejected == ((1, NOT_KNOWN), (2, NOT_KNOWN))


def test_records_of_a_topic_may_be_of_many_formats() -> None:
    other = gzip.decompress((FIXTURES / "litellm.jsonl.gz").read_bytes()).splitlines()[:3]
    spans = (FIXTURES / "otlp.jsonl").read_bytes().splitlines()[0]
    alone = [len(read_whole(one).batch) for one in (*other, spans)]
    values = [encoded(1), other[0], encoded(2), b"no json", spans, other[1], other[2], encoded(3)]
    piece = read_values(enumerate(values, start=100), "auto")
    assert len(piece.batch) == 3 + sum(alone)
    assert {row for row, _ in piece.rejected} == {103, *(104 for _ in read_whole(spans).rejected)}
    assert piece.calls is not None
    assert len(piece.calls) == len(piece.batch)


def test_halves_that_are_not_handed_in_together_are_rejected_and_the_reason_says_what_to_do() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "text"}]}
    answer = {
        "id": "c-1",
        "created": 1_769_940_000,
        "choices": [{"message": {"role": "assistant", "content": "x"}}],
    }
    asked = [
        {"custom_id": f"q{n}", "account_id": "a", "url": "/v1/chat/completions", "body": body} for n in (1, 2)
    ]
    replies = [{"custom_id": f"q{n}", "response": {"status_code": 200, "body": answer}} for n in (1, 2)]
    first, second = (b"\n".join(json.dumps(one).encode() for one in half) for half in (asked, replies))
    assert len(read_whole(first + b"\n" + second).batch) == 2
    assert read_whole(first).rejected == ((1, LONE_HALF), (2, LONE_HALF))
    assert read_whole(second).rejected == ((1, LONE_HALF), (2, LONE_HALF))
    assert read_values([(7, first), (9, second)], "auto").rejected == ()
