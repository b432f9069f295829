"""Arithmetic of what the accounts of a stream share beyond chance: creation days, cards, networks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from stillwatch.signals.base import integers, ratio, result

if TYPE_CHECKING:
    from numpy.typing import NDArray

LEAST_ACCOUNTS = 5
"""Accounts of a stream with a known value below which pairs say nothing."""

STREAM_ACCOUNTS = """
    (SELECT DISTINCT c.stream_id, p.account FROM cells c JOIN principals p ON c.principal = p.principal)"""
"""Accounts of each stream. End users of one key count once: what the key's owner has is not theirs."""


def pair_statistics(values: str) -> str:
    """SQL of the pairs of accounts that agree, in each stream and in the whole log.

    ``values``: a subquery with one row (account, value) for each value of an account.
    """
    return f"""
        SELECT s.stream_id, s.pairs, s.accounts, w.all_pairs, w.all_accounts
        FROM (SELECT g.stream_id, CAST(sum(g.n * (g.n - 1)) AS BIGINT) AS pairs, min(t.accounts) AS accounts
              FROM (SELECT a.stream_id, v.value, CAST(count(*) AS BIGINT) AS n
                    FROM {STREAM_ACCOUNTS} a JOIN {values} v ON a.account = v.account
                    GROUP BY a.stream_id, v.value) g
              JOIN (SELECT a.stream_id, CAST(count(DISTINCT a.account) AS BIGINT) AS accounts
                    FROM {STREAM_ACCOUNTS} a JOIN {values} v ON a.account = v.account
                    GROUP BY a.stream_id) t ON g.stream_id = t.stream_id
              GROUP BY g.stream_id) s
        CROSS JOIN (SELECT CAST(sum(n * (n - 1)) AS BIGINT) AS all_pairs,
                           (SELECT CAST(count(DISTINCT account) AS BIGINT) FROM {values} v) AS all_accounts
                    FROM (SELECT v.value, CAST(count(*) AS BIGINT) AS n FROM {values} v
                           GROUP BY v.value) g) w"""


def pair_lift(stats: pa.Table, most: float) -> pa.Table:
    """log2 of observed over expected agreeing pairs, two pairs added to both, cut off at ``most`` bits.

    Expected: the share of the log's other pairs of accounts that agree, so a value that everybody has weighs
    nothing and a rare one weighs most (the idea of Fellegi & Sunter 1969, on counts of pairs). The stream's own pairs are
    not among them: a pool that is a tenth of the log would be its own measure. Silent where nobody else is there.

    >>> stats = pa.table({"stream_id": [0], "pairs": [990], "accounts": [100], "all_pairs": [1_090],
    ...     "all_accounts": [1_000]})
    >>> round(pair_lift(stats, most=9.0)["value"][0].as_py(), 1)
    8.4
    """
    pairs, accounts, all_pairs, all_accounts = integers(
        stats, "pairs", "accounts", "all_pairs", "all_accounts"
    )
    own = accounts * (accounts - 1)
    others = all_accounts * (all_accounts - 1) - own
    expected = own * ratio(np.maximum(all_pairs - pairs, 0), others)
    value: NDArray[np.float64] = np.clip(np.log2((pairs + 2) / (expected + 2)), -1, most)
    return result(stats, value, accounts, (accounts >= LEAST_ACCOUNTS) & (others > 0))
