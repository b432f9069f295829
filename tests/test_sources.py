from __future__ import annotations

import gzip
import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stillwatch.exchange import EXCHANGE_SCHEMA
from stillwatch.formats import line_formats
from stillwatch.rejects import (
    DamagedLogError,
    EmptyLogError,
    LogError,
    MissingLogError,
    RejectLog,
    TooManyRejectsError,
    UnknownFormatError,
)
from stillwatch.sources import SKETCH, kind_of, list_files, open_log


def record(number: int, **more: Any) -> dict[str, Any]:
    return {
        "exchange_id": f"e{number:05d}",
        "account_id": f"a{number % 7}",
        "started_at": f"2026-02-01T10:{number // 60 % 60:02d}:{number % 60:02d}Z",
        "model": "m",
        "messages": [{"role": "user", "content": f"question {number}"}],
        **more,
    }


def lines(numbers: range) -> bytes:
    return b"".join(json.dumps(record(number)).encode() + b"\n" for number in numbers)


def read(*paths: Path, limit: float = 0.01, **options: Any) -> tuple[pa.Table, RejectLog]:
    rejects = RejectLog(None, limit=limit)
    batches = list(open_log(list(paths), rejects=rejects, **options))
    return pa.Table.from_batches(batches, EXCHANGE_SCHEMA), rejects


def ids(table: pa.Table) -> list[str]:
    found: list[str] = table["exchange_id"].to_pylist()
    return found


WRITERS: dict[str, Callable[[bytes], bytes]] = {
    "log.jsonl": lambda text: text,
    "log.ndjson": lambda text: text.replace(b"\n", b"\r\n\r\n"),
    "log.jsonl.gz": gzip.compress,
    "log.json.gz": lambda text: gzip.compress(text[:3000]) + gzip.compress(text[3000:]),
    "log.jsonl.zst": lambda text: pa.compress(text, codec="zstd", asbytes=True),
    "log.json": lambda text: b"[" + b",".join(text.splitlines()) + b"]",
    "bom.jsonl": lambda text: b"\xef\xbb\xbf" + text,
    "pretty.json": lambda text: json.dumps(
        [json.loads(line) for line in text.splitlines()], indent=1
    ).encode(),
    "pretty.json.gz": lambda text: gzip.compress(WRITERS["pretty.json"](text)),
    "without-a-suffix": lambda text: text,
    "batches.jsonl": lambda text: b"\n".join(
        b"[" + line + b"]" if index % 2 else line for index, line in enumerate(text.splitlines())
    ),
}


@pytest.mark.parametrize("name", sorted(WRITERS))
def test_a_log_reads_the_same_however_it_is_packed(name: str, tmp_path: Path) -> None:
    (tmp_path / "plain.jsonl").write_bytes(lines(range(300)))
    (tmp_path / name).write_bytes(WRITERS[name](lines(range(300))))
    expected, _ = read(tmp_path / "plain.jsonl")
    table, rejects = read(tmp_path / name, batch_rows=37)
    assert len(expected) == 300
    assert table.equals(expected)
    assert rejects.rejected == 0
    assert kind_of(tmp_path / name) == "native-jsonl"


def test_batches_are_as_small_as_asked(tmp_path: Path) -> None:
    (tmp_path / "log.jsonl").write_bytes(lines(range(100)))
    batches = list(open_log([tmp_path / "log.jsonl"], rejects=RejectLog(None), batch_rows=32))
    assert [len(batch) for batch in batches] == [32, 32, 32, 4]
    assert all(batch.schema.equals(EXCHANGE_SCHEMA) for batch in batches)


def test_a_folder_is_read_in_the_order_of_its_names_without_hidden_files(tmp_path: Path) -> None:
    (tmp_path / "day=2").mkdir()
    (tmp_path / "_temporary").mkdir()
    (tmp_path / "day=2" / "b.jsonl").write_bytes(lines(range(20, 30)))
    (tmp_path / "day=2" / "a.jsonl.gz").write_bytes(gzip.compress(lines(range(10, 20))))
    (tmp_path / "a.jsonl").write_bytes(lines(range(10)))
    (tmp_path / "quiet-hour.jsonl").write_bytes(b"")
    (tmp_path / "quiet-hour.jsonl.gz").write_bytes(gzip.compress(b"\n"))
    (tmp_path / "_temporary" / "c.jsonl").write_bytes(b"half a line")
    (tmp_path / ".crc").write_bytes(b"x")
    (tmp_path / "_SUCCESS").write_bytes(b"")
    assert ids(read(tmp_path)[0]) == [f"e{number:05d}" for number in range(30)]
    twice = list_files([tmp_path / "a.jsonl", str(tmp_path / "**" / "*.jsonl"), tmp_path])
    assert [file.name for file in twice] == [
        "a.jsonl",
        "b.jsonl",
        "quiet-hour.jsonl",
        "a.jsonl.gz",
        "quiet-hour.jsonl.gz",
    ]


