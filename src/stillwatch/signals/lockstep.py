"""Lockstep: were the accounts of a stream opened together?"""

from __future__ import annotations

import pyarrow as pa

from stillwatch.signals.sharing import pair_lift, pair_statistics

MOST_BITS = 6.0


class Lockstep:
    """log2 of observed over expected pairs of accounts that were opened within one day.

    >>> stats = pa.table({"stream_id": [0], "pairs": [398], "accounts": [40], "all_pairs": [40_000],
    ...     "all_accounts": [4000]})
    >>> round(Lockstep().value(stats)["value"][0].as_py(), 1)
    6.0
    """

    name = "lockstep"
    reads = frozenset({"holders", "belongings", "agreements"})
    needs = ("account_created_at",)
    statistics = pair_statistics("opened")

    def value(self, stats: pa.Table) -> pa.Table:
        """Bits of lift, at most ``MOST_BITS``; silent for few accounts."""
        return pair_lift(stats, MOST_BITS)

    def describe(self, value: float, n: int) -> str:
        """Say how much more often than usual two accounts were opened on one day."""
        return (
            f"any two of its accounts were opened on the same day {2**value:.1f} times as often as two of the log "
            f"({n:,} accounts)"
        )


SIGNAL = Lockstep()
