"""Which families of a large log are measured in full: those that could be part of a campaign.

A family is joined into a group, and judged, where its text asks for training data or where one hand seems to move its
principals, which nothing says of a text that hardly anybody comes back for. Both can be told by counting. In a crowd most
families are everyday phrases that fail both; of them the two signals are stated, and no other is asked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stillwatch import stream_counts
from stillwatch.evidence import DOSE, INTENT, RETURNING, Measured, Weights
from stillwatch.signals import all_signals
from stillwatch.signals.dose import SEVERAL
from stillwatch.streams import OBJECTIVE_SUMS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.memberships import Members


def screen(
    members: Members, owner: NDArray[np.int32], principals: int, streams: int, weights: Weights
) -> Measured:
    """What the objective and the dose say of the streams 0 to ``streams`` - 1; every other signal is silent.

    ``owner``: int32[m], principal of each membership, of so many ``principals``.
    """
    bounds, _, ordered = stream_counts.by_stream(members.stream, members.row, owner, streams)
    crowd, returned = stream_counts.count_returning(bounds, ordered, principals, SEVERAL)
    sums = {
        name: np.bincount(members.stream, weights=column, minlength=streams).astype(np.int64)
        for name, column in zip(OBJECTIVE_SUMS, members.objective.T, strict=True)
    }
    found = {
        INTENT: {"exchanges": np.diff(bounds), **sums},
        DOSE: {"principals": crowd, "returned": returned},
    }
    held = np.flatnonzero(np.diff(bounds))
    signals = all_signals()
    value, n = np.full((streams, len(signals)), np.nan), np.zeros((streams, len(signals)), np.int64)
    bits = np.zeros_like(value)
    for index, signal in enumerate(signals):
        if signal.name not in found:
            continue
        columns: dict[str, Any] = {name: column[held] for name, column in found[signal.name].items()}
        table = signal.value(pa.table({"stream_id": held, **columns}))
        value[held, index] = table["value"].to_numpy().astype(np.float64)
        n[held, index] = table["n"].to_numpy()
        bits[:, index] = weights.curves[signal.name].weigh(value[:, index])
    return Measured(tuple(signal.name for signal in signals), value, n, bits, weights.start)


def may_matter(screened: Measured, objective: float) -> NDArray[np.bool_]:
    """Streams that may be suspects, whatever the signals say that are not known yet: bool[s].

    ``objective``: least value of the objective signal of a suspect that asks for something. Any other suspect has
    signals of conduct that speak, which takes principals who come back.
    """
    return (screened.of(INTENT) >= objective) | ~(screened.of(DOSE) < RETURNING)
