"""Objective: does the template ask for training data?"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from stillwatch.objective.classes import OBJECTIVES
from stillwatch.signals.base import integers, ratio, result

_SUMS = tuple(f"sum_{name}" for name in OBJECTIVES)


class Objective:
    """Mean score of the objective that a stream's exchanges ask for most, in [0, 1].

    The mean over exchanges, not the share above a threshold: what fills the slots varies, the template does
    not.

    >>> stats = pa.table({"stream_id": [0], "exchanges": [10], **{name: [0] for name in _SUMS}})
    >>> stats = stats.set_column(stats.column_names.index("sum_rubric_grading"), "sum_rubric_grading",
    ...     [[930]])
    >>> Objective().value(stats).to_pylist()
    [{'stream_id': 0, 'value': 0.93, 'n': 10}]
    """

    name = "objective"
    reads = frozenset({"scores"})
    needs: tuple[str, ...] = ()
    statistics = f"""
        SELECT stream_id, CAST(sum(exchanges) AS BIGINT) AS exchanges,
               {", ".join(f"CAST(sum({name}) AS BIGINT) AS {name}" for name in _SUMS)}
        FROM scores GROUP BY stream_id"""

    def value(self, stats: pa.Table) -> pa.Table:
        """Mean score of the best class; it always speaks."""
        (exchanges,) = integers(stats, "exchanges")
        best = np.max(np.stack(integers(stats, *_SUMS)), axis=0)
        return result(stats, ratio(best, 100 * exchanges), exchanges, exchanges > 0)

    def describe(self, value: float, n: int) -> str:
        """Say how clearly the text asks for training data."""
        return f"the requests ask for training data with a mean score of {value:.0%} over {n:,} exchanges"


SIGNAL = Objective()
