"""Place: do most accounts of a stream call from one and the same network?"""

from __future__ import annotations

import pyarrow as pa

from stillwatch.signals.base import integers, ratio, result
from stillwatch.signals.sharing import LEAST_ACCOUNTS, sharers


class Place:
    """Share of a stream's accounts that have called from the network that most of them have in common.

    An office, a school and an event are at one place. An operator's accounts share networks too, many times more often
    than chance would have it, but a few of them each: a pool of proxies is there to look like many places. It weighs
    nothing by itself, and tells of the two which it is.

    >>> stats = pa.table({"stream_id": [0, 1], "most": [58, 7], "accounts": [60, 60]})
    >>> [round(value, 2) for value in Place().value(stats)["value"].to_pylist()]
    [0.97, 0.12]
    """

    name = "place"
    reads = frozenset({"holders", "belongings"})
    needs = ("ip",)
    statistics = f"""
        SELECT stream_id, CAST(max(n) AS BIGINT) AS most, CAST(sum(accounts) AS BIGINT) AS accounts
        FROM ({sharers("network")}) g
        GROUP BY stream_id"""

    def value(self, stats: pa.Table) -> pa.Table:
        """Share in (0, 1]; silent for few accounts."""
        most, accounts = integers(stats, "most", "accounts")
        return result(stats, ratio(most, accounts), accounts, accounts >= LEAST_ACCOUNTS)

    def describe(self, value: float, n: int) -> str:
        """Say how many call from the commonest network."""
        return f"{value:.0%} of its {n:,} accounts have called from one and the same network"


SIGNAL = Place()
