"""Mixing: do all principals draw their content from one pool, or has each its own subjects?"""

from __future__ import annotations

import pyarrow as pa

from stillwatch.signals.base import cautious_lift, integers, ratio, result

LEAST_PAIRS = 60
"""Pairs of one principal's exchanges that share a word, expected by chance, below which the ratio says
nothing."""


class Mixing:
    """How freely subjects mix over principals: log2 of expected over observed word sharing within a
    principal.

    Take pairs of exchanges that share an uncommon word. If seeds are dealt from one pool, two exchanges of
    one principal share one as often as two of different principals do: 0. Somebody with a subject of his own
    (a person, a firm's pipeline) comes back to his words: well below 0. Words in more than 5% of a stream's
    exchanges are of the template or of the language and are left out. The statistic is the ratio of joins
    used for overdispersion in ecology (Morisita 1959).

    >>> stats = pa.table({"stream_id": [0], "within": [520], "pairs": [100_000], "own": [50_000],
    ...     "all_pairs": [10_000_000]})
    >>> round(Mixing().value(stats)["value"][0].as_py(), 2)
    -0.23
    """

    name = "mixing"
    reads = frozenset({"topics", "takers"})
    needs: tuple[str, ...] = ()
    statistics = """
        SELECT t.stream_id, CAST(sum(t.within) AS BIGINT) AS within,
               CAST(sum(t.n * (t.n - 1)) AS BIGINT) AS pairs,
               min(c.own) AS own, min(c.n * (c.n - 1)) AS all_pairs
        FROM (SELECT stream_id, exchanges AS n, own_pairs AS within FROM topics WHERE exchanges > 1) t
        JOIN (SELECT stream_id, CAST(sum(exchanges) AS BIGINT) AS n,
                     CAST(sum(exchanges * (exchanges - 1)) AS BIGINT) AS own
              FROM takers GROUP BY stream_id) c ON t.stream_id = c.stream_id
        WHERE t.n * 20 <= c.n
        GROUP BY t.stream_id"""

    def value(self, stats: pa.Table) -> pa.Table:
        """log2(expected / observed), cautiously; silent below ``LEAST_PAIRS`` expected."""
        within, pairs, own, all_pairs = integers(stats, "within", "pairs", "own", "all_pairs")
        expected = own * ratio(pairs - within, all_pairs - own)
        return result(stats, cautious_lift(expected, within), expected, expected >= LEAST_PAIRS)

    def describe(self, value: float, n: int) -> str:
        """Say how many times more often than by chance a principal comes back to its own words."""
        return (
            f"a principal comes back to its own uncommon words at most {2**-value:.1f} times as often as "
            "if all drew from one pool "
            f"({n:,} coincidences expected); people and firms have subjects of their own"
        )


SIGNAL = Mixing()
