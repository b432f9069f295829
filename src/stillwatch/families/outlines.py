"""Outlines: the heavy fragments of one part of a request, in order. Exchanges with the same outline are counted, not
repeated.

Clients send one system prompt with every request, and a template leaves the same heavy fragments whatever fills its
slots, so there are far fewer outlines than exchanges. Everything that is asked of exchanges with heavy fragments is
asked of outlines, each weighing as many exchanges, by as many principals, as have it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import pyarrow as pa

from stillwatch.families.fragments import Dictionary, mixed, parts_of, slot_of
from stillwatch.fingerprint import EARLIER, NEW

if TYPE_CHECKING:
    from numpy.typing import NDArray

KINDS = NEW + 1
"""Outlines of an exchange at most: of its system prompt, its tools, and its new and earlier text."""

BREAK = -1
"""Stands between new and earlier text: what lies on either side is not side by side."""


@dataclass(frozen=True, slots=True)
class Outlines:
    """The o outlines of a log of n exchanges, k fragments in all."""

    bounds: NDArray[np.int64]
    """int64[o + 1]: where the fragments of each begin and end."""

    fragment: NDArray[np.int32]
    """int32[k]: number of each heavy fragment, or ``BREAK``."""

    role: NDArray[np.uint8]
    """uint8[o]: part of the request; earlier text counts as new."""

    of_row: NDArray[np.int32]
    """int32[n, KINDS]: outlines of each exchange by role, -1 for none."""

    times: NDArray[np.int64]
    """int64[o]: exchanges that have it."""

    user_bounds: NDArray[np.int64]
    """int64[o + 1]: where the principals of each begin and end."""

    user: NDArray[np.int32]
    """Principals of each outline, each once."""

    user_times: NDArray[np.int32]
    """Exchanges of each of them that have it."""

    def postings(self) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
        """Outline and number of each heavy fragment, in order of outline."""
        outline = np.repeat(np.arange(len(self.role), dtype=np.int32), np.diff(self.bounds))
        held = self.fragment != BREAK
        return outline[held], self.fragment[held]


class _Store:
    """Distinct outlines, numbered in order of first sight."""

    def __init__(self) -> None:
        self.slots: NDArray[np.int32] = np.full(1 << 16, -1, np.int32)
        self.hashes: NDArray[np.uint64] = np.empty(1 << 15, np.uint64)
        self.bounds: NDArray[np.int64] = np.zeros((1 << 15) + 1, np.int64)
        self.role: NDArray[np.uint8] = np.empty(1 << 15, np.uint8)
        self.fragment: NDArray[np.int32] = np.empty(1 << 18, np.int32)
        self.size = 0

    def reserve(self, outlines: int, fragments: int) -> None:
        """Make room for so many more."""
        needed = self.size + outlines
        if needed > len(self.hashes):
            room = 1 << needed.bit_length()
            self.hashes, self.role = np.resize(self.hashes, room), np.resize(self.role, room)
            self.bounds = np.resize(self.bounds, room + 1)
            self.slots = np.full(2 * room, -1, np.int32)
            _place(self.slots, self.hashes, self.size)
        held = int(self.bounds[self.size]) + fragments
        if held > len(self.fragment):
            self.fragment = np.resize(self.fragment, 1 << held.bit_length())


def outline(
    batches: Iterable[pa.RecordBatch],
    heavy: Dictionary,
    of_row: NDArray[np.int32],
    opening: NDArray[np.bool_],
    principals: int,
) -> Outlines:
    """Outlines of sketches, made of the fragments that ``heavy`` numbers.

    ``of_row``: int32[n], principal of each exchange; ``opening``: bool[n], those whose earlier turns count.
    """
    store, known = _Store(), _Recent()
    found = np.full((len(of_row), KINDS), -1, np.int32)
    start = 0
    for batch in batches:
        parts, rows = parts_of(batch), slice(start, start + batch.num_rows)
        store.reserve(len(parts.role), len(parts.values) + len(parts.role))
        store.size = _outline(
            parts, opening[rows], *heavy.slots, store.slots, store.hashes, store.bounds, store.role,
            store.fragment, store.size, known.hash, known.outline, found[rows],
        )  # fmt: skip
        start += batch.num_rows
    size = store.size
    bounds = store.bounds[: size + 1].copy()
    return Outlines(
        bounds, store.fragment[: bounds[-1]].copy(), store.role[:size].copy(), found,
        *_users(found, of_row, size, principals),
    )  # fmt: skip


class _Recent:
    """Which outline a list of fragments had when it was last seen; spares the look at each fragment."""

    def __init__(self, slots: int = 1 << 16) -> None:
        self.hash = np.zeros(slots, np.uint64)
        self.outline = np.full(slots, -1, np.int32)


@numba.njit(nogil=True, cache=True)
def _place(slots: Any, hashes: Any, size: int) -> None:
    mask = np.uint64(len(slots) - 1)
    for place in range(size):
        slot = hashes[place] & mask
        while slots[slot] >= 0:
            slot = (slot + np.uint64(1)) & mask
        slots[slot] = place


@numba.njit(nogil=True, cache=True)
def _outline(
    parts: Any, opening: Any, keys: Any, codes: Any, slots: Any, hashes: Any, bounds: Any, role: Any,
    fragment: Any, size: int, recent_hash: Any, recent: Any, out: Any,
) -> int:  # fmt: skip
    """Number the outlines of a batch's exchanges into ``out``; returns how many outlines are known then."""
    recent_mask = np.uint64(len(recent) - 1)
    for row in range(len(parts.row_bounds) - 1):
        part = parts.row_bounds[row]
        last = parts.row_bounds[row + 1]
        while part < last:
            kind = min(parts.role[part], NEW)
            whole = np.uint64(0)
            if kind != NEW:
                whole = np.uint64(kind + 1)
                for at in range(parts.bounds[part], parts.bounds[part + 1]):
                    whole = mixed(whole ^ np.uint64(parts.values[at]))
                if recent_hash[whole & recent_mask] == whole:
                    out[row, kind] = recent[whole & recent_mask]
                    part += 1
                    continue
            start = bounds[size]
            end = start
            name = np.uint64(kind + 1)
            first = part
            while part < last and min(parts.role[part], NEW) == kind and (part == first or kind == NEW):
                if parts.role[part] == EARLIER and not opening[row]:
                    part += 1
                    continue
                if part > first and end > start:
                    fragment[end] = BREAK
                    end += 1
                    name = mixed(name ^ np.uint64(BREAK))
                for at in range(parts.bounds[part], parts.bounds[part + 1]):
                    code = codes[slot_of(keys, codes, parts.values[at])]
                    if code >= 0:
                        fragment[end] = code
                        end += 1
                        name = mixed(name ^ np.uint64(code))
                part += 1
            found, size = _find(slots, hashes, bounds, role, fragment, size, name, kind, end)
            out[row, kind] = found
            if kind != NEW:
                recent_hash[whole & recent_mask] = whole
                recent[whole & recent_mask] = found
    return size


