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

from stillwatch.families.fragments import Dictionary
from stillwatch.families.outlines import BREAK, Outlines

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
    exchanges: NDArray[np.int64]
    """int64[e]: exchanges in which they are neighbours."""


def neighbours(outlines: Outlines) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """Pairs of neighbouring heavy fragments, ``smaller << 32 | larger``, and the outline of each, in order of it."""
    code = outlines.fragment
    outline = np.repeat(np.arange(len(outlines.role), dtype=np.int32), np.diff(outlines.bounds))
    beside = (
        (outline[1:] == outline[:-1]) & (code[1:] != code[:-1]) & (code[1:] != BREAK) & (code[:-1] != BREAK)
    )
    left, right = code[:-1][beside].astype(np.int64), code[1:][beside].astype(np.int64)
    return np.minimum(left, right) << 32 | np.maximum(left, right), outline[:-1][beside]


def join(outlines: Outlines, exchanges: NDArray[np.int64], rule: Joining) -> tuple[NDArray[np.int32], Edges]:
    """Component of each heavy fragment, named by its smallest code: int32[len(exchanges)]; and what joined them.

    ``exchanges`` counts those that hold each fragment.
    """
    pairs, outline = neighbours(outlines)
    numbering = Dictionary()
    pair_codes = numbering.encode(pairs)
    together = count_users(pair_codes, outline, outlines, numbering.size, rule.together)
    shared = count_exchanges(pair_codes, outline, outlines, numbering.size)
    names = numbering.values()
    left, right = (names >> 32).astype(np.int32), (names & 0xFFFFFFFF).astype(np.int32)
    most = np.maximum(exchanges[left], exchanges[right])
    strong = (together >= rule.together) & (shared >= rule.overlap * most)
    edges = Edges(left[strong], right[strong], shared[strong])
    return connected(edges.left, edges.right, len(exchanges)), edges


def count_exchanges(
    codes: NDArray[np.int32], outline: NDArray[np.int32], outlines: Outlines, size: int
) -> NDArray[np.int64]:
    """Exchanges that hold each code, where entries come in order of outline: int64[size]."""
    counts: NDArray[np.int64] = _count_exchanges(codes, outline, outlines.times, size)
    return counts


def count_users(
    codes: NDArray[np.int32], outline: NDArray[np.int32], outlines: Outlines, size: int, most: int
) -> NDArray[np.int32]:
    """Distinct principals of each code, counted exactly up to ``most``: int32[size]; order does not matter."""
    counts: NDArray[np.int32] = _count_users(codes, outline, outlines.user_bounds, outlines.user, size, most)
    return counts


@numba.njit(nogil=True, cache=True)
def _count_exchanges(codes: Any, outline: Any, times: Any, size: int) -> Any:
    counts = np.zeros(size, np.int64)
    last = np.full(size, -1, np.int32)
    for at in range(len(codes)):
        if last[codes[at]] != outline[at]:
            last[codes[at]] = outline[at]
            counts[codes[at]] += times[outline[at]]
    return counts


@numba.njit(nogil=True, cache=True)
def _count_users(codes: Any, outline: Any, bounds: Any, user: Any, size: int, most: int) -> Any:
    counts = np.zeros(size, np.int32)
    seen = np.full((size, most), -1, np.int32)
    for at in range(len(codes)):
        code = codes[at]
        for holder in range(bounds[outline[at]], bounds[outline[at] + 1]):
            held = counts[code]
            if held == most:
                break
            known = False
            for place in range(held):
                if seen[code, place] == user[holder]:
                    known = True
                    break
            if not known:
                seen[code, held] = user[holder]
                counts[code] = held + 1
    return counts


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
