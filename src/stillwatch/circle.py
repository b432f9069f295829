"""The template of a stream as peers can compare it: its fragments under the circle's key.

A fragment belongs to the template of a stream where at least as many of its principals sent it as make a text shared,
and at least half of all exchanges of the log that hold it lie in the stream. So no text of one customer is in it, nor
the prompt of a public agent that a campaign hides behind, nor a phrase that everybody uses.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stillwatch.distinct import distinct

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from stillwatch.memberships import Members

OWN = 0.5
"""Share of the exchanges with a fragment that must lie in the stream whose template it is to be of."""


def templates(
    circle: pa.ChunkedArray, members: Members, streams: int, principal_of_row: NDArray[np.int32], least: int,
    wanted: NDArray[np.int64] | None = None, usual: float = 0.0,
) -> list[NDArray[np.int64]]:  # fmt: skip
    """Fragments of the template of each stream, sorted by their bits as unsigned numbers.

    ``circle``: the column of the sketches. ``least``: principals that must have sent a fragment. ``wanted``: no other
    fragments are looked for. ``usual``: share of a stream's exchanges that must hold a fragment, so that what fills the
    slots is left out.
    """
    found = [np.empty(0, np.int64)] * streams
    row, value = _held(circle, distinct(members.row), wanted)
    if not len(row):
        return found
    stream, at = _crossed(members, row)
    owner, value = principal_of_row[row[at]], value[at]
    order = np.lexsort((owner, value, stream))
    stream, value, owner = stream[order], value[order], owner[order]
    starts = np.flatnonzero(np.r_[True, (stream[1:] != stream[:-1]) | (value[1:] != value[:-1])])
    exchanges = np.diff(np.r_[starts, len(stream)])
    anew = np.r_[True, owner[1:] != owner[:-1]]
    anew[starts] = True
    principals = np.add.reduceat(anew.astype(np.int64), starts)
    size = np.bincount(members.stream, minlength=streams)
    shared = (principals >= least) & (exchanges >= usual * size[stream[starts]])
    starts, exchanges = starts[shared], exchanges[shared]
    stream, value = stream[starts], value[starts]
    everywhere = _exchanges_with(circle, value)
    own = exchanges >= OWN * everywhere
    for number in distinct(stream[own]).tolist():
        mine = value[own & (stream == number)]
        found[number] = np.sort(mine.view(np.uint64)).view(np.int64)
    return found


def _crossed(members: Members, row: NDArray[np.int64]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Each membership beside each entry of its exchange; ``row``, ascending, has the exchange of each entry."""
    first, last = np.searchsorted(row, members.row), np.searchsorted(row, members.row, "right")
    count = last - first
    ends = np.cumsum(count)
    at = np.arange(ends[-1] if len(ends) else 0) + np.repeat(first - (ends - count), count)
    return np.repeat(members.stream, count), at


def _held(
    circle: pa.ChunkedArray, rows: NDArray[np.int32], wanted: NDArray[np.int64] | None
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Exchange and value of the fragments that some exchanges hold, each once an exchange, in order of exchange."""
    row, value = _flat(circle)
    kept = np.zeros(len(circle), bool)
    kept[rows] = True
    chosen = kept[row]
    if wanted is not None:
        chosen &= np.isin(value, wanted)
    return _distinct(row[chosen], value[chosen])


def _exchanges_with(circle: pa.ChunkedArray, values: NDArray[np.int64]) -> NDArray[np.int64]:
    """In how many exchanges of the log each of some fragments is."""
    row, value = _flat(circle)
    chosen = np.isin(value, values)
    held, counts = np.unique(_distinct(row[chosen], value[chosen])[1], return_counts=True)
    result: NDArray[np.int64] = counts[np.searchsorted(held, values)]
    return result


def _distinct(
    row: NDArray[np.int64], value: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Each pair once, in order of row."""
    order = np.lexsort((value, row))
    row, value = row[order], value[order]
    anew = np.ones(len(row), bool)
    anew[1:] = (row[1:] != row[:-1]) | (value[1:] != value[:-1])
    return row[anew], value[anew]


def _flat(circle: pa.ChunkedArray) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Exchange and value of every fragment of the column; of a log without it, nothing."""
    lists = circle.combine_chunks()
    lengths = lists.value_lengths().fill_null(0).to_numpy()
    values = lists.flatten().to_numpy(zero_copy_only=False).astype(np.int64, copy=False)
    return np.repeat(np.arange(len(lists)), lengths), values
