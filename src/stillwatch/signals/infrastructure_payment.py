"""Infrastructure, payment: do the accounts of a stream share means of payment?"""

from __future__ import annotations

import pyarrow as pa

from stillwatch.signals.sharing import pair_lift, pair_statistics

MOST_BITS = 8.0


class SharedPayment:
    """log2 of observed over expected pairs of accounts that pay by the same means.

    Careful operators share none, so a low value says little.

    >>> stats = pa.table({"stream_id": [0], "pairs": [380], "accounts": [20], "all_pairs": [400],
    ...     "all_accounts": [4000]})
    >>> round(SharedPayment().value(stats)["value"][0].as_py(), 1)
    7.6
    """

    name = "infrastructure_payment"
    reads = frozenset({"holders", "belongings", "agreements"})
    needs = ("payment_fingerprint",)
    statistics = pair_statistics("payment")

    def value(self, stats: pa.Table) -> pa.Table:
        """Bits of lift, at most ``MOST_BITS``; silent for few accounts."""
        return pair_lift(stats, MOST_BITS)

    def describe(self, value: float, n: int) -> str:
        """Say how much more often than usual two accounts share it."""
        return (
            f"any two of its accounts pay by the same means {2**value:.1f} times as often as two of the log ({n:,} "
            "accounts)"
        )


SIGNAL = SharedPayment()
