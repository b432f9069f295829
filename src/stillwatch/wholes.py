"""Wholes: many families that look like pieces of one template, before their texts are looked at.

A template of short sentences that are recombined for every exchange falls apart into families of a part of its exchanges
each (``families/recombination.py``). The smaller of them are sent once or twice by a principal, so they show little of
their own, but by principals that a larger one holds.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from stillwatch.campaigns import Groups, Suspicion, asking, numbered
from stillwatch.distinct import distinct
from stillwatch.evidence import INTENT
from stillwatch.families.slots import slots
from stillwatch.forest import Forest
from stillwatch.memberships import without
from stillwatch.ranges import places

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa
    from numpy.typing import NDArray

    from stillwatch.evidence import Measured
    from stillwatch.families.assign import Families
    from stillwatch.memberships import Members
    from stillwatch.principals import Principals

ASKING = 0.4
"""Value of the objective of a piece, as a share of what a suspect must have: a sentence alone seldom asks as plainly as the
template that it is of. Of 830 campaigns and 1.4 million innocents of twelve authors none has another verdict than with 1."""

HELD = 0.9
"""Share of a piece's principals that the larger family holds."""

LEAST_EXCHANGES, LEAST_PIECES = 60, 4.0
"""Exchanges of a whole, and families among which they are spread evenly (inverse of the index of Simpson 1949), below which
nothing is said."""

INDEPENDENT = 0.5
"""Least number of pairs of pieces that stand in one exchange, as a share of those that independent pieces would make. The
texts of the features of one product stand in exchanges of their own."""


def wholes(
    members: Members, measured: Measured, principals: Principals, rule: Suspicion, accused: list[int]
) -> NDArray[np.int32]:
    """Whole that each family may be a piece of, -1 for none, numbered in order of their first family: int32[families].

    Suspects of much the same principals are one, and so is what asks for something and is sent by principals of a larger
    suspect. ``accused``: families whose evidence clears the bar by itself, which are no pieces.
    """
    free = np.ones(len(measured.total), bool)
    free[accused] = False
    pieces = np.flatnonzero(free & (measured.of(INTENT) >= ASKING * rule.objective))
    suspect = (free & asking(measured, rule))[pieces]
    kept = np.isin(members.stream, pieces)
    place = np.searchsorted(pieces, members.stream[kept]).astype(np.int64)
    exchanges = distinct(place << 32 | members.row[kept])
    sizes = np.bincount(exchanges >> 32, minlength=len(pieces))
    users = distinct(place << 32 | principals.of_row[members.row[kept]])
    root = _joined(users >> 32, users & 0xFFFFFFFF, principals.count, sizes, suspect, rule.alike)
    label = np.full(len(free), -1, np.int32)
    of_whole = root[exchanges >> 32]
    order = np.argsort(of_whole, kind="stable")
    bounds = np.searchsorted(of_whole[order], np.arange(len(root) + 1))
    count = 0
    for first in np.flatnonzero(np.bincount(root, minlength=len(root)) >= LEAST_PIECES).tolist():
        own = exchanges[order[bounds[first] : bounds[first + 1]]]
        if _spread(own >> 32, own & 0xFFFFFFFF):
            label[pieces[root == first]] = count
            count += 1
    return label


def of_senders(
    members: Members, whole: NDArray[np.int32], senders: NDArray[np.int64], of_row: NDArray[np.int32]
) -> Members:
    """The members less those of a whole's pieces by principals who take no part in it.

    ``whole``: int32[families], -1 for none; ``senders``: int64[k], whole << 32 | principal of those who do, in order;
    ``of_row``: int32[n], principal of each exchange.
    """
    inside = np.flatnonzero(whole[members.stream] >= 0)
    stream, row = members.stream[inside], members.row[inside]
    others = ~np.isin(whole[stream].astype(np.int64) << 32 | of_row[row], senders)
    return without(members, stream[others], row[others])


def refilled(
    members: Members,
    families: Families,
    whole: NDArray[np.int32],
    batches: Iterable[pa.RecordBatch],
    keep: int,
) -> Members:
    """The members where, of each whole, only what lies clear of all its pieces fills the slots of each.

    ``whole``: int32[families], -1 for none; ``batches``: those that the families were found in; ``keep``: fragments of one.
    """
    inside = np.flatnonzero(whole[members.stream] >= 0)
    key = members.row[inside].astype(np.int64) << 32 | whole[members.stream[inside]]
    order = np.argsort(key, kind="stable")
    key, stream = key[order], members.stream[inside[order]]
    once = distinct(key)
    as_one = replace(
        families, row=(once >> 32).astype(np.int32), family=(once & 0xFFFFFFFF).astype(np.int32),
        fragment_family=whole[families.fragment_family],
    )  # fmt: skip
    owner, fill = slots(batches, as_one, np.ones(int(whole.max(initial=-1)) + 1, bool), keep)
    starts, stops = np.searchsorted(key, once[owner]), np.searchsorted(key, once[owner], side="right")
    others = whole[members.fill_stream] < 0
    return members.with_fills(
        np.r_[members.fill_stream[others], stream[places(starts, stops)]],
        np.r_[members.fill_row[others], np.repeat((once[owner] >> 32).astype(np.int32), stops - starts)],
        np.r_[members.fill[others], np.repeat(fill, stops - starts)],
    )


