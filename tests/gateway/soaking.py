"""A service under a steady load for long: what it takes in a second, what memory it takes, and whether any is lost.

The senders go round a fixed number of exchanges, so that the window of the looks is full after one round, as that of a
service that has run for long is; what comes again is told as repeated, and written all the same. Memory that still grows
then is a leak.
"""

from __future__ import annotations

import http.client
import itertools
import json
import sqlite3
import statistics
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from tests.gateway.memory import Memory, Sampling, below, memory
from tests.gateway.watching import Watch, watch

ROWS = 500
"""Exchanges of a body."""
SENDERS = 2
ASKED_A_SECOND = 50
"""Questions beside what is taken in."""


@dataclass(frozen=True)
class Load:
    """What is sent."""

    seconds: float
    exchanges: int
    """Different ones, which the senders go round."""
    share: float = 0.5
    """Of the rate that the service took flat out, just before."""
    flat_out_s: float = 10.0
    step: str = "5m"
    """Between two looks."""


@dataclass
class Sent:
    """What was acknowledged, and what was not."""

    acknowledged: int = 0
    refused: int = 0
    """Bodies that were told to come again."""
    answers_ms: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(frozen=True)
class Outcome:
    """What came of it."""

    flat_out: float
    """Exchanges a second, as fast as they were taken."""
    rate: float
    """And in the soak."""
    acknowledged: int
    stored: int
    """Exchanges in the journal."""
    refused: int
    asked: int
    answer_p50_ms: float
    answer_p99_ms: float
    looks: int
    serving: Memory
    looking: Memory
    disk_bytes: int

    @property
    def good(self) -> bool:
        """Whether nothing is lost and memory is flat."""
        return self.stored >= self.acknowledged > 0 and self.serving.flat and self.looking.flat


def bodies(exchanges: int, now_s: float) -> list[bytes]:
    """Bodies of different exchanges of the last hour, of 200 accounts."""
    made = []
    for first in range(0, exchanges, ROWS):
        rows = (
            {
                "exchange_id": f"x{n}", "account_id": f"acct-{n % 200}", "model": "large",
                "started_at": now_s - 3600 + n * 3000 / exchanges,
                "messages": [{"role": "user", "content": f"what of thing {n} and {n * 7919 % 10_007}, {n % 13} times " * 6}],
            }
            for n in range(first, min(first + ROWS, exchanges))
        )  # fmt: skip
        made.append("\n".join(map(json.dumps, rows)).encode())
    return made


def _send(service: Watch, around: Iterator[bytes], sent: Sent, pause_s: float, until: float) -> None:
    """Post bodies, one every so many seconds, or as fast as they are taken."""
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=120)
    headers = {"x-api-key": service.token}
    due = time.monotonic()
    while time.monotonic() < until:
        with sent.lock:
            body = next(around)
        connection.request("POST", "/v1/ingest?format=native-jsonl", body, headers)
        response = connection.getresponse()
        told = json.loads(response.read())
        with sent.lock:
            if response.status == 200:
                sent.acknowledged += told["accepted"]
            else:
                sent.refused += 1
        due += pause_s
        time.sleep(max(0.0, due - time.monotonic()))
    connection.close()


def _ask(service: Watch, sent: Sent, until: float) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=120)
    for number in itertools.count():
        if time.monotonic() >= until:
            break
        body = json.dumps({"account_id": f"acct-{number % 200}", "model": "large"}).encode()
        begun = time.perf_counter()
        connection.request("POST", "/v1/decision", body, {"x-api-key": service.token})
        response = connection.getresponse()
        response.read()
        assert response.status == 200, response.status
        sent.answers_ms.append((time.perf_counter() - begun) * 1e3)
        time.sleep(1 / ASKED_A_SECOND)
    connection.close()


def _run(
    service: Watch, around: Iterator[bytes], seconds: float, pause_s: float, *, ask: bool
) -> tuple[Sent, float]:
    sent, begun = Sent(), time.monotonic()
    until = begun + seconds
    threads = [
        threading.Thread(target=_send, args=(service, around, sent, pause_s, until)) for _ in range(SENDERS)
    ]
    if ask:
        threads.append(threading.Thread(target=_ask, args=(service, sent, until)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return sent, sent.acknowledged / (time.monotonic() - begun)


def soak(folder: Path, load: Load, told: Callable[[str], None] = print) -> Outcome:
    """Measure the rate flat out, then go on at a share of it and watch."""
    around = itertools.cycle(bodies(load.exchanges, time.time()))
    # All accounts are sent by one token, as a gateway's are.
    with (
        watch(folder, "--state", str(folder / "state"), "--step", load.step) as service,
        ExitStack() as stack,
    ):
        assert service.process is not None
        first, flat_out = _run(service, around, load.flat_out_s, 0.0, ask=False)
        rate = flat_out * load.share
        told(f"flat out {flat_out:,.0f} exchanges/s; goes on at {rate:,.0f}")
        every_s = max(0.1, load.seconds / 360)
        (looks,) = [child for child in below(service.process.pid) if _is_looking(child)]
        serving = stack.enter_context(Sampling(service.process.pid, every_s))
        looking = stack.enter_context(Sampling(looks, every_s))
        then, found = _run(service, around, load.seconds, SENDERS * ROWS / rate, ask=True)
        stack.close()
        assert service.process.poll() is None
        looked = sum('"event": "looked"' in line for line in service.errors.read_text().splitlines())
        answers = sorted(then.answers_ms)
        with sqlite3.connect(folder / "state" / "arrivals.db") as connection:
            (stored,) = connection.execute("SELECT coalesce(sum(exchanges), 0) FROM arrivals").fetchone()
        return Outcome(
            flat_out, found, first.acknowledged + then.acknowledged, int(stored), first.refused + then.refused,
            len(answers), statistics.median(answers), answers[int(len(answers) * 0.99)], looked,
            memory(serving.samples), memory(looking.samples),
            sum(file.stat().st_size for file in (folder / "state").glob("arrivals.db*")),
        )  # fmt: skip


def _is_looking(process: int) -> bool:
    """The process of the looks, and not what Python starts beside it to keep track of resources."""
    return b"spawn_main" in Path(f"/proc/{process}/cmdline").read_bytes()
