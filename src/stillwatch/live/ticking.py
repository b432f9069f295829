"""The looks of a live run, in a process of their own: what came in is examined, and what is found goes into the store.

The journal is the only state: a start reads it from its begin, by the rule of :mod:`stillwatch.live.arrivals`, so a process
that is killed loses nothing and counts nothing twice. What a start does not know is when campaigns were flagged before; an
accusation then takes as many looks as it did the first time.
"""

from __future__ import annotations

import datetime as dt
import logging
import multiprocessing
import os
import shutil
import signal
import tempfile
import time
from collections.abc import MutableSequence
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillwatch import findings
from stillwatch.examine import Options
from stillwatch.live.arrivals import Counts
from stillwatch.live.history import PREFIX, History
from stillwatch.live.journal import Reader
from stillwatch.live.logs import log_to_standard_error
from stillwatch.live.step import Live, Look, Looking, raised
from stillwatch.outputs import to_table
from stillwatch.rejects import RejectLog
from stillwatch.response.policy import Policy
from stillwatch.sketching import Source
from stillwatch.store import StoreError
from stillwatch.store.database import open_store
from stillwatch.store.loading import load

if TYPE_CHECKING:
    from stillwatch.keys import Keys
    from stillwatch.live.metrics import Metrics
    from stillwatch.store.database import Store

LOG = logging.getLogger("stillwatch.live")
BY = "watch"
"""Who loads what was found, in the audit log."""
OUTCOMES = tuple(one.name for one in fields(Counts))
"""What becomes of an exchange that came in."""
SHORTEST_S = 0.2
RESTART_S = 5.0


@dataclass(frozen=True, slots=True)
class Ticking:
    """What the looks are told."""

    state: Path
    """Folder of the journal."""
    store: str
    keys: Keys
    options: Options = field(default_factory=Options)
    looking: Looking = Looking()  # noqa: RUF009 - frozen
    policy: Policy = Policy()  # noqa: RUF009 - frozen


class Ticks:
    """Looks at a journal, one after the other."""

    def __init__(self, told: Ticking, history: History, store: Store) -> None:
        self._told, self._store, self._reader = told, store, Reader(told.state)
        self._options = replace(told.options, sketch_only=True)
        self._stated = raised(self._options, told.looking)
        self.live = Live(history, told.keys, self._options, told.looking)
        self._shown: object = None
        self._day, self._last_us = 0, 0

    def tick(self, now: dt.datetime) -> Look:
        """Take in what came and look at all that is known; what is found is loaded where it changed."""
        # A clock that was set back stands still until the time before is over.
        now_us = self._last_us = max(int(now.timestamp() * 1e6), self._last_us + 1)
        for batch, came_us in self._reader.new():
            self.live.observe(batch, now_us, came_us)
        look = self.live.look(now_us)
        if look.scanned is not None:
            self._load(look, now)
        oldest = now_us - self._told.looking.window_us
        if now_us // 86_400_000_000 != self._day:
            self._day = now_us // 86_400_000_000
            self._reader.forget(oldest // 86_400_000_000 * 86_400_000_000)
        return look

    def _load(self, look: Look, now: dt.datetime) -> None:
        assert look.scanned is not None
        with RejectLog(None) as rejects:
            result = findings.state(look.scanned, Source(()), self._told.keys, rejects, self._stated)
        shown = [
            (one["verdict"], [family["family_id"] for family in one["families"]],
             [(row["account_id"], row["end_user_id"]) for row in one["principals"]])
            for one in result.campaigns
        ]  # fmt: skip
        if not shown or shown == self._shown:
            return
        # The accounts of campaigns alone: the store need not hold every customer anew at every look.
        rows = [row for row in result.accounts.to_pylist() if row["campaign_id"] is not None]
        result = replace(result, accounts=to_table(rows, result.accounts.schema))
        with tempfile.TemporaryDirectory(prefix=".look-", dir=self._told.state) as name:
            folder = Path(name) / f"look-{now:%Y%m%dT%H%M%SZ}"
            folder.mkdir()
            findings.write(result, folder)
            loaded = load(self._store, folder, BY, self._told.policy, now)
        self._shown = shown
        told = {"opened": len(loaded.opened), "continued": len(loaded.continued), "flags": len(look.flags)}
        LOG.info("findings loaded", extra={"told": told})


def tick_until_orphaned(told: Ticking, outcomes: MutableSequence[int]) -> None:
    """Look at the end of every step until the process that started this one is gone.

    ``outcomes``: memory of that process for the counts, in the order of ``OUTCOMES``.
    """
    log_to_standard_error()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: whoever started this one ends it
    parent = multiprocessing.parent_process()
    store = open_store(told.store)
    _sweep(told.state)
    os.nice(5)  # answers to gateways come first
    with History(told.state) as history:
        ticks = Ticks(told, history, store)
        before = asdict(ticks.live.counts)
        while parent is None or parent.is_alive():
            begun = time.monotonic()
            look = None
            try:
                look = ticks.tick(dt.datetime.now(dt.UTC))
            except StoreError as error:
                LOG.warning("findings not loaded", extra={"told": {"error": type(error).__name__}})
            counts = asdict(ticks.live.counts)
            outcomes[:] = [counts[name] for name in OUTCOMES]
            if look is not None and (look.scanned is not None or counts != before):
                _log(look, counts, time.monotonic() - begun)
                before = counts
            _sleep(max(SHORTEST_S, ticks.live.next_us / 1e6 - (time.monotonic() - begun)), parent)


def _sweep(state: Path) -> None:
    """Remove what a process of the looks left when it was ended; the journal is locked by ours."""
    for left in (*state.glob(f"{PREFIX}*"), *state.glob(".look-*")):
        shutil.rmtree(left, ignore_errors=True)


def _log(look: Look, counts: dict[str, int], seconds: float) -> None:
    told = {
        "seconds": round(seconds, 3),
        "campaigns": len(look.campaigns),
        "flags": len(look.flags),
        **counts,
    }
    LOG.info("looked", extra={"told": told})


def _sleep(seconds: float, parent: Any) -> None:
    if parent is None:
        time.sleep(seconds)
    else:
        parent.join(seconds)


class Looks:
    """The process of the looks, started again where it ends by itself."""

    def __init__(self, told: Ticking, metrics: Metrics) -> None:
        self._told, self._metrics = told, metrics
        self._context = multiprocessing.get_context("spawn")
        self._process: Any = None
        self._started_s = 0.0
        # Without a lock, which a process that is killed could hold for ever.
        self._outcomes = self._context.RawArray("q", len(OUTCOMES))

    def keep(self) -> None:
        """Start it, or start it again where it has ended, and show what it counted."""
        for name, count in zip(OUTCOMES, self._outcomes, strict=True):
            self._metrics.outcomes.labels(name).set(count)
        if self._process is not None and self._process.is_alive():
            return
        if self._process is not None:
            if time.monotonic() - self._started_s < RESTART_S:
                return
            self._metrics.restarts.inc()
            LOG.error(
                "the looks have ended and begin again", extra={"told": {"code": self._process.exitcode}}
            )
        self._process = self._context.Process(
            target=tick_until_orphaned, args=(self._told, self._outcomes), daemon=True
        )
        self._process.start()
        self._started_s = time.monotonic()

    def stop(self) -> None:
        """End it; what it had not looked at is looked at when it starts again."""
        if self._process is not None:
            self._process.terminate()
            self._process.join(10)
            _sweep(self._told.state)
