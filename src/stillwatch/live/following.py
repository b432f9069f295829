"""The local copy of the actions that hold: it follows the store, and answers go on from it where the store is away."""

from __future__ import annotations

import datetime as dt
import logging
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import anyio
from anyio import to_thread

from stillwatch.live.deciding import Deciding
from stillwatch.live.tokens import TokenError
from stillwatch.response.snapshot import Snapshot

if TYPE_CHECKING:
    from stillwatch.live.metrics import Metrics
    from stillwatch.live.tokens import Tokens

LOG = logging.getLogger("stillwatch.live")
EVERY_S = 1.0
"""Time between two looks at the version of the store."""
FORGET_S = 60.0


class Following:
    """Asks for the version every second and for the actions where it changed.

    ``version`` and ``snapshot`` read the store and may fail: then what is known is kept, and the failure is counted.
    """

    def __init__(
        self, version: Callable[[], int], snapshot: Callable[[], Snapshot], key: str, metrics: Metrics,
        tokens: Tokens | None = None,
    ) -> None:  # fmt: skip
        self._version, self._snapshot, self._metrics, self._tokens = version, snapshot, metrics, tokens
        self._known: int | None = None
        self.deciding = Deciding(Snapshot(dt.datetime.now(dt.UTC), ()), key)
        self.read_s: float | None = None
        """Monotonic time at which the store last answered; None: never yet."""

    @property
    def ready(self) -> bool:
        """Whether the actions were read at all."""
        return self.read_s is not None

    def refresh(self) -> bool:
        """Read the actions where the store changed; returns whether it did. A failure is logged and counted."""
        try:
            # The version first: what changes in between is read once more, and never missed.
            version = self._version()
            changed = version != self._known
            if changed:
                self.deciding.use(self._snapshot())
                self._known = version
        except Exception as error:
            self._metrics.store_failures.inc()
            LOG.warning("store not read", extra={"told": {"error": type(error).__name__}})
            return False
        self.read_s = time.monotonic()
        self._metrics.read_at.set_to_current_time()
        if changed:
            self._metrics.held.set(len(self.deciding.held.snapshot.actions))
            self._metrics.blind.set(self.deciding.held.blind)
            LOG.info("actions read", extra={"told": {"actions": len(self.deciding.held.snapshot.actions)}})
        return changed

    async def follow(self) -> None:
        """Follow the store until cancelled."""
        swept = time.monotonic()
        while True:
            await to_thread.run_sync(self.refresh)
            self._follow_tokens()
            if time.monotonic() - swept > FORGET_S:
                swept = time.monotonic()
                self.deciding.pace.forget(time.time())
            await anyio.sleep(EVERY_S)

    def _follow_tokens(self) -> None:
        try:
            if self._tokens is not None and self._tokens.refresh():
                LOG.info("tokens read")
        except TokenError:
            LOG.warning("tokens not read; those that were read before still hold")
