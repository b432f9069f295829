"""Spark: the engine of a cluster. The extra ``[spark]`` brings PySpark; Java 17 or newer must be there.

Where the cluster is and what it may take is said as for any program of PySpark, by ``spark-submit``, by
``PYSPARK_SUBMIT_ARGS`` or by the files of ``SPARK_CONF_DIR``; without, Spark works on this machine. Workers need stillwatch
installed, and see the folder of the result under the same name.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

from stillwatch.engine.base import EngineError

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

MOST_TASKS = 10_000
"""Tasks of one job; more items share them."""

QUIET = {
    "spark.app.name": "stillwatch",
    "spark.log.level": "ERROR",
    "spark.ui.showConsoleProgress": "false",
    "spark.sql.session.timeZone": "UTC",
}
"""What is set where nobody set anything else."""


class SparkEngine:
    """The Spark session of this process. ``folder``: where tables are put, which all workers see."""

    name = "spark"

    def __init__(self, folder: Path) -> None:
        self._session = session_of_process()
        self._folder = Path(tempfile.mkdtemp(prefix="spark-", dir=folder))
        self._written = 0
        self._places: dict[str, Path] = {}

    def register(self, tables: Mapping[str, Any]) -> None:
        """Make each table known under its name: as files of Parquet, which Spark reads as often as it likes."""
        for name, table in tables.items():
            place = self._folder / f"{name}-{self._written}.parquet"
            self._written += 1
            with pq.ParquetWriter(place, table.schema) as writer:
                for batch in table.to_batches():
                    writer.write_batch(batch)
            self._know(name, place, _spark_schema(table.schema))

    def query(self, sql: str) -> pa.Table:
        """Rows of ``sql``, which come to this process."""
        table = on_spark(lambda: self._session.sql(sql).toArrow())
        fields = [
            pa.field(field.name, pa.int64()) if pa.types.is_decimal(field.type) else field
            for field in table.schema
        ]
        return table.cast(pa.schema(fields))

    def keep(self, name: str, sql: str) -> None:
        """The same, written by the workers; no row comes to this process."""
        place = self._folder / f"{name}-{self._written}.parquet"
        self._written += 1
        frame = on_spark(lambda: self._session.sql(sql))
        on_spark(lambda: frame.write.parquet(str(place)))
        self._know(name, place, frame.schema)

    def _know(self, name: str, place: Path, schema: Any) -> None:
        """Files of Parquet under a name, in place of those that had it."""
        on_spark(lambda: self._session.read.schema(schema).parquet(str(place)).createOrReplaceTempView(name))
        if name in self._places:
            _remove(self._places[name])
        self._places[name] = place

    def spread(self, items: Sequence[bytes], work: Callable[[bytes], bytes]) -> list[bytes]:
        """``work`` on each item, by whichever worker is free; the results in order of the items.

        ``work`` may run more than once for an item, as where a worker dies, also at the same time.
        """

        def on_worker(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
            for batch in batches:
                for place, item in zip(batch["place"].to_pylist(), batch["item"].to_pylist(), strict=True):
                    yield pa.RecordBatch.from_pydict({"place": [place], "told": [work(item)]})

        schema = "place long, item binary"
        numbered = [(place, bytearray(item)) for place, item in enumerate(items)]
        tasks = max(1, min(len(items), MOST_TASKS))
        found = on_spark(
            lambda: (
                self._session.createDataFrame(self._session.sparkContext.parallelize(numbered, tasks), schema)
                .mapInArrow(on_worker, "place long, told binary")
                .toArrow()
            )
        )
        told: list[bytes] = found.sort_by("place")["told"].to_pylist()
        return told

    def close(self) -> None:
        """Forget the tables; the session goes with the process, and may be used again until then."""
        for name in self._places:
            self._session.catalog.dropTempView(name)
        shutil.rmtree(self._folder, ignore_errors=True)


def _remove(place: Path) -> None:
    """Remove files of a table: one that was written here, or a folder of what workers wrote."""
    if place.is_dir():
        shutil.rmtree(place)
    else:
        place.unlink()


def on_spark(job: Callable[[], Any]) -> Any:
    """What a piece of work gives that Spark does. Raises :class:`EngineError`."""
    from py4j.protocol import Py4JError
    from pyspark.errors import PySparkException

    try:
        return job()
    except (PySparkException, Py4JError) as error:
        raise EngineError(
            "Spark gave up on the work; its own log says why. Look there for workers that were lost, for memory and for "
            "room on their disks."
        ) from error


def session_of_process() -> SparkSession:
    """The Spark session of this process, begun if need be. Raises :class:`EngineError` where there is none."""
    try:
        from py4j.protocol import Py4JError
        from pyspark import SparkConf
        from pyspark.errors import PySparkRuntimeError
        from pyspark.sql import SparkSession
    except ImportError as error:
        raise EngineError(
            "Spark is not installed; install it with pip install 'stillwatch[spark]', or leave out --engine"
        ) from error
    stated = SparkConf()
    builder = SparkSession.builder
    for name, value in QUIET.items():
        if not stated.contains(name):
            builder = builder.config(name, value)
    try:
        return builder.getOrCreate()
    except (PySparkRuntimeError, Py4JError) as error:
        raise EngineError(
            "Spark did not start: it needs Java 17 or newer, on PATH or in JAVA_HOME, and the cluster that it was told "
            "of; its own words above say which is missing"
        ) from error


def _spark_schema(schema: pa.Schema) -> Any:
    from pyspark.sql.pandas.types import from_arrow_schema

    return from_arrow_schema(schema)
