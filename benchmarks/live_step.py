"""What one step costs in process: a request matched and decided on, and exchanges taken in, counted and looked up."""

from __future__ import annotations

import datetime as dt
import json
import statistics
import tempfile
import time
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from tests.conftest import exchange, to_batch
from tests.gateway.watching import FAMILY, KEYS, TEMPLATE, chat, template

from stillwatch.fingerprint import sketch
from stillwatch.keys import Keys
from stillwatch.live.arrivals import Arrivals
from stillwatch.live.deciding import Deciding
from stillwatch.live.journal import Journal
from stillwatch.live.matching import fragments_of
from stillwatch.response.actions import Action, Scope
from stillwatch.response.snapshot import HeldAction, Snapshot

HELD = 100_000
"""Accounts on which an action holds."""
KNOWN = 800_000
"""Exchanges that are known before, among which each new one is looked up."""
BATCHES = (64, 256, 1024)
WAITING = 8
"""Batches that may wait for the disk while the next one is read."""
STEPS = 20_000
NOW_US = 2**61


def steps(rounds: int) -> list[dict[str, Any]]:
    """Rows of each measure, in time of the processor."""
    deciding = _deciding()
    return [*_single(deciding), *_together(deciding, rounds)]


def _deciding() -> Deciding:
    now = dt.datetime.now(dt.UTC)
    until = now + dt.timedelta(days=1)
    limits = {"requests_per_minute": 6}
    held = [
        HeldAction(Scope.CAMPAIGN, f"acct-{n}", None, None, Action.THROTTLE, limits, "case", "c", now, until)
        for n in range(HELD)
    ]
    sold = HeldAction(Scope.FAMILY, "sold", None, FAMILY, Action.SUSPEND, {}, "case", "c", now, until)
    return Deciding(Snapshot(now, (*held, sold), (template(),)), KEYS.name)


def _single(deciding: Deciding) -> list[dict[str, Any]]:
    now = dt.datetime.now(dt.UTC)
    request = chat("barley by month, in three ports " * 20, TEMPLATE)

    def matched() -> None:
        decision = deciding.decide("sold", None, "large", now, fragments_of(request, KEYS))
        assert decision.status == 403

    return [
        _timed("step: a decision, nothing holds", lambda: deciding.decide("honest", None, "large", now)),
        _timed("step: a decision, throttled", lambda: deciding.decide("acct-7", None, "large", now)),
        _timed(f"step: a request of {len(json.dumps(request))} bytes, fragments and decision", matched),
    ]


def _timed(name: str, run: Callable[[], object]) -> dict[str, Any]:
    seconds = []
    for _ in range(STEPS):
        begun = time.thread_time()
        run()
        seconds.append(time.thread_time() - begun)
    seconds.sort()
    return {"what": name, "p50_ms": seconds[STEPS // 2] * 1e3, "p99_ms": seconds[int(STEPS * 0.99)] * 1e3}


def _together(deciding: Deciding, rounds: int) -> list[dict[str, Any]]:
    """Micro-batches: each is sketched, on disk before it would be acknowledged, counted once and looked up.

    As in the service, the next one is read while some wait for the disk; the time is that of all threads together.
    """
    keys, now = Keys(local=b"0" * 32), dt.datetime.now(dt.UTC)
    rows = []
    for size in BATCHES:
        accounts = [f"acct-{n}" if n % 20 == 0 else f"honest-{n}" for n in range(size)]
        texts = [
            f"a question about thing {n}, with some words to it that differ {n * 7} " * 6 for n in range(size)
        ]
        told, number = list(map(exchange, range(size), accounts, texts)), KNOWN
        seconds: list[float] = []
        with tempfile.TemporaryDirectory(prefix="stillwatch-step-") as name:
            journal, arrivals = Journal(Path(name), keys.name), Arrivals(keys)
            _know(arrivals, keys)
            waiting: deque[Future[None]] = deque()
            for _ in range(max(rounds * 16_384 // size, 3 * rounds)):
                for row in told:
                    number += 1
                    row["exchange_id"] = f"y{number}"
                batch = to_batch(told)
                begun = time.process_time()
                sketched = sketch(batch, keys)
                waiting.append(journal.submit(sketched))
                if len(waiting) > WAITING:
                    waiting.popleft().result()
                arrivals.take(sketched, NOW_US, 0, 0)
                for account in sketched["account_id"].to_pylist():
                    deciding.decide(account, None, "large", now)
                seconds.append((time.process_time() - begun) / size)
            journal.close()
        seconds.sort()
        rows.append(
            {
                "what": f"step: sketch, journal, count and look-up, batches of {size}",
                "exchanges_a_s": len(seconds) / sum(seconds),
                "p50_ms": statistics.median(seconds) * 1e3,
                "p99_ms": seconds[int(len(seconds) * 0.99)] * 1e3,
            }
        )
    return rows


def _know(arrivals: Arrivals, keys: Keys) -> None:
    """Have so many exchanges known."""
    one = sketch(to_batch([exchange(0, "acct-0", "x")]), keys)
    for first in range(0, KNOWN, 100_000):
        names = pa.array([f"known{first + n}" for n in range(100_000)])
        many = one.take(pa.array(np.zeros(len(names), np.int64)))
        place = many.schema.get_field_index("exchange_id")
        arrivals.take(many.set_column(place, many.schema.field(place), names), NOW_US, 0, 0)
    assert arrivals.counts.taken == KNOWN
