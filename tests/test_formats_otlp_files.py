"""Files and bodies of binary messages: how they are cut, and what broken ones cost."""

from __future__ import annotations

import gzip
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stillwatch.exchange import EXCHANGE_SCHEMA
from stillwatch.formats import _framing
from stillwatch.formats._told import Told
from stillwatch.formats.otlp import FORMAT
from stillwatch.formats.otlp.json_encoding import read_json
from stillwatch.formats.otlp.protobuf_encoding import read_protobuf
from stillwatch.rejects import LogError, RejectLog, UnknownFormatError
from stillwatch.sources import kind_of, open_log, read_body
from tests.otlp_requests import as_json, as_protobuf, chat, field, fixed64, framed, item, varint

Bytes = Callable[[list[bytes]], bytes]


def zstd(data: bytes) -> bytes:
    packed: bytes = pa.compress(data, codec="zstd", asbytes=True)
    return packed


def read(file: Path, **options: Any) -> tuple[pa.Table, RejectLog]:
    rejected = file.with_name("rejected.jsonl")
    with RejectLog(rejected, limit=1.0) as rejects:
        batches = list(open_log([file], rejects=rejects, **options))
    return pa.Table.from_batches(batches, EXCHANGE_SCHEMA), rejects


def reasons(file: Path) -> list[tuple[int, str]]:
    import json

    lines = file.with_name("rejected.jsonl").read_text().splitlines()
    return [(record["row"], record["reason"]) for record in map(json.loads, lines)]


REQUESTS = [[chat(f"question {number}", number), chat("again", number + 100)] for number in range(1, 6)]
IN_JSON = [as_json(request) for request in REQUESTS]
IN_PROTOBUF = [as_protobuf(request) for request in REQUESTS]
PACKINGS: dict[str, bytes] = {
    "lines.jsonl": b"\n".join(IN_JSON),
    "lines.jsonl.gz": gzip.compress(b"\n".join(IN_JSON)),
    "lines.jsonl.zst": zstd(b"\n".join(IN_JSON)),
    "exporter.json": framed(*map(zstd, IN_JSON)),
    "exporter.pb": framed(*IN_PROTOBUF),
    "exporter": framed(*map(zstd, IN_PROTOBUF)),
    "exporter.pb.zst": zstd(framed(*IN_PROTOBUF)),
    "exporter.pb.gz": gzip.compress(framed(*IN_PROTOBUF)),
}


@pytest.mark.parametrize("name", PACKINGS)
def test_a_log_reads_the_same_in_every_packing_of_the_file_exporter(name: str, tmp_path: Path) -> None:
    (tmp_path / "expected.jsonl").write_bytes(PACKINGS["lines.jsonl"])
    (tmp_path / name).write_bytes(PACKINGS[name])
    expected, _ = read(tmp_path / "expected.jsonl")
    table, rejects = read(tmp_path / name, batch_rows=3)
    assert table.equals(expected)
    assert (len(table), rejects.rejected) == (10, 0)
    assert kind_of(tmp_path / name) == "otlp"


@pytest.mark.parametrize("name", ["one.pb", "one.json", "one", "one.pb.gz"])
def test_a_file_may_be_one_request(name: str, tmp_path: Path) -> None:
    request = IN_JSON[0] if name == "one.json" else IN_PROTOBUF[0]
    (tmp_path / name).write_bytes(gzip.compress(request) if name.endswith(".gz") else request)
    table, rejects = read(tmp_path / name)
    assert (len(table), rejects.rejected) == (2, 0)
    assert kind_of(tmp_path / name) == "otlp"