def taken_in(
    groups: Groups, merged: Members, of_row: NDArray[np.int32], accused: list[int], whole: NDArray[np.int32]
) -> Groups | None:
    """The groups where a recombined template belongs to the campaign whose principals send it; None where none does.

    It is judged by itself, since together with others it would weigh less, but one hand is one campaign. ``merged`` is in
    order of stream; ``of_row``: int32[n], principal of each exchange; ``accused``: groups that would be called extraction.
    """
    owner: dict[int, int] = {}
    bounds = np.searchsorted(merged.stream, [[number, number + 1] for number in accused])
    senders = [distinct(of_row[merged.row[start:stop]]) for start, stop in bounds.reshape(-1, 2)]
    fixed = set(groups.judged[whole < 0].tolist())
    for place, number in enumerate(accused):
        if number not in fixed and number not in owner.values():
            for other in range(len(accused)):
                common = len(np.intersect1d(senders[place], senders[other], assume_unique=True))
                if other != place and accused[other] not in owner and common >= HELD * len(senders[place]):
                    owner[number] = accused[other]
                    break
    if not owner:
        return None
    core = groups.core & ~np.isin(groups.label, list(owner))
    first = {number: int(np.flatnonzero(groups.label == number)[0]) for number in range(groups.count)}
    root = {
        family: first[owner.get(number, number)]
        for family, number in enumerate(groups.label.tolist())
        if number >= 0
    }
    return numbered(root, core, groups.links)


def _joined(
    owner: NDArray[np.int64], user: NDArray[np.int64], principals: int, sizes: NDArray[np.int64],
    suspect: NDArray[np.bool_], alike: float,
) -> NDArray[np.int64]:  # fmt: skip
    """First piece of the whole that each piece is of; ``owner`` and ``user``: a piece and a principal of it, in order.

    Suspects of much the same principals are one, and what nine tenths of whose senders they have together is theirs; of
    several such, those with the fewest principals.
    """
    own = np.bincount(owner, minlength=len(sizes))
    bounds = np.searchsorted(owner, np.arange(len(sizes) + 1))
    forest = Forest(range(len(sizes)))
    by_user, starts = _by_user(owner[suspect[owner]], user[suspect[owner]], principals)
    for one in np.flatnonzero(suspect).tolist():
        mine = user[bounds[one] : bounds[one + 1]]
        others, common = np.unique(by_user[places(starts[mine], starts[mine + 1])], return_counts=True)
        for other in others[common >= alike * (own[others] + own[one] - common)].tolist():
            forest.join(one, other)
    root = np.array([forest.root(piece) for piece in range(len(sizes))], np.int64)
    total = np.bincount(root[suspect], sizes[suspect], len(sizes))
    held = distinct(root[owner[suspect[owner]]] << 32 | user[suspect[owner]])
    senders = np.bincount(held >> 32, minlength=len(sizes))
    by_user, starts = _by_user(held >> 32, held & 0xFFFFFFFF, principals)
    for piece in range(len(sizes)):
        mine = user[bounds[piece] : bounds[piece + 1]]
        others, common = np.unique(by_user[places(starts[mine], starts[mine + 1])], return_counts=True)
        holds = (common >= HELD * own[piece]) & (total[others] > sizes[piece]) & (others != root[piece])
        if holds.any():
            forest.join(piece, int(others[holds][np.argmin(senders[others[holds]])]))
    return np.array([forest.root(piece) for piece in range(len(sizes))], np.int64)


def _by_user(
    owner: NDArray[np.int64], user: NDArray[np.int64], principals: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Owners in order of their users, and where those of each user begin."""
    starts = np.r_[0, np.cumsum(np.bincount(user, minlength=principals))]
    return owner[np.argsort(user, kind="stable")], starts


def _spread(piece: NDArray[np.int64], row: NDArray[np.int64]) -> bool:
    """Whether exchanges are spread over many pieces, which stand in them independently of each other."""
    _, sizes = np.unique(piece, return_counts=True)
    _, held = np.unique(row, return_counts=True)
    total, squares = float(sizes.sum()), float((sizes * sizes.astype(float)).sum())
    if len(held) < LEAST_EXCHANGES or total * total < LEAST_PIECES * squares:
        return False
    expected = (total * total - squares) / len(held)
    return bool((held * (held - 1.0)).sum() >= INDEPENDENT * expected)
