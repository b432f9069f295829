"""Coverage: are the slots of a template filled by sampling without replacement?"""

from __future__ import annotations

import pyarrow as pa

from stillwatch.signals.base import integers, ratio, result

LEAST_FILLS = 60
"""Fill fragments below which chance collisions say nothing either way."""

OF_TEMPLATE = 12
"""One in so many of a stream's exchanges, from which what lies in a slot is a wording of the template: a generator that
rewords seldom has more wordings of a sentence, and a benchmark seldom fewer items."""


class Coverage:
    """Share of what fills the slots that no second principal ever sends.

    A dispatcher deals each seed once; people who share a template share topics, and their fills collide. What stands in
    one of ``OF_TEMPLATE`` exchanges or more fills no slot: it is one of several wordings of the template itself.

    >>> stats = pa.table({"stream_id": [0, 1], "fills": [400, 400], "alone": [396, 250]})
    >>> Coverage().value(stats)["value"].to_pylist()
    [0.99, 0.625]
    """

    name = "coverage"
    reads = frozenset({"fills", "takers"})
    needs: tuple[str, ...] = ()
    statistics = f"""
        SELECT f.stream_id, CAST(sum(f.exchanges) AS BIGINT) AS fills,
               CAST(sum(CASE WHEN f.principals = 1 THEN f.exchanges ELSE 0 END) AS BIGINT) AS alone
        FROM fills f
        JOIN (SELECT stream_id, CAST(sum(exchanges) AS BIGINT) AS n FROM takers GROUP BY stream_id) c
          ON f.stream_id = c.stream_id
        WHERE f.exchanges * {OF_TEMPLATE} <= c.n OR f.exchanges = 1
        GROUP BY f.stream_id"""

    def value(self, stats: pa.Table) -> pa.Table:
        """Share of fills that one principal alone sent; silent below ``LEAST_FILLS``."""
        fills, alone = integers(stats, "fills", "alone")
        return result(stats, ratio(alone, fills), fills, fills >= LEAST_FILLS)

    def describe(self, value: float, n: int) -> str:
        """Say how often the same content came from two principals."""
        return (
            f"{1 - value:.1%} of what fills the template came from more than one principal ({n:,} fragments "
            "compared)"
        )


SIGNAL = Coverage()
