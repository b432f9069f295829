"""What every log format promises. A format is found by itself; it needs a fixture of its own name."""

from __future__ import annotations

import gzip
from pathlib import Path

import msgspec
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stillwatch.exchange import EXCHANGE_SCHEMA, REQUIRED
from stillwatch.formats import LineFormat, MalformedError, PairedFormat, all_formats, line_formats
from stillwatch.formats.native_parquet import NativeTable
from stillwatch.rejects import RejectLog
from stillwatch.sources import kind_of, open_log, read_body

FIXTURES = Path(__file__).parent.parent / "fixtures"
LINE_FORMATS = [pytest.param(format_, id=format_.name) for format_ in line_formats()]


def fixture_lines(name: str) -> list[bytes]:
    plain, packed = FIXTURES / f"{name}.jsonl", FIXTURES / f"{name}.jsonl.gz"
    text = plain.read_bytes() if plain.exists() else gzip.decompress(packed.read_bytes())
    return [line for line in text.splitlines() if line.strip()]


def told(format_: LineFormat, lines: list[bytes]) -> int:
    """Exchanges that a format's lines tell of: two halves are one."""
    if not isinstance(format_, PairedFormat):
        return len(lines)
    halves = [format_.read(line).half for line in lines]
    return len({half.key for half in halves if half is not None})


def read_lines(tmp_path: Path, lines: list[bytes], **options: object) -> tuple[pa.Table, RejectLog]:
    file = tmp_path / "log.jsonl"
    file.write_bytes(b"\n".join(lines) + b"\n")
    rejects = RejectLog(None, limit=1.0)
    batches = list(open_log([file], rejects=rejects, **options))  # type: ignore[arg-type]
    return pa.Table.from_batches(batches, EXCHANGE_SCHEMA), rejects


def test_every_format_is_found_by_its_name() -> None:
    assert {"native-jsonl", "native-parquet", "litellm", "openai"} <= set(all_formats())
    assert all(name == format_.name for name, format_ in all_formats().items())
    assert all(isinstance(format_, LineFormat | NativeTable) for format_ in all_formats().values())


@pytest.mark.parametrize("name", sorted(all_formats()))
def test_the_page_of_a_format_names_every_required_column_and_only_columns(name: str) -> None:
    about = all_formats()[name].about
    assert set(REQUIRED) <= set(about.fields) <= set(EXCHANGE_SCHEMA.names)
    assert about.title
    assert about.needs
    assert about.identity
    assert all(about.fields.values())
    assert all(about.lost.values())


@pytest.mark.parametrize("format_", LINE_FORMATS)
def test_a_record_is_recognised_by_its_own_format_alone(format_: LineFormat) -> None:
    for line in fixture_lines(format_.name):
        record = msgspec.json.decode(line)
        assert [found.name for found in line_formats() if found.recognises(record)] == [format_.name]


@pytest.mark.parametrize("format_", LINE_FORMATS)
@pytest.mark.parametrize("record", [{}, {"role": "user"}, {"model": "m"}, {"request": 1}, {"metadata": None}])
def test_a_foreign_record_is_not_recognised(format_: LineFormat, record: dict[str, object]) -> None:
    assert not format_.recognises(record)


@pytest.mark.parametrize("format_", LINE_FORMATS)
def test_reading_is_pure(format_: LineFormat) -> None:
    for line in fixture_lines(format_.name):
        try:
            assert format_.read(line) == format_.read(bytes(line))
        except Exception as error:
            with pytest.raises(type(error)):
                format_.read(line)


@pytest.mark.parametrize("format_", LINE_FORMATS)
def test_a_log_is_read_whole_into_the_exchange_schema(format_: LineFormat, tmp_path: Path) -> None:
    lines = fixture_lines(format_.name)
    table, rejects = read_lines(tmp_path, lines)
    assert table.schema.equals(EXCHANGE_SCHEMA)
    table.validate(full=True)
    assert rejects.rejected == 0
    assert len(table) + sum(rejects.skipped.values()) == told(format_, lines)
    assert all(table[name].null_count == 0 for name in REQUIRED)
    assert set(table["messages"].combine_chunks().flatten().field("role").to_pylist()) <= {
        "system",
        "user",
        "assistant",
        "tool",
    }
    assert kind_of(tmp_path / "log.jsonl") == format_.name


@pytest.mark.parametrize("format_", LINE_FORMATS)
def test_a_file_and_a_body_are_read_alike(format_: LineFormat, tmp_path: Path) -> None:
    lines = fixture_lines(format_.name)
    table, _ = read_lines(tmp_path, lines)
    whole = read_body(format_, b"[" + b",".join(lines) + b"]")
    assert pa.Table.from_batches([whole.batch]).equals(table.combine_chunks())
    if not isinstance(format_, PairedFormat):
        single = [read_body(format_, line).batch for line in lines]
        assert pa.Table.from_batches(single).equals(table)


@pytest.mark.parametrize("format_", LINE_FORMATS)
@pytest.mark.parametrize(
    "broken",
    [
        b"{",
        b"null",
        b"[]x",
        b"7",
        b'{"a": 1}',
        b"\xff\xfe",
        b'"text"',
        b"[" * 5000,
        b'{"a":' * 5000,
        b"[1, 2]",
    ],
)
def test_a_malformed_record_is_a_reject_and_the_others_stay(
    format_: LineFormat, broken: bytes, tmp_path: Path
) -> None:
    lines = fixture_lines(format_.name)
    expected, _ = read_lines(tmp_path, lines)
    table, rejects = read_lines(tmp_path, [lines[0], broken, *lines[1:]], format=format_.name)
    assert table.equals(expected)
    assert rejects.rejected >= 1
    body = read_body(format_, broken)
    assert len(body.batch) == 0
    assert body.rejected


@pytest.mark.parametrize("format_", LINE_FORMATS)
def test_a_reason_never_holds_text_of_the_record(format_: LineFormat) -> None:
    secret = "hunter2"
    odd = (secret, {secret: secret}, [secret], [{"role": secret, "content": secret}])
    reasons: list[str] = []
    for line in fixture_lines(format_.name)[:3]:
        record = msgspec.json.decode(line)
        for name in record:
            bodies = [msgspec.json.encode({**record, name: value}) for value in odd]
            pieces = [read_body(format_, body) for body in bodies]
            reasons += [reason for piece in pieces for _, reason in piece.rejected]
            reasons += [reason for piece in pieces for reason in (*piece.skipped, *piece.nulled)]
    assert reasons
    assert not [reason for reason in reasons if secret in reason]


@pytest.mark.parametrize("format_", LINE_FORMATS)
def test_a_lost_required_field_is_named_by_every_format(format_: LineFormat) -> None:
    with pytest.raises(MalformedError, match=r"missing|neither"):
        format_.read(b"{}")


def test_the_native_table_is_the_same_as_lines_and_as_parquet(tmp_path: Path) -> None:
    table, _ = read_lines(tmp_path, fixture_lines("native-jsonl"))
    pq.write_table(table, tmp_path / "log.parquet")
    again = pa.Table.from_batches(list(open_log([tmp_path / "log.parquet"], rejects=RejectLog(None))))
    assert again.equals(table)
    assert kind_of(tmp_path / "log.parquet") == "native-parquet"
