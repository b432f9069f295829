"""Join heavy fragments that stand side by side into families: union-find over fragments, never over
exchanges.

Two heavy fragments are neighbours where no other heavy fragment stands between them in one part of one
request. They belong to one template where they are neighbours in at least ``together`` principals and in at
least the share ``overlap`` of the exchanges that hold the more frequent of the two: so six wordings of every
sentence, recombined at will, still hang together, and a phrase that the whole world uses is not drawn in by
one template that uses it too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from stillwatch.families.fragments import Dictionary, count_distinct, count_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Joining:
    """When two neighbouring fragments belong to one template."""

    together: int = 3
    """Principals in which they must be neighbours."""

    overlap: float = 0.08
    """Share of the more frequent one's exchanges in which they must be neighbours; 1/12 allows twelve
    wordings."""


@dataclass(frozen=True, slots=True)
class Edges:
    """Pairs of neighbouring fragments that belong together, e of them."""

    left: NDArray[np.int32]
    right: NDArray[np.int32]
    exchanges: NDArray[np.int32]
    """int32[e]: exchanges in which they are neighbours."""


def neighbours(
    row: NDArray[np.int32], role: NDArray[np.uint8], code: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of neighbouring heavy fragments, ``smaller << 32 | larger``, and the place of each in the
    postings."""
    beside = np.flatnonzero((row[1:] == row[:-1]) & (role[1:] == role[:-1]) & (code[1:] != code[:-1]))
    left, right = code[beside].astype(np.int64), code[beside + 1].astype(np.int64)
    return np.minimum(left, right) << 32 | np.maximum(left, right), beside


def join(
    row: NDArray[np.int32],
    principal: NDArray[np.int32],
    role: NDArray[np.uint8],
    code: NDArray[np.int32],
    exchanges: NDArray[np.int32],
    rule: Joining,
) -> tuple[NDArray[np.int32], Edges]:
    """Component of each heavy fragment, named by its smallest code: int32[len(exchanges)]; and what joined them.

    The first four arrays are postings in order of row; ``exchanges`` counts the rows that hold each fragment.
    """
    pairs, places = neighbours(row, role, code)
    numbering = Dictionary()
    pair_codes = numbering.encode(pairs)
    together = count_distinct(pair_codes, principal[places], numbering.size, rule.together)
    shared = count_rows(pair_codes, row[places], numbering.size)
    names = numbering.values()
    left, right = (names >> 32).astype(np.int32), (names & 0xFFFFFFFF).astype(np.int32)
    most = np.maximum(exchanges[left], exchanges[right])
    strong = (together >= rule.together) & (shared >= rule.overlap * most)
    edges = Edges(left[strong], right[strong], shared[strong])
    return connected(edges.left, edges.right, len(exchanges)), edges


@numba.njit(inline="always", cache=True)
def _root(parent: Any, node: int) -> int:
    while parent[node] != node:
        parent[node] = parent[parent[node]]
        node = parent[node]
    return node


@numba.njit(nogil=True, cache=True)
def connected(left: Any, right: Any, nodes: int) -> Any:
    """Component of each of ``nodes`` nodes that the edges join, named by its smallest: int32[nodes]."""
    parent = np.arange(nodes).astype(np.int32)
    for edge in range(len(left)):
        first, second = _root(parent, left[edge]), _root(parent, right[edge])
        if first < second:
            parent[second] = first
        elif second < first:
            parent[first] = second
    for node in range(nodes):
        parent[node] = _root(parent, node)
    return parent
