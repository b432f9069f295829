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
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stillwatch import findings
from stillwatch.examine import Options
from stillwatch.live.history import History
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
    from stillwatch.store.database import Store

LOG = logging.getLogger("stillwatch.live")
BY = "watch"
"""Who loads what was found, in the audit log."""
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
        for batch in self._reader.new():
            self.live.observe(batch, now_us)
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


def tick_until_orphaned(told: Ticking) -> None:
    """Look at the end of every step until the process that started this one is gone."""
    log_to_standard_error()
    parent = multiprocessing.parent_process()
    store = open_store(told.store)
    for left in (*told.state.glob(".stillwatch-history-*"), *told.state.glob(".look-*")):
        shutil.rmtree(left, ignore_errors=True)  # of a process that was killed; the journal is locked by ours
    os.nice(5)  # answers to gateways come first
    with History(told.state) as history:
        ticks = Ticks(told, history, store)
        while parent is None or parent.is_alive():
            begun = time.monotonic()
            try:
                look = ticks.tick(dt.datetime.now(dt.UTC))
            except StoreError as error:
                LOG.warning("findings not loaded", extra={"told": {"error": type(error).__name__}})
            else:
                _log(ticks.live, look, time.monotonic() - begun)
            _sleep(max(SHORTEST_S, ticks.live.next_us / 1e6 - (time.monotonic() - begun)), parent)


def _log(live: Live, look: Look, seconds: float) -> None:
    if look.scanned is None:
        return
    counts: dict[str, Any] = {
        name: getattr(live.counts, name)
        for name in ("taken", "late", "repeated", "ahead", "too_old", "forgotten")
    }
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

    def __init__(self, told: Ticking, count: Callable[[], None]) -> None:
        self._told, self._count = told, count
        self._context = multiprocessing.get_context("spawn")
        self._process: Any = None
        self._started_s = 0.0

    def keep(self) -> None:
        """Start it, or start it again where it has ended."""
        if self._process is not None and self._process.is_alive():
            return
        if self._process is not None:
            if time.monotonic() - self._started_s < RESTART_S:
                return
            self._count()
            LOG.error(
                "the looks have ended and begin again", extra={"told": {"code": self._process.exitcode}}
            )
        self._process = self._context.Process(target=tick_until_orphaned, args=(self._told,), daemon=True)
        self._process.start()
        self._started_s = time.monotonic()

    def stop(self) -> None:
        """End it; what it had not looked at is looked at when it starts again."""
        if self._process is not None:
            self._process.terminate()
            self._process.join(10)