def test_a_folder_holds_requests_of_both_encodings(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    for number, (text, message) in enumerate(zip(IN_JSON, IN_PROTOBUF, strict=True)):
        name, data = ("json", text) if number % 2 else ("binpb", message)
        (tmp_path / "log" / f"{number}.{name}").write_bytes(data)
    assert len(read(tmp_path / "log")[0]) == 10


@pytest.mark.parametrize("request_", [IN_JSON[0], IN_PROTOBUF[0]])
def test_a_body_is_read_as_a_file_is(request_: bytes, tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(request_)
    assert read(tmp_path / "one")[0].equals(pa.Table.from_batches([read_body(FORMAT, request_).batch]))


def test_a_reject_names_the_message_and_the_span(tmp_path: Path) -> None:
    broken = as_protobuf([chat("good", 11), chat("bad", 12, user=None), chat("good", 13)])
    (tmp_path / "log.pb").write_bytes(framed(IN_PROTOBUF[1], broken, IN_PROTOBUF[2]))
    table, rejects = read(tmp_path / "log.pb")
    assert (len(table), rejects.rejected) == (6, 1)
    ((row, reason),) = reasons(tmp_path / "log.pb")
    assert row == 2
    assert reason.startswith("span 2: it names no user")


CUT = "the file ends inside of a message"
OVERLONG = "a message of more than 128 MiB, or no length where one should be"
DAMAGE: dict[str, tuple[Callable[[bytes], bytes], int, list[tuple[int, str]]]] = {
    "cut inside of the last message": (lambda data: data[:-20], 8, [(5, CUT)]),
    "cut inside of a length": (lambda data: data + b"\0\0", 10, [(6, CUT)]),
    "a length beyond the file": (lambda data: data + b"\0\1\0\0" + data[4:50], 10, [(6, CUT)]),
    "no length": (lambda data: data + b"\xff" * 50, 10, [(6, OVERLONG)]),
    "an empty message": (
        lambda data: b"".join([data, bytes(4), data[:4], IN_PROTOBUF[0]]),
        10,
        [(6, "not a")],
    ),
    "no protobuf in a message": (lambda data: data + framed(b"\x0b" * 30), 10, [(6, "not a JSON object")]),
    "broken zstd": (
        lambda data: data + framed(zstd(IN_PROTOBUF[0])[:-9]),
        10,
        [(6, "a message is compressed and broken inside")],
    ),
    "a message cut off": (lambda data: data + framed(IN_PROTOBUF[0][:-9]), 10, [(6, "span 1: cut off")]),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_message_is_a_named_reject_and_the_others_stay(name: str, tmp_path: Path) -> None:
    damage, kept, expected = DAMAGE[name]
    file = tmp_path / "log.pb"
    file.write_bytes(damage(framed(*IN_PROTOBUF)))
    table, _ = read(file)
    assert len(table) == kept
    found = reasons(file)
    assert [row for row, _ in found] == [row for row, _ in expected]
    assert all(text.startswith(begin) for (_, text), (_, begin) in zip(found, expected, strict=True))


def test_a_message_that_unpacks_to_too_much_is_a_named_reject(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_framing, "LARGEST_MESSAGE_BYTES", 1 << 20)
    with pytest.raises(_framing.MalformedError, match="unpacks to more than 1 MiB"):
        _framing.unpacked(zstd(bytes(2 << 20)))


def test_text_is_not_taken_for_messages() -> None:
    texts = [
        b'{"a": 1}',
        b"\n{\n",
        b"\n" * 40,
        bytes(300),
        b"\xef\xbb\xbf{",
        b"[1]",
        b"",
        b"\n{\x0a {",
        b"id,text",
        b'\0\0\0\2{\n{"a": 1}',
    ]
    assert [_framing.framing_of(text) for text in texts] == [None] * len(texts)


def test_messages_are_not_read_as_another_format(tmp_path: Path) -> None:
    (tmp_path / "log.pb").write_bytes(framed(*IN_PROTOBUF))
    with pytest.raises(
        UnknownFormatError, match=r"log\.pb holds binary messages and cannot be read as litellm"
    ):
        read(tmp_path / "log.pb", format="litellm")


@pytest.mark.parametrize(
    ("name", "broken", "reason"),
    [
        (
            "wrong UTF-8",
            field(9, field(1, b"user.id") + field(2, field(1, b"\xff\xfe"))),
            "a text is not UTF-8",
        ),
        ("a length beyond the span", varint(9 << 3 | 2) + varint(10_000), "cut off, or not OTLP"),
        ("a group", bytes([3 << 3 | 3]), "cut off, or not OTLP"),
        ("an endless number", bytes([6 << 3]) + b"\xff" * 11, "cut off, or not OTLP"),
    ],
)
def test_a_broken_span_costs_that_span_alone(name: str, broken: bytes, reason: str) -> None:
    head = fixed64(7, 1_769_940_000_000_000_000)
    good = as_protobuf([chat()])
    # The same request with a second span after the first.
    (resource,) = [good[start:end] for _, _, start, end in _fields(good)]
    resource += field(2, field(2, head + broken) + field(2, _span_of(as_protobuf([chat(number=3)]))))
    piece = read_body(FORMAT, field(1, resource))
    assert len(piece.batch) == 2, name
    assert piece.rejected == ((1, f"span 2: {reason}"),)


def _fields(data: bytes) -> list[tuple[int, int, int, int]]:
    from stillwatch.formats.otlp import protobuf_encoding

    return list(protobuf_encoding._fields(data, 0, len(data)))


def _span_of(request: bytes) -> bytes:
    data = request
    for number in (1, 2, 2):
        start, end = next((start, end) for found, _, start, end in _fields(data) if found == number)
        data = data[start:end]
    return data


def test_values_nested_deeply_are_named() -> None:
    value = field(1, b"end")
    for _ in range(3_000):
        value = field(5, field(1, value))
    span = fixed64(7, 1) + field(9, field(1, b"deep") + field(2, value))
    piece = read_body(FORMAT, field(1, field(2, field(2, span))))
    assert piece.rejected == ((1, "span 1: nested too deeply"),)


def test_metrics_are_counted() -> None:
    metric = field(1, b"a.metric.of.mine") + field(2, b"eight by") + field(7, field(1, fixed64(3, 5)))
    assert read_body(FORMAT, field(1, field(2, field(2, metric)))).skipped == {
        "neither a span nor an event": 1
    }
    assert read_body(FORMAT, b'{"resourceMetrics": [{}]}').skipped == {"metrics or profiles": 1}
    assert read_body(FORMAT, b'{"resourceSpans": []}').skipped == {"a request without spans or events": 1}


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=12)
    | st.binary(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)
NAMES = st.sampled_from(
    [
        "user.id",
        "gen_ai.operation.name",
        "gen_ai.request.model",
        "gen_ai.input.messages",
        "gen_ai.output.messages",
        "gen_ai.request.temperature",
        "gen_ai.usage.input_tokens",
        "gen_ai.prompt.0.content",
        "openinference.span.kind",
        "llm.input_messages.0.message.role",
        "llm.input_messages.0.message.content",
        "langfuse.observation.type",
        "langfuse.observation.input",
        "mlflow.spanType",
        "mlflow.spanInputs",
    ]
)
ATTRIBUTES = st.dictionaries(
    NAMES,
    VALUES | st.sampled_from(["chat", "LLM", "generation", '"LLM"', "[{}]", '{"messages": 7}']),
    max_size=8,
)


@settings(max_examples=300, deadline=None, derandomize=True)
@given(spans=st.lists(ATTRIBUTES, max_size=4), resource=ATTRIBUTES)
def test_both_encodings_of_any_attributes_are_read_alike(
    spans: list[dict[str, Any]], resource: dict[str, Any]
) -> None:
    items = [item(attributes, number) for number, attributes in enumerate(spans, start=1)]
    told = [read_json(as_json(items, resource)), read_protobuf(as_protobuf(items, resource))]
    assert told[0] == told[1]
    assert [found.attributes for found in told[0].items] == spans
    pieces = [
        read_body(FORMAT, encode([*items, chat(number=9)], resource)) for encode in (as_json, as_protobuf)
    ]
    assert pieces[0].batch.equals(pieces[1].batch)
    assert (pieces[0].rejected, pieces[0].skipped) == (pieces[1].rejected, pieces[1].skipped)
    told_of = len(pieces[0].batch) + len(pieces[0].rejected) + sum(pieces[0].skipped.values())
    assert told_of == len(spans) + 1
    assert f"{9:032x}-{9:016x}" in pieces[0].batch["exchange_id"].to_pylist()


@settings(max_examples=300, deadline=None, derandomize=True)
@given(
    changes=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 255)), max_size=6),
    cut=st.integers(0, 40),
    before=st.integers(0, 2),
)
@example(changes=[(0, 255)], cut=0, before=0)
def test_any_damage_to_a_message_is_named_and_costs_no_message_before_it(
    changes: list[tuple[int, int]], cut: int, before: int
) -> None:
    whole = framed(*IN_PROTOBUF[:before])
    rest = bytearray(framed(*IN_PROTOBUF[3:]))
    for place, byte in changes:
        rest[place % len(rest)] = byte
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "log.pb"
        file.write_bytes(whole + bytes(rest[: len(rest) - cut]))
        try:
            table, _ = read(file)
        except LogError:
            if before:
                raise
            return
        table.validate(full=True)
        assert table["exchange_id"].to_pylist()[: 2 * before] == [
            f"{number:032x}-{number:016x}"
            for start in range(1, before + 1)
            for number in (start, start + 100)
        ]


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.binary(max_size=200), lengths=st.booleans())
def test_any_bytes_are_read_or_refused_by_name(data: bytes, lengths: bool) -> None:
    piece = read_body(FORMAT, field(1, data) if lengths else data)
    piece.batch.validate(full=True)
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "log.pb"
        file.write_bytes(framed(data) if lengths else data)
        with suppress(LogError):
            read(file)


