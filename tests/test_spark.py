"""What Spark counts is what DuckDB counts, to the last digit: every signal's statistics, and a whole scan."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from stillwatch.engine.base import EngineError
from stillwatch.engine.duckdb import DuckDBEngine
from stillwatch.engine.spark import SparkEngine
from stillwatch.examine import Options
from stillwatch.keys import Keys
from stillwatch.rejects import DamagedLogError, RejectLog, UnknownFormatError
from stillwatch.scan import scan
from stillwatch.signals import all_signals
from stillwatch.sketching import Source, sketch_log
from stillwatch.spreading import sketch_apart
from tests.contracts.test_signals import tables
from tests.scans import TEST_KEY, fails, written
from tests.spark_programs import mixed_log, packages, settings

KEYS = Keys(local=TEST_KEY)


@pytest.fixture(scope="module")
def spark(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkEngine]:
    """One session for all tests of this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(packages())
        for name, value in settings("local[2]").items():
            patch.setenv(name, value)
        engine = SparkEngine(tmp_path_factory.mktemp("spark"))
        yield engine
        engine.close()


@pytest.mark.slow
@pytest.mark.spark
@pytest.mark.parametrize("signal", all_signals(), ids=lambda signal: signal.name)
def test_the_statistics_of_every_signal_are_those_of_duckdb(spark: SparkEngine, signal: object) -> None:
    if not spark._places:
        spark.register(tables(1))
    duckdb = DuckDBEngine()
    duckdb.register(tables(1))
    mine, other = (engine.query(signal.statistics).sort_by("stream_id") for engine in (spark, duckdb))  # type: ignore[attr-defined]
    duckdb.close()
    assert mine.num_rows > 0
    assert mine.schema.types == other.schema.types
    assert mine.to_pydict() == other.to_pydict()


@pytest.mark.spark
def test_a_table_of_the_same_name_takes_the_place_of_the_one_before(spark: SparkEngine) -> None:
    sums = []
    for seed in (1, 2):
        spark.register({"cells": tables(seed)["cells"]})
        sums.append(spark.query("SELECT CAST(sum(first_us) AS BIGINT) AS s FROM cells")["s"].to_pylist()[0])
        assert sums[-1] == sum(tables(seed)["cells"]["first_us"].to_pylist())
    assert sums[0] != sums[1]


@pytest.mark.spark
def test_a_sum_that_is_too_large_ends_the_run_instead_of_wrapping_around(spark: SparkEngine) -> None:
    with pytest.raises(EngineError, match="Spark gave up on the work; its own log says why"):
        spark.query(f"SELECT CAST(sum(n) AS BIGINT) AS s FROM VALUES ({2**63 - 1}), ({2**63 - 1}) AS t(n)")


@pytest.mark.spark
def test_a_scan_of_twenty_thousand_exchanges_gives_the_same_files_on_both_engines(
    spark: SparkEngine, tmp_path: Path
) -> None:
    log = mixed_log(tmp_path, 20_000)
    for engine in ("duckdb", "spark"):
        found = scan(Source((log,)), tmp_path / engine, KEYS, Options(engine=engine))
    assert found.overview["log"]["exchanges"] >= 20_000
    assert any(campaign["verdict"] == "extraction" for campaign in found.campaigns)
    assert len((tmp_path / "spark" / "rejected.jsonl").read_bytes().splitlines()) == 3
    assert written(tmp_path / "spark") == written(tmp_path / "duckdb")


@pytest.mark.spark
def test_the_sketches_of_workers_are_those_of_one_process(spark: SparkEngine, tmp_path: Path) -> None:
    log = mixed_log(tmp_path, 1)
    with RejectLog(None) as one, RejectLog(None) as other:
        alone = [row for batch in sketch_log(Source((log,)), KEYS, one) for row in batch.to_pylist()]
        apart = [
            row
            for batch in sketch_apart(Source((log,)), KEYS, other, spark, tmp_path)
            for row in batch.to_pylist()
        ]
    assert apart == alone
    assert len(apart) > 1_000
    assert (one.accepted, one.rejected, one.nulled) == (other.accepted, other.rejected, other.nulled)
    assert not list(tmp_path.glob("sketches-*")), "nothing is left"


@pytest.mark.spark
def test_what_a_worker_cannot_read_is_told_as_if_it_were_read_here(
    spark: SparkEngine, tmp_path: Path
) -> None:
    log = mixed_log(tmp_path, 1)
    broken = log / "dt=1" / "part-03.parquet"
    broken.write_bytes(broken.read_bytes()[:-100])
    with RejectLog(None) as rejects, pytest.raises(DamagedLogError) as told:
        list(sketch_apart(Source((log,)), KEYS, rejects, spark, tmp_path))
    assert str(told.value).startswith(f"{broken} is no whole Parquet file")
    assert told.value.file == str(broken)
    assert not list(tmp_path.glob("sketches-*"))


@pytest.mark.spark
def test_exchanges_that_two_files_tell_of_are_refused(spark: SparkEngine, tmp_path: Path) -> None:
    line = {
        "custom_id": "a",
        "method": "POST",
        "url": "/v1/chat/completions",
        "body": {"model": "m", "messages": []},
    }
    for name in ("one.jsonl", "two.jsonl"):
        (tmp_path / name).write_text(json.dumps(line) + "\n")
    with (
        RejectLog(None) as rejects,
        pytest.raises(UnknownFormatError, match="may tell of one exchange in two files"),
    ):
        list(sketch_apart(Source((tmp_path / "*.jsonl",)), KEYS, rejects, spark, tmp_path))


def test_without_pyspark_it_is_told_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}\n")
    said = fails(
        "scan", tmp_path / "a.jsonl", "--out", tmp_path / "out", "--engine", "spark", folder=tmp_path,
        before="import sys; sys.modules['pyspark'] = None",
    )  # fmt: skip
    assert (
        "Spark is not installed; install it with pip install 'stillwatch[spark]', or leave out --engine"
        in said
    )


@pytest.mark.spark
def test_without_its_cluster_it_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}\n")
    told = settings("spark://127.0.0.1:9")
    said = fails(
        "scan", tmp_path / "a.jsonl", "--out", tmp_path / "out", "--engine", "spark", folder=tmp_path,
        before=f"import os, sys; sys.path[:0] = {told['PYTHONPATH'].split(os.pathsep)!r}; os.environ.update({told!r})",
    )  # fmt: skip
    assert "Spark did not start" in said
    assert "the cluster that it was told of" in said


@pytest.mark.spark
def test_without_java_it_is_told_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("{}\n")
    path = settings("local[1]")["PYTHONPATH"]
    said = fails(
        "scan", tmp_path / "a.jsonl", "--out", tmp_path / "out", "--engine", "spark", folder=tmp_path,
        before=f"import os, sys; sys.path[:0] = {path.split(os.pathsep)!r}; os.environ['PATH'] = '/usr/sbin'; "
        "os.environ.pop('JAVA_HOME', None)",
    )  # fmt: skip
    assert "Spark did not start: it needs Java 17 or newer" in said
    assert sys.executable not in said