@numba.njit(nogil=True, cache=True)
def _find(
    slots: Any, hashes: Any, bounds: Any, role: Any, fragment: Any, size: int, name: Any, kind: int, end: int
) -> Any:
    """Number of the outline that stands at the end of ``fragment``, new or known; and how many there are then."""
    start = bounds[size]
    if end > start and fragment[end - 1] == BREAK:
        end -= 1
    if end == start:
        return -1, size
    mask = np.uint64(len(slots) - 1)
    slot = name & mask
    while slots[slot] >= 0:
        known = slots[slot]
        if hashes[known] == name and role[known] == kind and bounds[known + 1] - bounds[known] == end - start:
            same = True
            for place in range(end - start):
                if fragment[bounds[known] + place] != fragment[start + place]:
                    same = False
                    break
            if same:
                return known, size
        slot = (slot + np.uint64(1)) & mask
    slots[slot] = size
    hashes[size] = name
    role[size] = kind
    bounds[size + 1] = end
    return size, size + 1


@numba.njit(nogil=True, cache=True)
def _users(found: Any, of_row: Any, size: int, principals: int) -> Any:
    """Exchanges of each outline, and its principals with the exchanges of each."""
    times = np.zeros(size, np.int64)
    for row in range(len(found)):
        for kind in range(KINDS):
            if found[row, kind] >= 0:
                times[found[row, kind]] += 1
    starts = np.zeros(size + 1, np.int64)
    starts[1:] = np.cumsum(times)
    place = starts[:-1].copy()
    holders = np.empty(starts[-1], np.int32)
    for row in range(len(found)):
        for kind in range(KINDS):
            own = found[row, kind]
            if own >= 0:
                holders[place[own]] = of_row[row]
                place[own] += 1
    bounds = np.zeros(size + 1, np.int64)
    counts = np.zeros(len(holders), np.int32)
    place_of = np.full(principals, -1, np.int64)
    end = 0
    for own in range(size):
        begin = end
        for at in range(starts[own], starts[own + 1]):
            holder = holders[at]
            spot = place_of[holder]
            if spot < begin:
                spot = end
                place_of[holder] = end
                holders[end] = holder
                counts[end] = 0
                end += 1
            counts[spot] += 1
        bounds[own + 1] = end
    return times, bounds, holders[:end].copy(), counts[:end].copy()
