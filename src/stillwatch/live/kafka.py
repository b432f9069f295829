"""A topic of Kafka: records are written to the journal, and only then are the offsets of the group committed.

So each record is taken once at least; one that comes again is told by the rule of :mod:`stillwatch.live.arrivals`.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from confluent_kafka import Consumer, KafkaError, KafkaException

from stillwatch.live.intake import Value
from stillwatch.live.journal import FullError

if TYPE_CHECKING:
    from stillwatch.live.intake import Intake
    from stillwatch.live.metrics import Metrics

LOG = logging.getLogger("stillwatch.live")
AT_ONCE = 1000
WAIT_S = 0.5
TELL_S = 60.0
"""Time after which an error that lasts is told again; it is counted each time."""
_UNTOLD = logging.getLogger("librdkafka")
_UNTOLD.disabled = True


class Topic:
    """Reads one topic as a member of a group."""

    def __init__(
        self, servers: str, topic: str, group: str, format_name: str, intake: Intake, metrics: Metrics,
        more: Mapping[str, Any] | None = None,
    ) -> None:  # fmt: skip
        """``more``: further settings of librdkafka, such as those of TLS."""
        self._topic, self._format, self._intake, self._metrics = topic, format_name, intake, metrics
        self._told_s: dict[str, float] = {}
        self._consumer = Consumer(
            {
                "bootstrap.servers": servers,
                "group.id": group,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "error_cb": self._tell,
                **(more or {}),
            },
            logger=_UNTOLD,  # its own lines name addresses, some ten a second; the callback has the errors
        )
        self._consumer.subscribe([topic])

    def run(self, stop: threading.Event) -> None:
        """Read until told to stop."""
        try:
            while not stop.is_set():
                self.step(stop)
        finally:
            self._consumer.close()

    def step(self, stop: threading.Event) -> int:
        """Take some records and commit their offsets; returns how many there were."""
        messages = self._consumer.consume(AT_ONCE, WAIT_S)
        for message in messages:
            if message.error() is not None:
                self._tell(message.error())
        values = [
            Value(f"kafka:{self._topic}/{message.partition()}", message.offset(), value)
            for message in messages
            if message.error() is None and (value := message.value()) is not None
        ]
        if values and not self._write(values, stop):
            return 0  # nothing was committed, so they come again
        if messages:
            try:
                self._consumer.commit(asynchronous=False)
            except KafkaException as error:
                # They are on disk; whoever reads them again finds them known.
                LOG.warning("offsets not committed", extra={"told": {"code": error.args[0].name()}})
        return len(values)

    def _tell(self, error: KafkaError) -> None:
        """Count an error of the topic or its brokers, and log it where that was not done just now."""
        code, now_s = error.name(), time.monotonic()
        self._metrics.topic_errors.labels(code).inc()
        if now_s - self._told_s.get(code, -TELL_S) >= TELL_S:
            self._told_s[code] = now_s
            LOG.warning("the topic or its brokers answer with an error", extra={"told": {"code": code}})

    def _write(self, values: list[Value], stop: threading.Event) -> bool:
        """Have records written, however long it takes; False where it was told to stop before."""
        while True:
            try:
                taken = self._intake.take_values(values, self._format)
                taken.done.result()
            except FullError as error:
                if stop.wait(error.retry_after_s):
                    return False
                continue
            self._metrics.exchanges.labels("kafka").inc(taken.accepted)
            self._metrics.rejected.labels("kafka").inc(len(taken.rejected))
            self._metrics.skipped.labels("kafka").inc(taken.skipped)
            return True
