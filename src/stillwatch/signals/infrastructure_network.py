"""Infrastructure, network: do the accounts of a stream come from the same networks?"""

from __future__ import annotations

import pyarrow as pa

from stillwatch.signals.sharing import pair_lift, pair_statistics

MOST_BITS = 8.0


class SharedNetwork:
    """log2 of observed over expected pairs of accounts that come from the same network.

    One campus or office shares an address too, and proxies hide it: a weak signal both ways.

    >>> stats = pa.table({"stream_id": [0], "pairs": [380], "accounts": [20], "all_pairs": [400],
    ...     "all_accounts": [4000]})
    >>> round(SharedNetwork().value(stats)["value"][0].as_py(), 1)
    7.6
    """

    name = "infrastructure_network"
    reads = frozenset({"holders", "belongings", "agreements"})
    needs = ("ip",)
    statistics = pair_statistics("network")

    def value(self, stats: pa.Table) -> pa.Table:
        """Bits of lift, at most ``MOST_BITS``; silent for few accounts."""
        return pair_lift(stats, MOST_BITS)

    def describe(self, value: float, n: int) -> str:
        """Say how much more often than usual two accounts share it."""
        return (
            f"any two of its accounts come from the same network {2**value:.1f} times as often as two of the log ({n:,} "
            "accounts)"
        )


SIGNAL = SharedNetwork()
