from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stillwatch.exchange import EXCHANGE_SCHEMA, REQUIRED
from stillwatch.formats import native_parquet
from stillwatch.rejects import MissingColumnError, RejectLog
from stillwatch.sources import open_log

TIME = dt.datetime(2026, 2, 1, 10, tzinfo=dt.UTC)


def table(count: int, **columns: Any) -> pa.Table:
    rows = pa.table(
        {
            "exchange_id": [f"e{number}" for number in range(count)],
            "account_id": ["a"] * count,
            "started_at": pa.array([TIME] * count, pa.timestamp("us", "UTC")),
            "model": ["m"] * count,
            "messages": pa.array(
                [[{"role": "user", "content": f"question {number}"}] for number in range(count)],
                EXCHANGE_SCHEMA.field("messages").type,
            ),
        }
    )
    for name, values in columns.items():
        index = rows.schema.get_field_index(name)
        rows = rows.append_column(name, values) if index < 0 else rows.set_column(index, name, values)
    return rows


def read(tmp_path: Path, rows: pa.Table, **options: Any) -> tuple[pa.Table, RejectLog]:
    pq.write_table(rows, tmp_path / "log.parquet", **options)
    rejects = RejectLog(tmp_path / "rejected.jsonl", limit=1.0)
    with rejects:
        batches = list(open_log([tmp_path / "log.parquet"], rejects=rejects, batch_rows=64))
    return pa.Table.from_batches(batches, EXCHANGE_SCHEMA), rejects


def test_a_missing_optional_column_is_null_and_an_extra_one_is_ignored(tmp_path: Path) -> None:
    found, rejects = read(tmp_path, table(200, colour=pa.array(["red"] * 200)))
    assert found.schema.equals(EXCHANGE_SCHEMA)
    assert len(found) == rejects.accepted == 200
    assert found["ip"].null_count == 200
    assert found["exchange_id"].to_pylist() == [f"e{number}" for number in range(200)]


@pytest.mark.parametrize("name", REQUIRED)
def test_a_missing_required_column_is_an_error(name: str, tmp_path: Path) -> None:
    with pytest.raises(MissingColumnError) as caught:
        read(tmp_path, table(3).drop_columns(name))
    assert str(caught.value) == (
        f"{tmp_path}/log.parquet lacks the required column {name}; required are exchange_id, account_id, "
        "started_at, model, messages. Add it, or rename the column that holds it."
    )


def test_other_types_that_lose_nothing_are_cast(tmp_path: Path) -> None:
    plain, _ = read(tmp_path, table(100, input_tokens=pa.array([7] * 100)))
    messages = table(100)["messages"].combine_chunks()
    large = pa.large_list(
        pa.struct([("content", pa.large_string()), ("name", pa.string()), ("role", pa.string())])
    )
    wide = [[{"role": "user", "content": turn["content"]} for turn in row] for row in messages.to_pylist()]
    other = table(
        100,
        account_id=pa.array(["a"] * 100).dictionary_encode(),
        model=pa.array(["m"] * 100, pa.large_string()),
        started_at=pa.array([TIME.replace(tzinfo=None)] * 100, pa.timestamp("ns")),
        messages=pa.array(wide, large),
        input_tokens=pa.array([7] * 100, pa.uint16()),
    )
    assert read(tmp_path, other)[0].equals(plain)
    texts = table(100, started_at=pa.array([TIME.isoformat()] * 100), input_tokens=pa.array([7] * 100))
    assert read(tmp_path, texts)[0].equals(plain)
    numbers = table(100, started_at=pa.array([TIME.timestamp()] * 100), input_tokens=pa.array([7.0] * 100))
    assert read(tmp_path, numbers)[0].equals(plain)


@pytest.mark.parametrize(
    ("name", "values", "text"),
    [
        ("temperature", pa.array(["hot"] * 3), "the column temperature is string; it must be double"),
        ("ip", pa.array([[1]] * 3), "the column ip is list<"),
        ("messages", pa.array(["hello"] * 3), "the column messages is string; it must be list<struct<role"),
        (
            "messages",
            pa.array([[{"role": "user", "content": ["part"]}]] * 3),
            "role or content inside messages is list<",
        ),
    ],
)
def test_a_column_of_an_impossible_type_is_an_error(
    name: str, values: pa.Array, text: str, tmp_path: Path
) -> None:
    with pytest.raises(MissingColumnError) as caught:
        read(tmp_path, table(3, **{name: values}))
    assert text in str(caught.value)
    assert "hot" not in str(caught.value)


