"""A service that is killed at random moments while senders go on; used by a test, and by benchmarks/kill for longer."""

from __future__ import annotations

import http.client
import json
import os
import random
import threading
import time
from dataclasses import dataclass, field

from stillwatch.live.arrivals import Arrivals
from stillwatch.live.journal import Reader
from tests.conftest import exchange
from tests.gateway.watching import KEYS, Watch

ROWS = 20
"""Exchanges of a batch."""


@dataclass
class Sent:
    """What senders did."""

    acknowledged: set[str] = field(default_factory=set)
    tries: int = 0
    refused: int = 0


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    kills: int
    acknowledged: int
    tries: int
    lost: int
    """Acknowledged and not there."""
    counted: int
    """Exchanges that the rule of arrivals counts."""
    stored: int
    """Exchanges in the journal, repeated ones too."""


def batch(number: int) -> tuple[bytes, set[str]]:
    rows = [exchange(number * ROWS + n, f"acct-{n}", f"a question about thing {number}") for n in range(ROWS)]
    lines = [json.dumps({**row, "started_at": row["started_at"].isoformat()}) for row in rows]
    return "\n".join(lines).encode(), {row["exchange_id"] for row in rows}


def send(service: Watch, numbers: range, sent: Sent, stop: threading.Event, lock: threading.Lock) -> None:
    """Post batch after batch, each again until it is acknowledged."""
    for number in numbers:
        body, names = batch(number)
        while not stop.is_set():
            with lock:
                sent.tries += 1
            try:
                status, _, _ = service.send("POST", "/v1/ingest?format=native-jsonl", body)
            except (OSError, http.client.HTTPException):
                time.sleep(0.02)
                continue
            if status == 200:
                with lock:
                    sent.acknowledged |= names
                break
            with lock:
                sent.refused += 1
            time.sleep(0.02)


def kill_at_random(service: Watch, kills: int, seed: int, senders: int = 4) -> Outcome:
    """Kill a running service so often while senders post; each is started again at once."""
    random_, stop, sent, lock = random.Random(seed), threading.Event(), Sent(), threading.Lock()
    numbers = [range(sender * 1_000_000, (sender + 1) * 1_000_000) for sender in range(senders)]
    threads = [threading.Thread(target=send, args=(service, own, sent, stop, lock)) for own in numbers]
    for thread in threads:
        thread.start()
    try:
        for _ in range(kills):
            time.sleep(random_.uniform(0.02, 0.6))
            assert service.process is not None
            os.kill(service.process.pid, 9)
            service.process.wait(timeout=30)
            service.start(*taking_in(service))
        time.sleep(0.3)
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=60)
    service.stop()
    return examined(service, kills, sent)


def taking_in(service: Watch) -> list[str]:
    """Options with which it takes exchanges in and does not look at them."""
    return ["--state", str(service.folder / "state"), "--step", "1d"]


def examined(service: Watch, kills: int, sent: Sent) -> Outcome:
    batches = list(Reader(service.folder / "state").new())
    arrivals = Arrivals(KEYS)
    for one in batches:
        arrivals.take(one, 2**62, -(2**62), -(2**62))
    stored = [name for one in batches for name in one["exchange_id"].to_pylist()]
    assert arrivals.counts.taken == len(set(stored))
    return Outcome(
        kills, len(sent.acknowledged), sent.tries, len(sent.acknowledged - set(stored)), arrivals.counts.taken,
        len(stored),
    )  # fmt: skip