def test_calls_told_of_before_are_found_as_a_set_would_find_them() -> None:
    import numpy as np

    random = np.random.default_rng(1)
    told, known = Told(), set()
    for _ in range(40):
        calls = random.integers(0, 500, 30).astype(np.uint64)
        expected = []
        for call in calls.tolist():
            expected.append(call not in known)
            known.add(call)
        assert told.first(calls).tolist() == expected


@pytest.mark.parametrize("length", [0, 1, 126, 127, 128, 129, 16_383, 16_384])
@pytest.mark.parametrize("key", ["", "k", "k" * 127, "k" * 128])
def test_texts_of_any_length_are_read_the_quick_way_as_the_slow(key: str, length: int) -> None:
    pair = field(1, key.encode()) + field(2, field(1, b"x" * length))
    span = fixed64(7, 1_769_940_000_000_000_000)
    reverse = field(2, field(1, b"x" * length)) + field(1, key.encode())
    for written in (pair, reverse):
        (found,) = read_protobuf(field(1, field(2, field(2, span + field(9, written))))).items
        assert found.attributes == {key: "x" * length}
    for cut in range(1, min(len(pair), 12)):
        message = read_protobuf(field(1, field(2, field(2, span + field(9, pair[:-cut])))))
        # What is left may be whole by itself, without its value.
        assert len(message.items) + len(message.rejected) == 1
