"""A service that is killed at random moments while senders go on; used by a test, and by benchmarks/kill for longer.

The process that is killed is forked from one that has everything imported, so that there are many kills in little time. It
serves as `stillwatch watch` does, without the process of the looks.
"""

from __future__ import annotations

import http.client
import json
import multiprocessing
import random
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stillwatch.live.arrivals import Arrivals
from stillwatch.live.journal import Reader
from stillwatch.live.serving import Setting, serve
from stillwatch.live.ticking import Looks, Ticking
from tests.conftest import exchange
from tests.gateway.watching import KEYS, free_port

ROWS = 20
"""Exchanges of a batch."""
START_S = 120


@dataclass
class Sent:
    """What senders did."""

    acknowledged: set[str] = field(default_factory=set)
    tries: int = 0


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    kills: int
    acknowledged: int
    tries: int
    """Batches that were posted, again and again until acknowledged."""
    lost: int
    """Acknowledged and not there."""
    counted: int
    """Exchanges that the rule of arrivals counts."""
    stored: int
    """Exchanges in the journal, repeated ones too."""


def run(folder: Path, port: int) -> None:
    """What is killed."""
    Looks.keep = lambda self: None  # type: ignore[method-assign]
    state = folder / "state"
    told = Ticking(state, str(folder / "review.db"), KEYS)
    serve(Setting(str(folder / "review.db"), None, port=port, ticking=told), KEYS)


def start(folder: Path, port: int) -> Any:
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(
        ["tests.gateway.killing", "uvicorn", "stillwatch.live.ingest", "stillwatch.live.service"]
    )
    process = context.Process(target=run, args=(folder, port))
    process.start()
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and process.is_alive():
        try:
            if post(port, "/health/ready", b"", "GET") == 200:
                return process
        except OSError:
            time.sleep(0.02)
    raise AssertionError("the service does not start")


def post(port: int, path: str, body: bytes, method: str = "POST") -> int:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    try:
        connection.request(method, path, body)
        return connection.getresponse().status
    finally:
        connection.close()


def batch(number: int) -> tuple[bytes, set[str]]:
    rows = [exchange(number * ROWS + n, f"acct-{n}", f"a question about thing {number}") for n in range(ROWS)]
    lines = [json.dumps({**row, "started_at": row["started_at"].isoformat()}) for row in rows]
    return "\n".join(lines).encode(), {row["exchange_id"] for row in rows}


def send(port: int, first: int, sent: Sent, stop: threading.Event, lock: threading.Lock) -> None:
    """Post batch after batch, each again until it is acknowledged."""
    number = first
    while not stop.is_set():
        body, names = batch(number)
        with lock:
            sent.tries += 1
        try:
            status = post(port, "/v1/ingest?format=native-jsonl", body)
        except (OSError, http.client.HTTPException):
            time.sleep(0.02)
            continue
        if status == 200:
            with lock:
                sent.acknowledged |= names
            number += 1


def kill_at_random(folder: Path, kills: int, seed: int, senders: int = 4) -> Outcome:
    """Kill a running service so often while senders post; it is started again at once each time."""
    random_, stop, sent, lock = random.Random(seed), threading.Event(), Sent(), threading.Lock()
    port = free_port()
    process = start(folder, port)
    # 100,000 batches of one sender are years of exchanges apart from those of the next.
    threads = [
        threading.Thread(target=send, args=(port, sender * 100_000, sent, stop, lock))
        for sender in range(senders)
    ]
    for thread in threads:
        thread.start()
    try:
        for _ in range(kills):
            time.sleep(random_.uniform(0.02, 0.6))
            process.kill()
            process.join(30)
            process = start(folder, port)
        time.sleep(1.0)
    finally:
        stop.set()
        for thread in threads:
            thread.join(timeout=60)
        process.terminate()
        process.join(60)
    return examined(folder, kills, sent)


def examined(folder: Path, kills: int, sent: Sent) -> Outcome:
    batches = [batch for batch, _ in Reader(folder / "state").new()]
    arrivals = Arrivals(KEYS)
    for one in batches:
        arrivals.take(one, 2**62, -(2**62), -(2**62))
    stored = [name for one in batches for name in one["exchange_id"].to_pylist()]
    assert arrivals.counts.taken == len(set(stored))
    lost = len(sent.acknowledged - set(stored))
    return Outcome(kills, len(sent.acknowledged), sent.tries, lost, arrivals.counts.taken, len(stored))
