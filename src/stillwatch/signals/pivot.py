"""Pivot: does a stream move to a new model at once and together?"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from stillwatch.signals.base import integers, ratio, result

LEAST_PRINCIPALS = 8
"""Principals at work in a stream before and after a release, below which moving together says nothing."""

MOST_BITS = 6.0
DAY_US = 86_400_000_000


class Pivot:
    """log2 of observed over expected principals of a stream that use a new model within a day of its release.

    Asked are those who sent the stream's template before the release and again in the day after it. Expected: the share
    among all principals of the log that were at work before and on that day, so where the provider moves everybody, it
    weighs nothing. Several releases add up. Innocent causes look alike: an integrator, or a public client whose
    default is the new model, moves all its users on that day. A release is what ``--release`` states, else the first
    use of a model that comes up well inside the log; testers who had it earlier then hide the release proper.

    >>> stats = pa.table({"stream_id": [0], "principals": [60], "moved": [57], "expected_millionths": [3_000_000]})
    >>> round(Pivot().value(stats)["value"][0].as_py(), 1)
    3.6
    """

    name = "pivot"
    reads = frozenset({"cells", "releases"})
    needs: tuple[str, ...] = ()
    statistics = f"""
        SELECT stream_id, CAST(sum(present) AS BIGINT) AS principals,
               CAST(sum(present * moved) AS BIGINT) AS moved,
               CAST(sum(present * millionths) AS BIGINT) AS expected_millionths
        FROM (SELECT c.stream_id, c.principal, r.model,
                     max(CASE WHEN c.first_us < r.at_us THEN 1 ELSE 0 END)
                       * max(CASE WHEN c.last_us >= r.at_us THEN 1 ELSE 0 END) AS present,
                     max(CASE WHEN c.last_us >= r.at_us AND c.model = r.model THEN 1 ELSE 0 END) AS moved,
                     max(r.millionths) AS millionths
              FROM cells c
              JOIN releases r ON c.first_us < r.at_us + {DAY_US}
              GROUP BY c.stream_id, c.principal, r.model) p
        GROUP BY stream_id HAVING sum(present) > 0"""

    def value(self, stats: pa.Table) -> pa.Table:
        """Bits of lift, at most ``MOST_BITS``; silent for few principals and without a release."""
        principals, moved, millionths = integers(stats, "principals", "moved", "expected_millionths")
        value = np.clip(np.log2((moved + 2) / (ratio(millionths, 1e6) + 2)), -1, MOST_BITS)
        return result(stats, value, principals, principals >= LEAST_PRINCIPALS)

    def describe(self, value: float, n: int) -> str:
        """Say how much more often than others they moved on the first day."""
        return (
            f"its principals moved to a new model within a day of its release {2**value:.1f} times as often as "
            f"others ({n:,} principals were at work before and after)"
        )


SIGNAL = Pivot()
