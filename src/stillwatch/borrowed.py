"""Who is suspect beside the accounts of a stronger campaign alone, and is judged without them.

An operator hides its extraction among requests of ordinary programs. Where its accounts are most of a program's users, the
texts of such programs are sent by accounts that were opened together and are fed evenly. None of those texts is accused by
itself, but joined, since much the same principals send them, they look like a campaign of all who do. No exchange is shared
with the campaign's own template, so :func:`~stillwatch.regrouping.peel` finds nothing to take out; the accounts are shared,
and the evidence is theirs. What the others send is measured alone, and where that accuses nobody, they are left out.

Groups are held to this, and not the families before they are joined: of a campaign's several templates the strongest is sent
by most of its accounts, and what the few others send of the next one would accuse nobody alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stillwatch.distinct import distinct
from stillwatch.memberships import only, without
from stillwatch.participants import takes_part

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from numpy.typing import NDArray

    from stillwatch.memberships import Members

COMMON = 0.3
"""Share of a stream's exchanges that are by principals of stronger ones, from which the others are judged alone."""

APART = 0.05
"""Share of a stream's exchanges that are of stronger ones, up to which it is another text and no piece of theirs."""


def without_borrowers(
    members: Members,
    of_row: NDArray[np.int32],
    accused: list[int],
    stands: Callable[[Members, int], Collection[int]],
) -> Members | None:
    """Members without who is in an accused stream only beside principals of a stronger one; None where nobody is.

    Args:
        members: of all streams.
        of_row: int32[n], principal of each exchange.
        accused: streams that clear the bar, the strongest first.
        stands: measures the streams that it is given, so many, and says which of them clear the bar.
    """
    others = _others(members, of_row, accused)
    if not others:
        return None
    doubted = np.array(list(others), np.int32)
    stream = np.repeat(doubted, [len(rows) for rows in others.values()])
    row = np.concatenate(list(others.values()))
    whole = only(members, doubted)
    beside = ~np.isin(_pairs(doubted[whole.stream], whole.row), _pairs(stream, row))
    alone = stands(without(whole, whole.stream[beside], whole.row[beside]), len(doubted))
    fallen = ~np.isin(stream, doubted[list(alone)])
    return without(members, stream[fallen], row[fallen]) if fallen.any() else None


def _pairs(stream: NDArray[np.int32], row: NDArray[np.int32]) -> NDArray[np.int64]:
    return stream.astype(np.int64) << 32 | row


def _others(members: Members, of_row: NDArray[np.int32], accused: list[int]) -> dict[int, NDArray[np.int32]]:
    """Accused streams of which principals of stronger ones send much, but of another text: the exchanges of all others."""
    order = np.argsort(members.stream, kind="stable")
    bounds = np.searchsorted(members.stream[order], [[number, number + 1] for number in accused])
    held = np.zeros(len(of_row), bool)
    known = np.zeros(1 + int(of_row.max(initial=-1)), bool)
    found = {}
    for number, (start, stop) in zip(accused, bounds.tolist(), strict=True):
        rows = distinct(members.row[order[start:stop]])
        owners = of_row[rows]
        common = known[owners]
        if held[rows].mean() <= APART and COMMON <= common.mean() < 1:
            found[number] = rows[~common]
            continue
        held[rows] = True
        own, counts = np.unique(owners, return_counts=True)
        known[own[takes_part(counts)]] = True
    return found
