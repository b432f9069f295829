"""Succession: does a new principal begin soon after another has ended?"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from stillwatch.signals.base import integers, ratio, result

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US

SOON_US = 6 * HOUR_US
"""Time within which a replacement begins: later, whoever comes by chance outnumbers it."""

QUIET_US = 2 * DAY_US
"""Silence up to the end of the log that makes an end, and before the first call that makes a beginning: a principal
who came once a day is neither."""

LEAST_BEGINNINGS = 8
"""Beginnings well inside the log below which what went before them says nothing."""

MOST_PAIRS = 1_000_000
"""Pairs that one hour may count for: a crowd's squares must fit into 64 bits."""

LEAST, MOST = -4.0, 10.0

_LIVES = f"""
    (SELECT p.principal, p.begins_us, p.ends_us, b.opens, b.closes
     FROM (SELECT principal, first_us - first_us % {HOUR_US} AS begins_us, last_us - last_us % {HOUR_US} AS ends_us
           FROM principals) p
     CROSS JOIN (SELECT min(first_us) AS opens, max(last_us) AS closes FROM principals) b)"""

_EVENTS = f"""
    (SELECT principal, begins_us AS at_us, 1 AS begins, 0 AS ends,
            CASE WHEN ends_us > begins_us AND ends_us <= begins_us + {SOON_US} THEN 1 ELSE 0 END AS own
     FROM {_LIVES} l WHERE begins_us >= opens + {QUIET_US} AND begins_us <= closes - {QUIET_US + SOON_US}
     UNION ALL
     SELECT principal, ends_us AS at_us, 0 AS begins, 1 AS ends, 0 AS own
     FROM {_LIVES} l WHERE ends_us <= closes - {QUIET_US})"""
"""Beginnings and ends of the log's principals, to the hour; ``own`` are those that end within the time themselves."""


class Succession:
    """How much more often a principal's beginning follows others' ends within six hours than it precedes them, in
    standard deviations.

    An account that is banned ends, and the one that replaces it begins some hours later. Beginnings and ends that have
    nothing to do with each other fall together as well, since both follow the day, a campaign's growth or a fashion;
    but then they come in either order, so the ends just after a beginning are what chance explains of those just before.
    A principal begins and ends with its first and last call of all, whatever it sends. The sum over
    beginnings is divided by the root of the sum of squares over hours (self-normalised; Peña, Lai & Shao 2009), so
    that one hour in which many begin counts once. Of a crowd that is replaced a dozen times a day little is seen. Silent
    in a log of few days.

    >>> stats = pa.table({"stream_id": [0], "beginnings": [60], "lean": [90], "squares": [400]})
    >>> Succession().value(stats)["value"].to_pylist()
    [4.5]
    """

    name = "succession"
    reads = frozenset({"takers", "principals"})
    needs: tuple[str, ...] = ()
    statistics = f"""
        SELECT stream_id, CAST(sum(begins) AS BIGINT) AS beginnings,
               CAST(sum(lean) AS BIGINT) AS lean, CAST(sum(lean * lean) AS BIGINT) AS squares
        FROM (SELECT stream_id, begins,
                     least(greatest(begins * (before - after) + own, -{MOST_PAIRS}), {MOST_PAIRS}) AS lean
              FROM (SELECT stream_id, begins, own,
                           coalesce(sum(ends) OVER (PARTITION BY stream_id ORDER BY at_us
                                    RANGE BETWEEN {SOON_US} PRECEDING AND 1 PRECEDING), 0) AS before,
                           coalesce(sum(ends) OVER (PARTITION BY stream_id ORDER BY at_us
                                    RANGE BETWEEN 1 FOLLOWING AND {SOON_US} FOLLOWING), 0) AS after
                    FROM (SELECT m.stream_id, e.at_us, CAST(sum(e.begins) AS BIGINT) AS begins,
                                 CAST(sum(e.ends) AS BIGINT) AS ends, CAST(sum(e.own) AS BIGINT) AS own
                          FROM takers m JOIN {_EVENTS} e ON m.principal = e.principal
                          GROUP BY m.stream_id, e.at_us) h) w
              WHERE begins > 0) g
        GROUP BY stream_id"""

    def value(self, stats: pa.Table) -> pa.Table:
        """Standard deviations, between ``LEAST`` and ``MOST``; silent below ``LEAST_BEGINNINGS``."""
        beginnings, lean, squares = integers(stats, "beginnings", "lean", "squares")
        value = np.clip(ratio(lean, np.sqrt(squares)), LEAST, MOST)
        return result(stats, value, beginnings, beginnings >= LEAST_BEGINNINGS)

    def describe(self, value: float, n: int) -> str:
        """Say how far beyond chance beginnings follow ends."""
        return (
            f"its principals begin within six hours of another's end {value:.1f} standard deviations more often than chance "
            f"explains ({n:,} beginnings)"
        )


SIGNAL = Succession()
