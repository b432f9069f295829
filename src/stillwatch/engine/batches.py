"""A stream as batches of names: Spark's Structured Streaming says what is new, and its checkpoint what was done with it.

A row of the stream is the name of a file, or a range of a topic; no text passes through it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillwatch.engine.base import EngineError
from stillwatch.engine.spark import on_spark, session_of_process

if TYPE_CHECKING:
    from pyspark.sql import DataFrame, SparkSession

EVER = "36500d"
"""How old a file may be before Spark leaves it out unread: as good as never."""
COLUMNS = "path string, modificationTime timestamp, length long, content binary"
WAKE_S = 1
"""Seconds between two looks at whether to stop."""


@dataclass(frozen=True, slots=True)
class Folder:
    """Files that are put into a folder, or one inside it, and never changed. ``most``: files of a batch."""

    place: Path
    most: int


@dataclass(frozen=True, slots=True)
class Topic:
    """A topic of Kafka. ``most``: records of a batch; ``split``: records that one worker reads."""

    servers: str
    topic: str
    most: int
    split: int


def require(source: Folder | Topic) -> None:
    """Refuse to go on without the extras that a source takes. Raises :class:`EngineError`."""
    if find_spec("pyspark") is None:
        raise EngineError("a stream takes Spark; install it with pip install 'stillwatch[spark]'")
    if isinstance(source, Topic):
        if find_spec("confluent_kafka") is None:
            raise EngineError(
                "a topic takes confluent-kafka; install it with pip install 'stillwatch[spark,kafka]'"
            )
        if find_spec("pyspark.sql.streaming.datasource") is None:
            raise EngineError(
                "a topic takes PySpark 4.2 or newer; install it with pip install 'pyspark>=4.2'"
            )


def follow(
    source: Folder | Topic, checkpoint: Path, take: Callable[[int, list[str]], None], interval_s: int | None,
    stop: threading.Event,
) -> None:  # fmt: skip
    """Have ``take`` take in one batch after the other, each with its number, until told to stop.

    A batch counts as done once ``take`` has returned; where the process ends before, the next one gets the same batch again,
    under the same number. ``interval_s``: seconds between the begins of two batches; None to end once all is taken that
    there is now. Raises :class:`EngineError`, and what ``take`` raises.
    """
    session = session_of_process()
    failed: list[Exception] = []
    busy, over = threading.Lock(), threading.Event()

    def each(frame: DataFrame, number: int) -> None:
        try:
            with busy:
                if over.is_set():
                    raise EngineError("the stream was told to stop; this batch comes again")
                take(number, [row.item for row in on_spark(frame.collect)])
        except Exception as error:
            failed.append(error)
            raise

    trigger: dict[str, Any] = (
        {"availableNow": True} if interval_s is None else {"processingTime": f"{interval_s} seconds"}
    )
    query = on_spark(
        lambda: (
            _rows(session, source)
            .writeStream.foreachBatch(each)
            .option("checkpointLocation", _uri(checkpoint))
            .trigger(**trigger)
            .start()
        )
    )
    try:
        while not stop.is_set() and not on_spark(lambda: query.awaitTermination(WAKE_S)):
            pass
    except EngineError as error:
        raise (failed[0] if failed else error) from None
    finally:
        with busy:  # the batch that is being taken in comes to its end
            over.set()
        with suppress(EngineError):
            on_spark(query.stop)


def _rows(session: SparkSession, source: Folder | Topic) -> DataFrame:
    """What is new, as rows with one column, ``item``."""
    if isinstance(source, Folder):
        from pyspark.sql.functions import regexp_replace

        reader = session.readStream.format("binaryFile").schema(COLUMNS).option("recursiveFileLookup", "true")
        reader = reader.option("maxFilesPerTrigger", source.most).option("maxFileAge", EVER)
        # The content is no column that is asked for, so that no file is read here.
        return reader.load(_uri(source.place)).select(regexp_replace("path", "^file:/+", "/").alias("item"))
    from stillwatch.engine.topic import NAME, TopicSource

    session.dataSource.register(TopicSource)
    told = {"servers": source.servers, "topic": source.topic, "most": source.most, "split": source.split}
    return session.readStream.format(NAME).options(**told).load()


def _uri(place: Path) -> str:
    """A folder as Spark is told of it; a path alone may be one of a distributed file system."""
    return f"file://{place.resolve()}"
