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


def sharers(kind: str) -> str:
    """SQL of each value of one kind in each stream: how many of its accounts have it (``n``), and how many are counted by it
    (``accounts``), each account once."""
    return f"""
        SELECT h.stream_id, b.value, CAST(count(*) AS BIGINT) AS n, sum(b.counted) AS accounts
        FROM holders h JOIN belongings b ON h.account = b.account WHERE b.kind = '{kind}'
        GROUP BY h.stream_id, b.value"""


def pair_statistics(kind: str) -> str:
    """SQL of the pairs of accounts that have a value of one kind in common, in each stream and in the whole log.

    End users of one key count once: what the key's owner has is not theirs.
    """
    return f"""
        SELECT s.stream_id, s.pairs, s.accounts, w.all_pairs, w.all_accounts
        FROM (SELECT stream_id, CAST(sum(n * (n - 1)) AS BIGINT) AS pairs, CAST(sum(accounts) AS BIGINT) AS accounts
              FROM ({sharers(kind)}) g
              GROUP BY stream_id) s
        CROSS JOIN (SELECT all_pairs, all_accounts FROM agreements WHERE kind = '{kind}') w"""


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
