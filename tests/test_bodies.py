"""Records of a topic: each a body with its number, and what is wrong with one costs no other."""

from __future__ import annotations

import json

import pytest

from stillwatch.bodies import NOT_KNOWN, check_format, read_values
from stillwatch.rejects import UnknownFormatError
from tests.conftest import exchange


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
