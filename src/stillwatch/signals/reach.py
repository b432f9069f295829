"""Reach: do the accounts of a stream come from places and networks that fit?"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from stillwatch.signals.base import integers, result, share_lift
from stillwatch.signals.sharing import LEAST_ACCOUNTS

HOPS = 3
"""Hours with calls from several countries that make an account hop: a traveller has one, at a border."""

MOST_BITS = 3.0

MISFITS = ("hopping", "placeless", "outside")


class Reach:
    """Bits by which a stream's accounts exceed the log's in three misfits, added up: hours with calls from several
    countries, networks at home in no country, and regions that are not served.

    No traveller is in two countries within an hour three times over. A network (asn) is at home nowhere if less than
    four in five of its accounts are in one country, as with clouds, proxies and VPNs. Regions are those of
    ``--unsupported-region``. A country is never odd for being rare, and since sketches hold no language, a
    language that does not fit the country is not looked at.

    >>> stats = pa.table({"stream_id": [0], "accounts": [60], "all_accounts": [4060], "hopping": [40],
    ...     "placeless": [55], "outside": [0], "all_hopping": [60], "all_placeless": [855], "all_outside": [0]})
    >>> round(Reach().value(stats)["value"][0].as_py(), 1)
    5.0
    """

    name = "reach"
    reads = frozenset({"holders", "whereabouts"})
    needs = ("country", "asn")
    statistics = f"""
        SELECT s.stream_id, s.accounts, s.hopping, s.placeless, s.outside, w.all_accounts, w.all_hopping,
               w.all_placeless, w.all_outside
        FROM (SELECT a.stream_id, CAST(count(*) AS BIGINT) AS accounts,
                     CAST(sum(CASE WHEN v.hops >= {HOPS} THEN 1 ELSE 0 END) AS BIGINT) AS hopping,
                     CAST(sum(CASE WHEN 2 * v.placeless >= v.exchanges THEN 1 ELSE 0 END) AS BIGINT) AS placeless,
                     CAST(sum(CASE WHEN 2 * v.outside >= v.exchanges THEN 1 ELSE 0 END) AS BIGINT) AS outside
              FROM holders a JOIN whereabouts v ON a.account = v.account
              GROUP BY a.stream_id) s
        CROSS JOIN (SELECT CAST(count(*) AS BIGINT) AS all_accounts,
                           CAST(sum(CASE WHEN hops >= {HOPS} THEN 1 ELSE 0 END) AS BIGINT) AS all_hopping,
                           CAST(sum(CASE WHEN 2 * placeless >= exchanges THEN 1 ELSE 0 END) AS BIGINT)
                             AS all_placeless,
                           CAST(sum(CASE WHEN 2 * outside >= exchanges THEN 1 ELSE 0 END) AS BIGINT) AS all_outside
                    FROM whereabouts) w"""

    def value(self, stats: pa.Table) -> pa.Table:
        """Sum of three lifts, 0 where none exceeds the rest of the log; silent for few accounts."""
        accounts, everybody = integers(stats, "accounts", "all_accounts")
        total = np.zeros(len(accounts))
        for misfit in MISFITS:
            count, all_count = integers(stats, misfit, f"all_{misfit}")
            total += share_lift(count, accounts, all_count, everybody, MOST_BITS)
        return result(stats, total, accounts, accounts >= LEAST_ACCOUNTS)

    def describe(self, value: float, n: int) -> str:
        """Say by how much its accounts come from odd places more often than others."""
        return (
            "calls from several countries within an hour, from networks at home in none and from regions not served "
            f"are more frequent than in the rest of the log, by {value:.1f} doublings together ({n:,} accounts)"
        )


SIGNAL = Reach()