def test_files_of_several_formats_make_one_log(tmp_path: Path) -> None:
    fixtures = Path(__file__).parent / "fixtures"
    table, rejects = read(
        fixtures / "native-jsonl.jsonl", fixtures / "openai.jsonl", fixtures / "litellm.jsonl.gz"
    )
    assert len(table) + sum(rejects.skipped.values()) == 3 + 7 + 30
    assert rejects.accepted == len(table)


def test_progress_ends_at_the_size_of_the_log(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_bytes(lines(range(300)))
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines(range(300))))
    pq.write_table(read(tmp_path / "a.jsonl")[0], tmp_path / "c.parquet")
    seen: list[tuple[int, int]] = []
    read(tmp_path, batch_rows=50, progress=lambda done, size: seen.append((done, size)))
    total = sum(file.stat().st_size for file in tmp_path.iterdir())
    assert {size for _, size in seen} == {total}
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert seen[-1] == (total, total)


def test_values_that_make_no_sense_become_null_and_are_counted(tmp_path: Path) -> None:
    odd: list[dict[str, Any]] = [
        {"input_tokens": -1},
        {"input_tokens": 10**30},
        {"input_tokens": 2.5},
        {"input_tokens": "12"},
        {"input_tokens": 12.0, "temperature": math.nan},
        {"temperature": math.inf},
        {"temperature": -0.5},
        {"account_created_at": "yesterday"},
        {"country": 47},
    ]
    file = tmp_path / "log.jsonl"
    file.write_text("\n".join(json.dumps(record(number, **more)) for number, more in enumerate(odd)))
    table, rejects = read(file)
    assert len(table) == len(odd)
    assert rejects.rejected == 0
    assert table["input_tokens"].to_pylist() == [None] * 4 + [12] + [None] * 4
    assert table["temperature"].null_count == len(odd)
    assert rejects.nulled == {"input_tokens": 4, "temperature": 3, "account_created_at": 1, "country": 1}


