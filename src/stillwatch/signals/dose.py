"""Dose: how many of a stream's principals keep coming back for it?"""

from __future__ import annotations

import pyarrow as pa

from stillwatch.signals.base import integers, ratio, result

SEVERAL = 3
"""Exchanges from which a principal has come back for a text; one or two are a trial."""

LEAST_PRINCIPALS = 8
"""Principals below which the share says nothing."""


class Dose:
    """Share of the principals who send the stream's text several times, with one more on either side.

    A text that goes round, a client that somebody tries and a question of the day are sent once or twice by many: every
    audience has a long tail of passers-by, whatever its heavy users do. A campaign gives each of its accounts a share of
    the work, also where that is dealt out unevenly, and an account that asked twice would have cost more than it brought.
    Honest firms that run a pipeline come back as well, so this tells campaigns from audiences and not from jobs. The one
    more on either side is Laplace's rule of succession: a few principals prove little.

    >>> stats = pa.table({"stream_id": [0, 1], "principals": [100, 100], "returned": [98, 30]})
    >>> [round(value, 2) for value in Dose().value(stats)["value"].to_pylist()]
    [0.97, 0.3]
    """

    name = "dose"
    reads = frozenset({"takers"})
    needs: tuple[str, ...] = ()
    statistics = f"""
        SELECT stream_id, CAST(count(*) AS BIGINT) AS principals,
               CAST(sum(CASE WHEN exchanges >= {SEVERAL} THEN 1 ELSE 0 END) AS BIGINT) AS returned
        FROM takers GROUP BY stream_id"""

    def value(self, stats: pa.Table) -> pa.Table:
        """Share in (0, 1); silent below ``LEAST_PRINCIPALS``."""
        principals, returned = integers(stats, "principals", "returned")
        return result(stats, ratio(returned + 1, principals + 2), principals, principals >= LEAST_PRINCIPALS)

    def describe(self, value: float, n: int) -> str:
        """Say how many come back."""
        return (
            f"{value:.0%} of its {n:,} principals sent it three times or more; a text that goes round is sent once or "
            "twice by many"
        )


SIGNAL = Dose()
