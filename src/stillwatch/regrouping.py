"""Groups set right once they are measured: families that cost each other evidence are kept apart, and what a stronger
campaign explains is taken out."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from stillwatch.campaigns import TOUCHED, numbered
from stillwatch.memberships import merge_streams, without

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.campaigns import Groups
    from stillwatch.evidence import Measured
    from stillwatch.memberships import Members

LEFT = 0.3
"""Share of a group's exchanges that must be left where a stronger campaign explains the others."""


def split(
    groups: Groups, by_family: Measured, by_group: Measured, accused: tuple[list[int], list[int]], loss: float
) -> Groups | None:
    """Keep apart the families of groups in which joining cost evidence; None where it cost nothing.

    ``accused``: families and groups whose evidence clears the bar. Where it did of the strongest family and does not of the
    group, the others were no part of it.
    """
    families, cleared = set(accused[0]), set(accused[1])
    root: dict[int, int] = {}
    broken = False
    for number in range(groups.count):
        inside = np.flatnonzero(groups.label == number)
        core = inside[groups.core[inside]]
        best = int(core[np.argmax(by_family.total[core])])
        lost = by_group.total[number] < by_family.total[best] - loss
        apart = len(core) > 1 and bool(lost or (best in families and number not in cleared))
        broken |= apart
        for family in inside.tolist():
            root[family] = (family if groups.core[family] else best) if apart else int(inside[0])
    return numbered(root, groups.core, groups.links) if broken else None


def peel(groups: Groups, merged: Members, accused: list[int]) -> tuple[Groups, Members] | None:
    """Take from every group the exchanges that a stronger campaign explains; None where there are none.

    ``accused``: groups that would be called extraction, the strongest first. A public agent's prompt that a
    campaign hides behind, or a benchmark whose items it asks too, looks guilty only through that campaign's
    exchanges. What is left is measured again; a group of which less than ``LEFT`` is left belongs to the
    campaign.
    """
    claimed = np.zeros(int(merged.row.max(initial=-1)) + 1, bool)
    owner: dict[int, int] = {}
    streams, rows = [], []
    order = np.argsort(merged.stream, kind="stable")
    bounds = np.searchsorted(merged.stream[order], np.arange(groups.count + 1))
    every = [*accused, *(number for number in range(groups.count) if number not in set(accused))]
    own_rows = [merged.row[order[start:stop]] for start, stop in pairwise(bounds.tolist())]
    for number in every:
        own = own_rows[number]
        lost = own[claimed[own]]
        if len(lost) > TOUCHED * len(own):
            streams.append(np.full(len(lost), number, np.int32))
            rows.append(lost)
            if len(lost) > (1 - LEFT) * len(own):
                owner[number] = _owner_of(lost, own_rows, accused)
        elif number in accused:
            claimed[own] = True
    if not streams:
        return None
    left = without(merged, np.concatenate(streams), np.concatenate(rows))
    root = {
        int(family): owner.get(int(groups.label[family]), -1) for family in np.flatnonzero(groups.label >= 0)
    }
    first = {number: int(np.flatnonzero(groups.label == number)[0]) for number in range(groups.count)}
    core = groups.core & np.array([root.get(family, -1) < 0 for family in range(len(groups.label))])
    home = {family: first[own if own >= 0 else int(groups.label[family])] for family, own in root.items()}
    moved = numbered(home, core, groups.links)
    renumber = np.full(groups.count, -1, np.int32)
    for number in range(groups.count):
        if number not in owner:
            renumber[number] = moved.label[first[number]]
    return moved, merge_streams(left, renumber)


def _owner_of(rows: NDArray[np.int32], own_rows: list[NDArray[np.int32]], accused: list[int]) -> int:
    return max(accused, key=lambda number: (int(np.isin(rows, own_rows[number]).sum()), -number))