def test_a_text_that_was_cut_in_the_middle_of_an_emoji_stays(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    whole = json.dumps(record(0, completion="a smile \U0001f600"))
    file.write_text(whole + "\n" + whole.replace("\\ude00", "").replace("e00000", "e00001"))
    table, rejects = read(file)
    assert table["completion"].to_pylist() == ["a smile \U0001f600", "a smile �"]
    assert rejects.rejected == 0


BAD: dict[str, tuple[Any, str]] = {
    "no account": (record(1, account_id=""), "account_id is missing or empty"),
    "null account": (record(1, account_id=None), "account_id is missing or empty"),
    "no id": (record(1, exchange_id=""), "exchange_id is missing or empty"),
    "no time": (record(1, started_at="soon"), "the time is not ISO 8601"),
    "old time": (
        record(1, started_at=0),
        "the time is a number outside of the years 2000 to 2200 in s, ms, us and ns",
    ),
    "far time": (record(1, started_at="2999-01-01"), "the time is outside of the years 2000 to 2200"),
    "role": (
        record(1, messages=[{"role": "wizard", "content": "x"}]),
        "a message has an unknown role; known are ai, assistant, developer, function, human, model, system, "
        "tool, user",
    ),
    "model": (record(1, model=7), "the field model has a wrong type"),
    "messages": (record(1, messages=[{"content": "x"}]), "the field messages has a wrong type at [0]"),
    "field": ({"account_id": "a", "messages": []}, "the field exchange_id is missing"),
    "object": (17, "not a JSON object"),
}


@pytest.mark.parametrize("name", sorted(BAD))
def test_a_malformed_record_is_set_aside_with_its_place_and_reason(name: str, tmp_path: Path) -> None:
    bad, reason = BAD[name]
    file = tmp_path / "log.jsonl"
    file.write_bytes(lines(range(3)) + b"\n" + json.dumps(bad).encode() + b"\n" + lines(range(3, 6)))
    with RejectLog(tmp_path / "rejected.jsonl", limit=0.5) as rejects:
        table = pa.Table.from_batches(list(open_log([file], rejects=rejects)))
        assert not (tmp_path / "rejected.jsonl").exists()
    assert ids(table) == [f"e{number:05d}" for number in range(6)]
    written = [json.loads(line) for line in (tmp_path / "rejected.jsonl").read_text().splitlines()]
    assert written == [{"file": str(file), "row": 5, "reason": reason}]
    assert rejects.rejected == 1


def test_too_many_malformed_records_fail_the_run_at_its_end(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_bytes(lines(range(98)) + b"{\n{\n")
    assert len(read(file, limit=0.02)[0]) == 98
    with pytest.raises(TooManyRejectsError) as caught:
        read(file)
    assert str(caught.value) == (
        f"2 of 100 records could not be read (2.0%); 1.0% are allowed. The first is {file}, row 99: not a "
        "JSON object. Repair the log or name its format (give a file for the rejected records), or allow a "
        "larger share."
    )
    assert (caught.value.file, caught.value.row) == (str(file), 99)


def test_a_log_that_is_mostly_malformed_fails_early_and_keeps_its_rejects(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_bytes(lines(range(1)) + b"{\n" * 50_000)
    rejects = RejectLog(tmp_path / "rejected.jsonl")
    with pytest.raises(TooManyRejectsError), rejects:
        list(open_log([file], rejects=rejects, batch_rows=500))
    assert rejects.seen < 2_000
    assert len((tmp_path / "rejected.jsonl").read_text().splitlines()) == rejects.rejected
    assert not (tmp_path / "rejected.jsonl.partial").exists()


@pytest.mark.parametrize("bad", ["a.jsonl", "z.jsonl"])
def test_a_file_with_many_malformed_records_costs_no_log_that_is_within_its_share(
    bad: str, tmp_path: Path
) -> None:
    whole = tmp_path / "whole.jsonl"
    whole.write_bytes(lines(range(40_000)))
    pq.write_table(read(whole)[0], tmp_path / "m.parquet")
    whole.unlink()
    (tmp_path / bad).write_bytes(b"{\n" * 350 + lines(range(40_000, 40_900)))
    table, rejects = read(tmp_path)
    assert (len(table), rejects.rejected) == (40_900, 350)
    with pytest.raises(TooManyRejectsError):
        read(tmp_path, limit=0.005)


def test_a_pattern_passes_over_hidden_folders_unless_it_names_them(tmp_path: Path) -> None:
    for name in ("a", "_temporary", ".cache"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "part.jsonl").write_bytes(lines(range(2)))
    (tmp_path / "_temporary" / "junk").touch()
    seen = {pattern: [str(file.relative_to(tmp_path)) for file in list_files([tmp_path / pattern])]
            for pattern in ("*", "**/*.jsonl", "_t*/*.jsonl", ".cache/*")}  # fmt: skip
    assert seen == {"*": ["a/part.jsonl"], "**/*.jsonl": ["a/part.jsonl"],
                    "_t*/*.jsonl": ["_temporary/part.jsonl"], ".cache/*": [".cache/part.jsonl"]}  # fmt: skip


def test_a_share_outside_of_zero_to_one_is_refused() -> None:
    with pytest.raises(ValueError, match="give a share between 0 and 1"):
        RejectLog(None, limit=1.5)


def damage(tmp_path: Path) -> dict[str, tuple[type[LogError], str]]:
    """Write logs that cannot be read, and return by name the error that each must raise, word for word."""
    packed = gzip.compress(lines(range(2000)))
    (tmp_path / "cut.jsonl.gz").write_bytes(packed[: len(packed) // 2])
    (tmp_path / "bent.jsonl.gz").write_bytes(packed[:500] + b"\0" * 50 + packed[550:])
    zipped = pa.compress(lines(range(2000)), codec="zstd", asbytes=True)
    (tmp_path / "cut.jsonl.zst").write_bytes(zipped[: len(zipped) // 2])
    pq.write_table(pa.table({"account_id": ["a"]}), tmp_path / "whole.parquet")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "whole.parquet").read_bytes()[:-9])
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "strange.jsonl").write_bytes(b'{"hello": "world"}\n')
    (tmp_path / "prose.jsonl").write_bytes(b"It was a dark and stormy night.\n")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "notes.docx").write_bytes(b"x")
    (tmp_path / "hollow").mkdir()
    known = ", ".join(format_.name for format_ in line_formats())
    allowed = ".parquet and .jsonl, .ndjson, .json, .pb, .binpb, the latter also with .gz, .zst, .zstd"
    lines_end = "is cut off or broken inside: it cannot be read to its end. Write it again or leave it out."
    table_end = (
        "is no whole Parquet file: it was cut off or is broken inside. Write it again or leave it out."
    )
    name_it = "Name the format, or write the log as one."
    return {
        "cut.jsonl.gz": (DamagedLogError, lines_end),
        "bent.jsonl.gz": (DamagedLogError, lines_end),
        "cut.jsonl.zst": (DamagedLogError, lines_end),
        "cut.parquet": (DamagedLogError, table_end),
        "empty.jsonl": (EmptyLogError, "holds no exchange. Give a log that is not empty."),
        "strange.jsonl": (
            UnknownFormatError,
            f": none of its first 1 JSON objects is of a known format; known are {known}. {name_it}",
        ),
        "prose.jsonl": (UnknownFormatError, f": it holds no JSON; known are {known}. {name_it}"),
        "folder": (
            UnknownFormatError,
            f"/notes.docx is no log; a folder may hold {allowed}. Move it away, or begin its name with _.",
        ),
        "hollow": (EmptyLogError, f"holds no log. Give a folder that holds {allowed}."),
        "nowhere*": (MissingLogError, "does not exist. Give a file, a folder or a pattern that matches."),
    }


@pytest.mark.parametrize(
    "name",
    [
        "cut.jsonl.gz",
        "bent.jsonl.gz",
        "cut.jsonl.zst",
        "cut.parquet",
        "empty.jsonl",
        "strange.jsonl",
        "prose.jsonl",
        "folder",
        "hollow",
        "nowhere*",
    ],
)
def test_a_log_that_cannot_be_read_is_a_named_error(name: str, tmp_path: Path) -> None:
    kind, text = damage(tmp_path)[name]
    with pytest.raises(kind) as caught:
        read(tmp_path / name)
    separator = "" if text.startswith((":", "/")) else " "
    assert str(caught.value) == f"{tmp_path / name}{separator}{text}"
    assert str(caught.value.file).startswith(str(tmp_path / name))


def test_a_format_that_is_named_wins_and_an_unknown_one_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_bytes(lines(range(3)))
    assert len(read(file, format="native-jsonl")[0]) == 3
    with pytest.raises(TooManyRejectsError):
        read(file, format="litellm")
    with pytest.raises(UnknownFormatError, match=r"cannot be read as mystery. Name one of .*native-jsonl, "):
        read(file, format="mystery")
    pq.write_table(read(file)[0], tmp_path / "log.parquet")
    with pytest.raises(UnknownFormatError, match="is Parquet and cannot be read as litellm"):
        read(tmp_path / "log.parquet", format="litellm")


def test_a_sketch_is_told_from_a_log(tmp_path: Path) -> None:
    schema = pa.schema([("exchange_id", pa.string())], metadata={b"stillwatch.sketch": b"1"})
    pq.write_table(pa.table({"exchange_id": ["e"]}, schema=schema), tmp_path / "sketch.parquet")
    assert kind_of(tmp_path / "sketch.parquet") == SKETCH
    assert kind_of(tmp_path) == SKETCH
    with pytest.raises(UnknownFormatError, match="holds sketches and no text"):
        read(tmp_path / "sketch.parquet")


def test_temperatures_beyond_any_integer_stay_numbers(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text(
        "\n".join(json.dumps(record(number, temperature=value)) for number, value in enumerate([1, 10**30]))
    )
    assert read(file)[0]["temperature"].to_pylist() == [1.0, 1e30]


@pytest.mark.parametrize("field", ["tools", "messages"])
@pytest.mark.parametrize("depth", [200, 900, 960, 990, 5000])
def test_deep_nesting_costs_at_most_its_own_record(field: str, depth: int, tmp_path: Path) -> None:
    nest = b'{"type":"tool_result","content":[' * (depth // 2) + b"1" + b"]}" * (depth // 2)
    value = b'[{"role":"user","content":[' + nest + b"]}]" if field == "messages" else b"[" + nest + b"]"
    line = json.dumps(record(1)).encode().removesuffix(b"}") + b', "' + field.encode() + b'": ' + value + b"}"
    file = tmp_path / "log.jsonl"
    file.write_bytes(lines(range(1)) + line + b"\n" + lines(range(2, 3)))
    table, rejects = read(file, limit=1.0)
    assert {"e00000", "e00002"} <= set(ids(table))
    assert len(table) + rejects.rejected == 3
