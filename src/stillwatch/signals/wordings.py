"""Wordings: is the template reworded from one exchange to the next, by all its principals alike?"""

from __future__ import annotations

import pyarrow as pa

from stillwatch.signals.base import integers, ratio, result

LEAST_EXCHANGES = 60
"""Exchanges of a stream below which its wordings say nothing."""

THOUSANDTHS = 1000
"""Variety is stated in thousandths."""


class Wordings:
    """Share of the template that varies from exchange to exchange, over all principals alike, 0 to 1.

    0 for a text that is pasted or sent by a program, also where there are versions of it, since a principal keeps its
    version. High for sentences that are reworded and recombined at will, as a generator does that paraphrases so as
    not to be recognised. A product that fills many fields of a form varies too, unevenly, and one that puts its prompt
    together of modules sends the same few texts again and again. What is counted is found
    with the families (``families/variety.py``), and is the mean over those of a merged stream.

    >>> stats = pa.table({"stream_id": [0, 1], "variety": [1_050_000, 0], "n": [1500, 1500]})
    >>> Wordings().value(stats)["value"].to_pylist()
    [0.7, 0.0]
    """

    name = "wordings"
    reads = frozenset({"scores"})
    needs: tuple[str, ...] = ()
    statistics = """
        SELECT stream_id, CAST(sum(variety) AS BIGINT) AS variety, CAST(sum(exchanges) AS BIGINT) AS n
        FROM scores GROUP BY stream_id"""

    def value(self, stats: pa.Table) -> pa.Table:
        """Mean variety in [0, 1]; silent below ``LEAST_EXCHANGES``."""
        variety, n = integers(stats, "variety", "n")
        return result(stats, ratio(variety, n * THOUSANDTHS), n, n >= LEAST_EXCHANGES)

    def describe(self, value: float, n: int) -> str:
        """Say how much of the template varies."""
        return (
            f"{value:.0%} of the template is reworded from one exchange to the next, by all principals alike "
            f"({n:,} exchanges)"
        )


SIGNAL = Wordings()
