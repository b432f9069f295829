"""A topic of Kafka as a source of Spark's streams: what Spark keeps is offsets, and its rows are ranges of them.

No record passes through Spark. A row says which records of which partition belong to the batch, and the worker that gets it
reads them itself (:func:`records`). So the extra ``[kafka]`` is enough, and no connector for the JVM is needed.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition
from pyspark.sql.datasource import DataSource, DataSourceStreamReader, InputPartition
from pyspark.sql.streaming.datasource import ReadLimit, ReadMaxRows, SupportsTriggerAvailableNow

from stillwatch.engine.base import EngineError

NAME = "stillwatch_topic"
ANSWER_S = 15.0
"""How long a broker may take to answer."""
SILENCE_S = 120.0
"""How long records that there must be may fail to come."""
AT_ONCE, WAIT_S = 1000, 1.0


@dataclass(frozen=True, slots=True)
class Range:
    """Records of one partition of a topic."""

    partition: int
    begin: int
    """Offset of the first."""
    end: int
    """Offset after the last; there may be fewer records than that, where the topic is compacted or has transactions."""


def bounds(servers: str, topic: str) -> dict[str, tuple[int, int]]:
    """Of each partition of a topic, its first offset and the one after its last. Raises :class:`EngineError`."""
    with closing(_consumer(servers)) as consumer:
        try:
            found = consumer.list_topics(topic, timeout=ANSWER_S).topics[topic]
            if found.error is not None:
                raise KafkaException(found.error)
            return {
                str(partition): consumer.get_watermark_offsets(
                    TopicPartition(topic, partition), timeout=ANSWER_S
                )
                for partition in sorted(found.partitions)
            }
        except KafkaException as error:
            raise EngineError(
                f"the topic {topic} cannot be read ({error.args[0].name()}): see --kafka and --topic, and whether it is up"
            ) from error


def records(servers: str, topic: str, wanted: Range) -> Iterator[tuple[int, bytes]]:
    """The records of a range in their order, each with its offset. Raises :class:`EngineError`."""
    place = f"partition {wanted.partition} of the topic {topic}"
    with closing(_consumer(servers)) as consumer:
        consumer.assign([TopicPartition(topic, wanted.partition, wanted.begin)])
        at, heard = wanted.begin, time.monotonic()
        while at < wanted.end:
            # No more than there are: it waits for all that it is asked for.
            for message in consumer.consume(min(AT_ONCE, wanted.end - at), WAIT_S):
                heard = time.monotonic()
                error = message.error()
                if error is None and message.offset() < wanted.end:
                    yield message.offset(), message.value() or b""
                elif error is not None and error.code() == KafkaError._AUTO_OFFSET_RESET:
                    raise EngineError(
                        f"records from offset {wanted.begin} of {place} are gone, before they were taken in; the topic must "
                        "keep them for longer than the stream may stand still"
                    )
                if error is None:
                    at = message.offset() + 1
                elif error.code() == KafkaError._PARTITION_EOF:
                    at = message.offset()
            if time.monotonic() - heard > SILENCE_S:
                raise EngineError(
                    f"{place} is silent for offsets {wanted.begin} to {wanted.end}; start the stream again when it does"
                )


class TopicSource(DataSource):  # type: ignore[misc]
    """The source by its name; see :class:`TopicReader`."""

    @classmethod
    def name(cls) -> str:
        """Return what ``format`` is told."""
        return NAME

    def schema(self) -> str:
        """Return the columns: one row a range."""
        return "item string"

    def streamReader(self, schema: Any) -> DataSourceStreamReader:  # noqa: ARG002, N802 (Spark's names)
        """Return what plans the batches."""
        return TopicReader(self.options)


class TopicReader(DataSourceStreamReader, SupportsTriggerAvailableNow):  # type: ignore[misc]
    """Plans batches: of every partition what came since the last one, at most so many records in all.

    Options: ``servers``, ``topic``, ``most`` (records of a batch) and ``split`` (records that one worker reads).
    """

    def __init__(self, options: Mapping[str, str]) -> None:
        self._servers, self._topic = options["servers"], options["topic"]
        self._most, self._split = int(options["most"]), int(options["split"])
        self._last: dict[str, int] | None = None

    def initialOffset(self) -> dict[str, int]:  # noqa: N802 (Spark's names)
        """Return the first offset that each partition still holds."""
        return {name: low for name, (low, _) in bounds(self._servers, self._topic).items()}

    def getDefaultReadLimit(self) -> ReadLimit:  # noqa: N802
        """Return how many records a batch may hold."""
        return ReadMaxRows(self._most)

    def prepareForTriggerAvailableNow(self) -> None:  # noqa: N802
        """Let a run that ends by itself read what there is now."""
        self._last = {name: high for name, (_, high) in bounds(self._servers, self._topic).items()}

    def latestOffset(self, start: Mapping[str, int], limit: ReadLimit) -> dict[str, int]:  # noqa: N802
        """Return where a batch that begins at ``start`` ends; a partition that is new begins at 0."""
        found = bounds(self._servers, self._topic)
        ends = {name: high for name, (_, high) in found.items()} if self._last is None else self._last
        begins = {name: start.get(name, 0) for name in ends}
        for name, begin in begins.items():
            if begin > found[name][1]:
                raise EngineError(
                    f"partition {name} of the topic {self._topic} ends at offset {found[name][1]}, and was read up to "
                    f"{begin}: it is not the topic that the checkpoint is of; begin with another --checkpoint and --state"
                )
        left = limit.max_rows if isinstance(limit, ReadMaxRows) else sum(ends.values())
        return {**start, **_shared_out(begins, ends, left)}

    def partitions(self, start: Mapping[str, int], end: Mapping[str, int]) -> Sequence[InputPartition]:
        """Return the ranges of a batch, each for one worker."""
        return [
            InputPartition(json.dumps([int(name), at, min(at + self._split, stop)]))
            for name, stop in sorted(end.items(), key=lambda item: int(item[0]))
            for at in range(start.get(name, 0), stop, self._split)
        ]

    def read(self, partition: InputPartition) -> Iterator[tuple[str]]:
        """Give the range itself."""
        yield (partition.value,)


def range_of(item: str) -> Range:
    """The range that a row says."""
    return Range(*json.loads(item))


def _shared_out(begins: Mapping[str, int], ends: Mapping[str, int], most: int) -> dict[str, int]:
    """Where a batch of at most so many records ends in each partition; who has less leaves its share to the others.

    >>> _shared_out({"0": 0, "1": 5}, {"0": 100, "1": 7}, 10)
    {'0': 8, '1': 7}
    """
    reached = dict(begins)
    for count, name in enumerate(sorted(begins, key=lambda name: (ends[name] - begins[name], int(name)))):
        share = -(-most // (len(begins) - count))
        taken = min(ends[name] - begins[name], share)
        reached[name] += taken
        most -= taken
    return {name: reached[name] for name in begins}


def _consumer(servers: str) -> Any:
    return Consumer(
        {
            "bootstrap.servers": servers,
            # Consumers are of a group by the protocol; this one never commits, since the offsets are in Spark's checkpoint.
            "group.id": "stillwatch-stream",
            "enable.auto.commit": False,
            "auto.offset.reset": "error",
            "enable.partition.eof": True,
        }
    )