def test_rows_that_cannot_be_used_are_set_aside_by_their_number(tmp_path: Path) -> None:
    messages = table(100)["messages"].to_pylist()
    messages[70] = [{"role": "wizard", "content": "x"}]
    messages[71] = [{"role": "user", "content": "x"}, {"role": None, "content": "x"}]
    messages[72] = None
    messages[73] = [{"role": "developer", "content": None}]
    accounts = ["a"] * 100
    accounts[3], accounts[99] = "", ""
    times: list[Any] = [TIME] * 100
    times[65] = dt.datetime(1901, 1, 1, tzinfo=dt.UTC)
    rows = table(
        100,
        account_id=pa.array(accounts),
        messages=pa.array(messages, EXCHANGE_SCHEMA.field("messages").type),
        started_at=pa.array(times, pa.timestamp("us", "UTC")),
    )
    found, rejects = read(tmp_path, rows)
    assert len(found) == 94
    written = [line.split(b'"row":')[1] for line in (tmp_path / "rejected.jsonl").read_bytes().splitlines()]
    assert written == [
        b'4,"reason":"account_id is missing or empty"}',
        b'66,"reason":"the time is none between the years 2000 and 2200"}',
        b'71,"reason":"a message has no role, or an unknown one"}',
        b'72,"reason":"a message has no role, or an unknown one"}',
        b'73,"reason":"messages is missing or empty"}',
        b'100,"reason":"account_id is missing or empty"}',
    ]
    kept = found.filter(pa.compute.equal(found["exchange_id"], "e73"))["messages"].to_pylist()
    assert kept == [[{"role": "system", "content": ""}]]
    assert rejects.rejected == 6


def test_senseless_numbers_are_null_and_counted(tmp_path: Path) -> None:
    rows = table(
        4,
        temperature=pa.array([0.5, float("nan"), float("inf"), -1.0]),
        output_tokens=pa.array([1, -2, None, 4]),
    )
    found, rejects = read(tmp_path, rows)
    assert found["temperature"].to_pylist() == [0.5, None, None, None]
    assert found["output_tokens"].to_pylist() == [1, None, None, 4]
    assert rejects.nulled == {"temperature": 3, "output_tokens": 1}


def test_base64_inside_a_text_is_a_token_here_too(tmp_path: Path) -> None:
    blob = "QUJD" * 100
    messages = pa.array(
        [[{"role": "user", "content": f"see {blob}"}]], EXCHANGE_SCHEMA.field("messages").type
    )
    found, _ = read(
        tmp_path, table(1, messages=messages, completion=pa.array([f"data:image/png;base64,{blob} seen"]))
    )
    text = found["messages"].to_pylist()[0][0]["content"]
    assert text.startswith("see [media:sha256:")
    assert found["completion"].to_pylist() == [text.removeprefix("see ") + " seen"]


def test_a_column_that_fits_is_not_copied(tmp_path: Path) -> None:
    column = table(1000)["messages"].combine_chunks()[100:900]
    cast, rejected = native_parquet._messages(column, tmp_path)
    assert list(rejected) == []
    assert cast.equals(column)
    inside = [
        array.buffers()[-1].address
        for array in (column.values.field("content"), cast.values.field("content"))
    ]
    assert inside[0] == inside[1]


def test_long_texts_make_small_batches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native_parquet, "BATCH_BYTES", 1 << 20)
    letters = np.random.default_rng(1).integers(97, 123, (24, 200_000), dtype=np.uint8)
    texts = pa.array([row.tobytes().decode() for row in letters])
    pq.write_table(table(24, reasoning=texts), tmp_path / "log.parquet")
    sizes = [len(batch) for batch in open_log([tmp_path / "log.parquet"], rejects=RejectLog(None))]
    assert sum(sizes) == 24
    assert max(sizes) <= 5
