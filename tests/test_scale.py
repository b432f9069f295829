"""A log in many files, in turns and out of memory gives what it gives in one piece."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from stillwatch import examine, stream_tables, streams
from stillwatch.arena import PRESETS, simulate
from stillwatch.engine.base import EngineError
from stillwatch.engine.memory import LEAST_SLOTS, amount, presence_slots
from stillwatch.spool import Spool, at_rows, texts_at
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
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in WRITTEN)


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
    assert overview["log"]["files"] == 1, "paths that were given"


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


def test_fills_and_words_are_counted_as_the_plain_version_counts_them() -> None:
    rng = np.random.default_rng(3)
    stream, principals = rng.integers(0, 5, 4000).astype(np.int32), 30
    value, owner = rng.integers(-40, 40, 4000), rng.integers(0, principals, 4000).astype(np.int32)
    bounds, values, owners = stream_tables._by_stream(stream, value, owner)
    who: dict[tuple[int, int], list[int]] = defaultdict(list)
    for key in zip(stream.tolist(), value.tolist(), owner.tolist(), strict=True):
        who[key[:2]].append(key[2])
    found = zip(
        *(column.tolist() for column in stream_tables._count_fills(bounds, values, owners, principals)),
        strict=True,
    )
    assert sorted(found) == sorted((*key, len(held), len(set(held))) for key, held in who.items())
    found = zip(
        *(column.tolist() for column in stream_tables._count_words(bounds, values, owners, principals)),
        strict=True,
    )
    assert sorted(found) == sorted(
        (*key, times, one) for key, held in who.items() for one, times in Counter(held).items()
    )


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


def test_presence_grows_with_the_log_and_stays_within_memory() -> None:
    sizes = [presence_slots(amount("6GB"), size) for size in (10**6, 10**9, 10**10, 10**13)]
    assert sizes[0] == LEAST_SLOTS
    assert sizes == sorted(sizes)
    assert 2 * sizes[-1] * 12 <= amount("6GB")
