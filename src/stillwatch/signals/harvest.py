"""Harvest: do requests ask for as much of the model as they can get?"""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from stillwatch.signals.base import integers, result, share_lift

LEAST_PRINCIPALS = 8
"""Principals of a stream below which their habits say nothing of a common hand."""

SWEEP = 3
"""Temperatures of one principal within a stream that make a sweep: an application keeps one, or two."""

LONG_REPLY = 4096
"""Tokens from which a requested reply is long: four times what an evaluation or a chat asks for."""

MOST_BITS, MOST_BITS_LONG = 4.0, 2.0
"""A long limit counts half: many an agent's default is as long."""

HABITS = ("sampled", "probed", "swept", "long")


class Harvest:
    """Bits by which a stream's principals exceed the rest of the log in four habits, added up: several completions a
    request, top log-probabilities, sweeps of the temperature, and long replies.

    Several completions of one prompt make preference pairs and best-of-n data, and log-probabilities are the partial
    logits that distillation proper wants (Hinton, Vinyals & Dean 2015). A principal has a habit if half of its
    exchanges in the stream that state anything show it. The rest of the log counts with whoever showed it once,
    whatever for: where everybody asks for log-probabilities, asking for them weighs nothing. Silent where the stream
    states none of it.

    >>> stats = pa.table({"stream_id": [0], "principals": [40], "all_principals": [4040], "sampled": [40],
    ...     "probed": [20], "swept": [0], "long": [40], "all_sampled": [60], "all_probed": [400], "all_swept": [5],
    ...     "all_long": [2040]})
    >>> round(Harvest().value(stats)["value"][0].as_py(), 1)
    6.9
    """

    name = "harvest"
    reads = frozenset({"settings", "takers", "traits", "principals"})
    needs = ("sample_count", "top_logprobs", "temperature", "max_tokens")
    statistics = f"""
        SELECT s.stream_id, c.principals, s.sampled, s.probed, s.swept, s.long, w.all_sampled, w.all_probed,
               w.all_swept, w.all_long, n.all_principals
        FROM (SELECT stream_id, CAST(sum(CASE WHEN 2 * sampled >= n THEN 1 ELSE 0 END) AS BIGINT) AS sampled,
                     CAST(sum(CASE WHEN 2 * probed >= n THEN 1 ELSE 0 END) AS BIGINT) AS probed,
                     CAST(sum(CASE WHEN temperatures >= {SWEEP} THEN 1 ELSE 0 END) AS BIGINT) AS swept,
                     CAST(sum(CASE WHEN 2 * long >= n THEN 1 ELSE 0 END) AS BIGINT) AS long
              FROM (SELECT stream_id, principal, sum(exchanges) AS n,
                           sum(CASE WHEN sample_count > 1 THEN exchanges ELSE 0 END) AS sampled,
                           sum(CASE WHEN top_logprobs > 0 THEN exchanges ELSE 0 END) AS probed,
                           sum(CASE WHEN max_tokens >= {LONG_REPLY} THEN exchanges ELSE 0 END) AS long,
                           count(DISTINCT CASE WHEN temperature_milli >= 0 THEN temperature_milli END)
                             AS temperatures
                    FROM settings GROUP BY stream_id, principal) p
              GROUP BY stream_id) s
        JOIN (SELECT stream_id, CAST(count(*) AS BIGINT) AS principals
              FROM takers GROUP BY stream_id) c ON s.stream_id = c.stream_id
        CROSS JOIN (SELECT CAST(sum(sampled) AS BIGINT) AS all_sampled, CAST(sum(probed) AS BIGINT) AS all_probed,
                           CAST(sum(CASE WHEN temperatures >= {SWEEP} THEN 1 ELSE 0 END) AS BIGINT) AS all_swept,
                           CAST(sum(long) AS BIGINT) AS all_long
                    FROM (SELECT principal,
                                 max(CASE WHEN kind = 'sample_count' AND value > 1 THEN 1 ELSE 0 END) AS sampled,
                                 max(CASE WHEN kind = 'top_logprobs' AND value > 0 THEN 1 ELSE 0 END) AS probed,
                                 max(CASE WHEN kind = 'max_tokens' AND value >= {LONG_REPLY} THEN 1 ELSE 0 END)
                                   AS long,
                                 sum(CASE WHEN kind = 'temperature_milli' THEN 1 ELSE 0 END) AS temperatures
                          FROM traits
                          WHERE kind IN ('sample_count', 'top_logprobs', 'max_tokens', 'temperature_milli')
                          GROUP BY principal) p) w
        CROSS JOIN (SELECT CAST(count(*) AS BIGINT) AS all_principals FROM principals) n"""

    def value(self, stats: pa.Table) -> pa.Table:
        """Sum of the lifts of four habits, 0 where none exceeds the rest of the log; silent for few principals."""
        principals, everybody = integers(stats, "principals", "all_principals")
        total = np.zeros(len(principals))
        for habit in HABITS:
            count, all_count = integers(stats, habit, f"all_{habit}")
            most = MOST_BITS_LONG if habit == "long" else MOST_BITS
            total += share_lift(count, principals, all_count, everybody, most)
        return result(stats, total, principals, principals >= LEAST_PRINCIPALS)

    def describe(self, value: float, n: int) -> str:
        """Say by how much its principals ask for more than others do."""
        return (
            "several completions, log-probabilities, sweeps of the temperature and long replies are asked for more "
            f"often than in the rest of the log, by {value:.1f} doublings together ({n:,} principals)"
        )


SIGNAL = Harvest()
