"""What comes in: counted once, in order of its own time, whatever order it comes in.

The rule. An exchange is the same as another where name, principal and moment agree: a second delivery is left out.
(The name alone would not do: some gateways let the client choose it, who could hide behind another's.) A call that a
span and an event tell of is known by its number, as in a log: the two were noted at different moments. One
whose time lies before the last look is late; it counts from the next look on, as if it had come in time, since a
look goes by what is known and not by the order in which it came. One whose time lies after the look waits for
its time, and more than ``AHEAD_US`` ahead of the clock as it comes it is left out: that clock is wrong. One that is
older than the window is left out, as it would have been forgotten. All four are counted.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from stillwatch.families.fragments import Dictionary
from stillwatch.fingerprint import SKETCH_SCHEMA
from stillwatch.hashing import hash_strings

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.keys import Keys

AHEAD_US = 86_400_000_000
"""How far ahead of the clock, as it comes, an exchange's own time may lie: a day."""

CALL = pa.field("call", pa.uint64())
"""Number of an exchange's call, where it may be told of twice; else null."""
ARRIVAL_SCHEMA = SKETCH_SCHEMA.remove_metadata().append(CALL)

_MIX = (np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBF58476D1CE4E5B9))


@dataclass(slots=True)
class Counts:
    """What came in, by what became of it."""

    taken: int = 0
    """Exchanges that were taken in, the late ones among them."""

    late: int = 0
    """Exchanges that came after a look that would have had them."""

    repeated: int = 0
    """Deliveries of an exchange that is known."""

    ahead: int = 0
    """Exchanges left out because their time lies more than a day ahead of the clock."""

    too_old: int = 0
    """Exchanges left out because they are older than the window."""

    forgotten: int = 0
    """Exchanges that were known and left the window."""


def as_arrivals(batch: pa.RecordBatch, calls: NDArray[np.uint64] | None = None) -> pa.RecordBatch:
    """Sketches of ``ARRIVAL_SCHEMA``; a batch that is of it already is returned as it is.

    ``calls``: numbers of the calls, uint64[n], 0 for none.
    """
    if CALL.name in batch.schema.names:
        return batch
    numbers = pa.nulls(len(batch), CALL.type) if calls is None else pa.array(calls, mask=calls == 0)
    return pa.RecordBatch.from_arrays([*batch.columns, numbers], schema=ARRIVAL_SCHEMA)


class Arrivals:
    """Exchanges that came in and whose time for a look has not come."""

    def __init__(self, keys: Keys) -> None:
        self._pair = keys.pair("arrivals")
        self._known = Dictionary()
        self._waiting: list[pa.RecordBatch] = []
        self.counts = Counts()

    def take(self, batch: pa.RecordBatch, came_us: int, looked_us: int, oldest_us: int) -> None:
        """Take in a sketch batch that came at ``came_us``.

        ``looked_us``: when the last look was; ``oldest_us``: begin of the window.
        """
        batch = as_arrivals(batch)
        at = batch["at_us"].to_numpy()
        ahead, old = at > came_us + AHEAD_US, at < oldest_us
        batch, at = _kept(batch, ~(ahead | old)), at[~(ahead | old)]
        fresh = self._fresh(batch)
        batch, at = _kept(batch, fresh), at[fresh]
        self.counts.ahead += int(ahead.sum())
        self.counts.too_old += int(old.sum())
        self.counts.repeated += int((~fresh).sum())
        self.counts.late += int((at < looked_us).sum())
        self.counts.taken += len(at)
        if len(at):
            self._waiting.append(batch)

    def due(self, now_us: int, oldest_us: int) -> pa.RecordBatch | None:
        """What waited for a look at ``now_us``, in order of time; None where nothing did.

        What the window, which begins at ``oldest_us``, has passed in the meantime is left out.
        """
        if not self._waiting:
            return None
        whole = pa.concat_batches(self._waiting)
        at = whole["at_us"].to_numpy()
        self._waiting = []
        if (at >= now_us).any():
            self._waiting = [_kept(whole, at >= now_us)]
        order = np.argsort(at, kind="stable")
        passed = int((at < oldest_us).sum())
        self.counts.taken -= passed
        self.counts.too_old += passed
        order = order[(at[order] < now_us) & (at[order] >= oldest_us)]
        return whole.take(pa.array(order)) if len(order) else None

    def keep_only(self, batches: Iterable[pa.RecordBatch]) -> None:
        """Know again of ``batches`` and of what waits alone, after others were forgotten."""
        self._known = Dictionary()
        for batch in (*batches, *self._waiting):
            self._known.encode(self._names(batch))

    def _fresh(self, batch: pa.RecordBatch) -> NDArray[np.bool_]:
        """Which exchanges are not known yet, each once: bool[n]."""
        before = self._known.size
        codes = self._known.encode(self._names(batch))
        first = np.zeros(len(codes), bool)
        first[np.unique(codes, return_index=True)[1]] = True
        fresh: NDArray[np.bool_] = first & (codes >= before)
        return fresh

    def _names(self, batch: pa.RecordBatch) -> NDArray[np.int64]:
        name = hash_strings(batch["exchange_id"], self._pair).astype(np.uint64)
        for column, factor in zip(("principal", "at_us"), _MIX, strict=True):
            name = (name ^ batch[column].to_numpy().astype(np.uint64)) * factor
            name ^= name >> np.uint64(32)
        calls = batch[CALL.name]
        if calls.null_count < len(batch):
            called: NDArray[np.bool_] = calls.is_valid().to_numpy(zero_copy_only=False)
            name[called] = calls.drop_null().to_numpy()
        return name.astype(np.int64)


def _kept(batch: pa.RecordBatch, mask: NDArray[np.bool_]) -> pa.RecordBatch:
    return batch if mask.all() else batch.filter(pa.array(mask))
