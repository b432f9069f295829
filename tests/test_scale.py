"""A log in many files, in turns and out of memory gives what it gives in one piece."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from stillwatch import examine, memberships, stream_counts, stream_tables, streams
from stillwatch.arena import PRESETS, simulate
from stillwatch.engine.base import EngineError
from stillwatch.engine.memory import LEAST_SLOTS, amount, presence_slots
from stillwatch.fingerprint import SKETCH_SCHEMA
from stillwatch.spool import Spool, at_rows, put_aside, texts_at
from tests.scans import WRITTEN, scan_files


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return simulate(PRESETS["tiny"], tmp_path_factory.mktemp("tiny")).exchanges_path


@pytest.fixture(scope="module")
def whole(log: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("whole") / "result"
    scan_files([log], out)
    return out


def same(one: Path, other: Path) -> bool:
    """Whether two results of one log are the same to the byte, but for the number of its files."""
    return all(of_any_files(one / name) == of_any_files(other / name) for name in WRITTEN)


def of_any_files(file: Path) -> bytes:
    data = file.read_bytes()
    return data if file.suffix == ".parquet" else re.sub(rb"Files</dt>\s*<dd>\d+", b"", data)


def test_a_folder_of_hive_partitions_gives_the_result_of_one_file(
    log: Path, whole: Path, tmp_path: Path
) -> None:
    table = pq.read_table(log)
    at = table["started_at"].to_pylist()
    days = pa.array([f"{moment:%Y-%m-%d}" for moment in at])
    hours = pa.array([f"{moment:%H}" for moment in at])
    parted = table.append_column("dt", days).append_column("hour", hours)
    ds.write_dataset(
        parted, tmp_path / "log", format="parquet", max_partitions=10_000,
        partitioning=ds.partitioning(pa.schema([("dt", pa.string()), ("hour", pa.string())]), flavor="hive"),
    )  # fmt: skip
    files = sorted(
        path.parent.relative_to(tmp_path / "log").as_posix() for path in tmp_path.rglob("*.parquet")
    )
    assert len(files) > 100
    assert files[0].startswith("dt=2026-03-02/hour=")
    scan_files([tmp_path / "log"], tmp_path / "result")
    assert same(whole, tmp_path / "result")
    overview = json.loads((tmp_path / "result" / "overview.json").read_text())
    assert overview["log"]["files"] == len(files)


def test_streams_that_are_measured_in_turns_are_measured_alike(
    log: Path, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    turns = []
    build = stream_tables.build
    monkeypatch.setattr(examine, "BYTES_OF_A_MEMBER", amount("6GB") // 300)  # three hundred exchanges a turn
    monkeypatch.setattr(
        stream_tables, "build", lambda *given: turns.append(len(given[1].row)) or build(*given)
    )
    scan_files([log], tmp_path / "result")
    assert len(turns) > 10
    assert same(whole, tmp_path / "result")


def test_a_scan_leaves_nothing_but_its_result(whole: Path) -> None:
    assert not [path.name for path in whole.iterdir() if path.name.startswith(".")]


def entries() -> tuple[NDArray[Any], ...]:
    """Streams, values and owners of four thousand entries, one an exchange."""
    rng = np.random.default_rng(3)
    stream, value = rng.integers(0, 5, 4000).astype(np.int32), rng.integers(-40, 40, 4000)
    return stream, np.where(rng.random(4000) < 0.1, rng.integers(0, 1 << 40, 4000), value), rng.integers(
        0, 30, 4000
    ).astype(np.int32)  # fmt: skip


@pytest.mark.parametrize("limit", [4000, 12, 1])
def test_fills_and_words_are_counted_as_the_plain_version_counts_them(limit: int) -> None:
    stream, value, owner = entries()
    who: dict[tuple[int, int], list[int]] = defaultdict(list)
    for key in zip(stream.tolist(), value.tolist(), owner.tolist(), strict=True):
        who[key[:2]].append(key[2])
    most = np.full(5, limit)
    bounds, values, owners = stream_counts.by_stream(stream, value, owner, 5)
    found = stream_counts.count_fills(bounds, values, owners, 30, most)
    assert sorted(zip(*(column.tolist() for column in found), strict=True)) == sorted(
        (*key, len(held), len(set(held))) for key, held in who.items() if len(held) == 1 or len(held) <= limit
    )
    bounds, member, _ = stream_counts.by_stream(stream, np.arange(4000), owner, 5)
    found = stream_counts.count_words(bounds, member, np.arange(4001), value, owner, 30, most)
    assert sorted(zip(*(column.tolist() for column in found), strict=True)) == sorted(
        (*key, len(held), sum(times * (times - 1) for times in Counter(held).values()))
        for key, held in who.items()
        if 2 <= len(held) <= limit
    )


def test_cells_are_counted_as_sql_counts_them() -> None:
    rng = np.random.default_rng(5)
    stream, owner, hour, model, value = rng.integers(0, [[4], [20], [9], [3], [1000]], (5, 3000)).astype(
        np.int32
    )
    drawn = pa.table({"s": stream, "o": owner, "h": hour, "m": model, "v": value})  # noqa: F841 (read by DuckDB)
    expected = duckdb.sql(
        "SELECT s, o, h, m, sum(v), min(v), max(v) FROM drawn GROUP BY s, o, h, m"
    ).fetchall()
    bounds, member, _ = stream_counts.by_stream(stream, np.arange(3000, dtype=np.int32), owner, 4)
    cell, opener = stream_counts.number_cells(bounds, member, owner, hour, model - 1)
    columns = [
        *(column[opener] for column in (stream, owner, hour, model)),
        stream_counts.total(cell, value, len(opener)),
        *stream_counts.first_and_last(cell, value, opener),
    ]
    assert sorted(zip(*(column.tolist() for column in columns), strict=True)) == sorted(expected)


def test_what_no_signal_counts_is_left_out_and_nothing_else(log: Path, tmp_path: Path, whole: Path) -> None:
    """The scan of tables that leave nothing out gives the same files."""
    build, sizes = stream_tables.build, Counter[str]()

    def counted(*given: Any, whole: bool) -> None:
        for name, table in build(*given, whole=whole).items():
            sizes[name, whole] += table.num_rows

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            stream_tables, "build", lambda *given: (counted(*given, whole=False), counted(*given, whole=True))
        )
        scan_files([log], tmp_path / "result")
    assert same(whole, tmp_path / "result")
    for name in ("scores", "cells", "settings"):
        assert sizes[name, False] == sizes[name, True] > 0
    for name in ("fills", "topics"):
        assert 0 < sizes[name, False] < sizes[name, True]


def test_names_are_numbered_in_order_of_text_however_they_are_cut() -> None:
    texts = ["b", None, "", "a", "c", "a", None, "ä", "b"]
    expected = [2, -1, 0, 1, 3, 1, -1, 4, 2]
    for cut in (1, 2, 9):
        chunks = [pa.array(texts[start : start + cut], pa.string()) for start in range(0, len(texts), cut)]
        codes, names = streams.number(chunks)
        assert codes.tolist() == expected
        assert names == ["", "a", "b", "c", "ä"]
    assert streams.number([pa.array([None, None], pa.string())])[0].tolist() == [-1, -1]


def test_columns_of_a_spool_are_those_of_its_batches(tmp_path: Path) -> None:
    from stillwatch.fingerprint import SKETCH_SCHEMA

    rows = [
        {"exchange_id": f"x{row}", "principal": row % 7, "vocabulary": [row] * (row % 3)} for row in range(50)
    ]
    batches = pa.Table.from_pylist(rows, SKETCH_SCHEMA).to_batches(max_chunksize=9)
    with Spool(tmp_path) as spool:
        for batch in batches:
            spool.write(batch)
        assert pa.Table.from_batches(list(spool)).to_pylist() == pa.Table.from_batches(batches).to_pylist()
        columns = spool.table(["exchange_id", "vocabulary"])
        assert (columns.num_rows, columns.column_names) == (50, ["exchange_id", "vocabulary"])
        assert columns["exchange_id"].to_pylist() == [row["exchange_id"] for row in rows]
        assert [batch.schema.names for batch in spool.only("principal")] == [["principal"]] * len(batches)
        wanted = np.array([40, 3, 3, 17])
        assert texts_at(columns, "exchange_id", wanted).to_pylist() == ["x40", "x3", "x3", "x17"]
        found = {place: held for places, lists in at_rows(columns, "vocabulary", wanted) for place, held in
                 zip(places.tolist(), lists.to_pylist(), strict=True)}  # fmt: skip
        assert found == {0: [40], 1: [], 2: [], 3: [17, 17]}
        with pytest.raises(KeyError, match="'principal' is none of the columns"):
            columns["principal"]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("text", ["plenty", "", "0GB", "-1GB", "4 QB", "nan"])
def test_what_is_no_amount_of_memory_is_refused(text: str) -> None:
    with pytest.raises(EngineError, match="is no amount of memory; give one such as 2GB with --memory"):
        amount(text)


@pytest.mark.parametrize("text", ["1", "500MB", "0.9GB"])
def test_less_memory_than_any_scan_takes_is_refused(text: str) -> None:
    with pytest.raises(
        EngineError, match=f"{text} is less than any scan takes; give 1GB or more with --memory"
    ):
        amount(text)


def test_presence_grows_with_the_log_and_stays_within_memory() -> None:
    sizes = [presence_slots(amount("6GB"), size) for size in (10**6, 10**9, 10**10, 10**13)]
    assert sizes[0] == LEAST_SLOTS
    assert sizes == sorted(sizes)
    assert 2 * sizes[-1] * 12 <= amount("6GB")


def test_a_column_that_is_held_keeps_not_the_memory_of_all_the_others(tmp_path: Path) -> None:
    rows, batches = 4000, 6
    with Spool(tmp_path) as spool:
        for start in range(0, rows * batches, rows):
            numbers = pa.array(np.arange(start, start + rows))
            wide = pa.array([[7] * 24] * rows, pa.list_(pa.int64()))
            columns = [
                numbers
                if field.name == "at_us"
                else wide
                if field.name == "vocabulary"
                else pa.nulls(rows, field.type)
                for field in SKETCH_SCHEMA
            ]
            spool.write(pa.RecordBatch.from_arrays(columns, schema=SKETCH_SCHEMA))
        before = pa.total_allocated_bytes()
        held = spool.table(SKETCH_SCHEMA.names)["at_us"]
        assert pa.total_allocated_bytes() - before < 2 * held.nbytes
        assert held.to_pylist() == list(range(rows * batches))


def test_what_is_put_aside_outlives_files_that_come_and_go(tmp_path: Path) -> None:
    # A name by the number of files was given twice once one of them was gone, and the first array was written over.
    (tmp_path / "other").write_bytes(b"")
    first = put_aside(np.arange(5_000), tmp_path)
    (tmp_path / "other").unlink()
    second = put_aside(np.zeros(3, np.int64), tmp_path)
    assert first.tolist() == list(range(5_000))
    assert second.tolist() == [0, 0, 0]
    assert list(tmp_path.iterdir()) == []


def test_some_streams_alone_are_what_a_plain_choice_gives() -> None:
    rng = np.random.default_rng(3)
    stream, fill_stream = (np.sort(rng.integers(0, 9, size)).astype(np.int32) for size in (200, 300))
    row, fill_row = (rng.integers(0, 50, size).astype(np.int32) for size in (200, 300))
    objective = rng.integers(0, 100, (200, 11)).astype(np.int8)
    variety, fill = rng.integers(0, 1000, 200).astype(np.int32), rng.integers(0, 99, 300)
    members = memberships.Members(stream, row, objective, variety, fill_stream, fill_row, fill)
    for chosen in (rng.random(9) < 0.5, np.zeros(9, bool), np.ones(9, bool)):
        found = memberships.of_those(members, chosen)
        held, fills = chosen[stream], chosen[fill_stream]
        expected = (stream[held], row[held], objective[held], variety[held], fill_stream[fills])
        expected += (fill_row[fills], fill[fills])
        told = (found.stream, found.row, found.objective, found.variety, found.fill_stream)
        told += (found.fill_row, found.fill)
        for one, other in zip(told, expected, strict=True):
            assert np.array_equal(one, other)
