"""The compiled loops of the tables of streams: entries brought into the order of their streams, and counted."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np

from stillwatch.families.fragments import mixed


@numba.njit(nogil=True, cache=True)
def by_stream(stream: Any, value: Any, owner: Any, streams: int) -> Any:
    """Entries in order of stream: where those of each begin, int64[streams + 1], value and owner."""
    bounds = np.zeros(streams + 1, np.int64)
    for at in range(len(stream)):
        bounds[stream[at] + 1] += 1
    bounds = np.cumsum(bounds)
    place = bounds[:-1].copy()
    values, owners = np.empty(len(value), value.dtype), np.empty(len(owner), np.int32)
    for at in range(len(stream)):
        spot = place[stream[at]]
        values[spot], owners[spot] = value[at], owner[at]
        place[stream[at]] += 1
    return bounds, values, owners


@numba.njit(nogil=True, cache=True)
def copy_lists(values: Any, begins: Any, bounds: Any, out: Any) -> None:
    """Write lists that begin at ``begins`` of ``values`` to where ``bounds`` has each of them begin and end."""
    for one in range(len(begins)):
        for at in range(bounds[one + 1] - bounds[one]):
            out[bounds[one] + at] = values[begins[one] + at]


@numba.njit(nogil=True, cache=True)
def number_cells(bounds: Any, member: Any, owner: Any, hour: Any, model: Any) -> Any:
    """Cell of each member, int32[m], and a member of each cell, int32[c]; cells are of one stream, owner, hour and model.

    ``bounds`` and ``member``: the members of each stream; the other arrays are by member.
    """
    most = 0
    for stream in range(len(bounds) - 1):
        most = max(most, bounds[stream + 1] - bounds[stream])
    room = 16
    while room < 2 * most:
        room *= 2
    slots, used = np.full(room, -1, np.int32), np.empty(most, np.int64)
    cell, opener = np.empty(len(member), np.int32), np.empty(len(member), np.int32)
    count = 0
    for stream in range(len(bounds) - 1):
        size = 16
        while size < 2 * (bounds[stream + 1] - bounds[stream]):
            size *= 2
        mask, opened = np.uint64(size - 1), count
        for place in range(bounds[stream], bounds[stream + 1]):
            at = member[place]
            slot = (
                mixed(
                    np.uint64(np.uint32(owner[at])) << np.uint64(32)
                    ^ np.uint64(np.uint32(hour[at])) << np.uint64(8)
                    ^ np.uint64(np.uint32(model[at]))
                )
                & mask
            )
            while slots[slot] >= 0:
                known = opener[slots[slot]]
                if owner[known] == owner[at] and hour[known] == hour[at] and model[known] == model[at]:
                    break
                slot = (slot + np.uint64(1)) & mask
            if slots[slot] < 0:
                slots[slot] = count
                used[count - opened] = slot
                opener[count] = at
                count += 1
            cell[at] = slots[slot]
        for place in range(count - opened):
            slots[used[place]] = -1
    return cell, opener[:count].copy()


@numba.njit(nogil=True, cache=True)
def total(cell: Any, values: Any, cells: int) -> Any:
    """Sum of the values of each cell: int64[cells]."""
    sums = np.zeros(cells, np.int64)
    for at in range(len(cell)):
        sums[cell[at]] += values[at]
    return sums


@numba.njit(nogil=True, cache=True)
def first_and_last(cell: Any, values: Any, opener: Any) -> Any:
    """Least and greatest of the values of each cell."""
    least = values[opener]
    most = least.copy()
    for at in range(len(cell)):
        own = cell[at]
        least[own] = min(least[own], values[at])
        most[own] = max(most[own], values[at])
    return least, most


@numba.njit(nogil=True, cache=True)
def count_returning(bounds: Any, owners: Any, principals: int, several: int) -> Any:
    """Principals of each stream, and those of them with ``several`` exchanges in it or more: int64[streams] each."""
    held = np.zeros(principals, np.int64)
    crowd, returned = np.zeros(len(bounds) - 1, np.int64), np.zeros(len(bounds) - 1, np.int64)
    for stream in range(len(bounds) - 1):
        for at in range(bounds[stream], bounds[stream + 1]):
            held[owners[at]] += 1
            crowd[stream] += held[owners[at]] == 1
            returned[stream] += held[owners[at]] == several
        for at in range(bounds[stream], bounds[stream + 1]):
            held[owners[at]] = 0
    return crowd, returned


@numba.njit(nogil=True, cache=True)
def own_pairs(bounds: Any, owners: Any, principals: int) -> Any:
    """Ordered pairs of exchanges of one principal in each stream: int64[streams]."""
    held = np.zeros(principals, np.int64)
    pairs = np.zeros(len(bounds) - 1, np.int64)
    for stream in range(len(bounds) - 1):
        for at in range(bounds[stream], bounds[stream + 1]):
            pairs[stream] += 2 * held[owners[at]]
            held[owners[at]] += 1
        for at in range(bounds[stream], bounds[stream + 1]):
            held[owners[at]] = 0
    return pairs


@numba.njit(nogil=True, cache=True)
def count_owners(bounds: Any, owners: Any) -> Any:
    """Distinct owners of each stream, ascending, and the entries of each: where those of each stream begin, owner, entries.

    ``owners``: of entries in order of stream; they are brought into order in their place.
    """
    starts = np.zeros(len(bounds), np.int64)
    count = 0
    for stream in range(len(bounds) - 1):
        owners[bounds[stream] : bounds[stream + 1]].sort()
        for at in range(bounds[stream], bounds[stream + 1]):
            count += at == bounds[stream] or owners[at] != owners[at - 1]
        starts[stream + 1] = count
    found, entries = np.empty(count, np.int32), np.zeros(count, np.int64)
    count = -1
    for stream in range(len(bounds) - 1):
        for at in range(bounds[stream], bounds[stream + 1]):
            if at == bounds[stream] or owners[at] != owners[at - 1]:
                count += 1
                found[count] = owners[at]
            entries[count] += 1
    return starts, found, entries


@numba.njit(nogil=True, cache=True)
def count_fills(bounds: Any, values: Any, owners: Any, principals: int, most: Any) -> Any:
    """Stream, value, entries and distinct owners of each pair of stream and value.

    ``most``: int64[streams], entries above which a pair is left out, unless it has just one.
    """
    size = len(values)
    streams, found = np.empty(size, np.int32), np.empty(size, np.int64)
    entries, distinct = np.zeros(size, np.int64), np.zeros(size, np.int64)
    last = np.full(principals, -1, np.int64)
    end, pair = 0, 0
    for stream in range(len(bounds) - 1):
        start, stop = bounds[stream], bounds[stream + 1]
        order = np.argsort(values[start:stop])
        place = 0
        while place < stop - start:
            value = values[start + order[place]]
            count, own = 0, 0
            while place < stop - start and values[start + order[place]] == value:
                owner = owners[start + order[place]]
                if last[owner] != pair:
                    last[owner] = pair
                    own += 1
                count += 1
                place += 1
            pair += 1
            if count == 1 or count <= most[stream]:
                streams[end], found[end], entries[end], distinct[end] = stream, value, count, own
                end += 1
    return streams[:end].copy(), found[:end].copy(), entries[:end].copy(), distinct[:end].copy()


@numba.njit(nogil=True, cache=True)
def _number_words(
    own: Any, starts: Any, values: Any, slots: Any, keys: Any, used: Any, counts: Any, codes: Any
) -> int:
    """Number the values of some members: their ``codes`` in order, the value of each code in ``keys``, how often it occurs
    in ``counts``; returns how many there are. ``slots`` are -1 before and after, ``used`` is for them."""
    width, size, place = 0, 0, 0
    for one in own:
        width += starts[one + 1] - starts[one]
    room = 16
    while room < 2 * width:
        room *= 2
    mask = np.uint64(room - 1)
    for one in own:
        for word in range(starts[one], starts[one + 1]):
            slot = mixed(np.uint64(values[word])) & mask
            while slots[slot] >= 0 and keys[slots[slot]] != values[word]:
                slot = (slot + np.uint64(1)) & mask
            if slots[slot] < 0:
                slots[slot] = size
                keys[size], used[size], counts[size] = values[word], slot, 0
                size += 1
            codes[place] = slots[slot]
            counts[slots[slot]] += 1
            place += 1
    for code in range(size):
        slots[used[code]] = -1
    return size


@numba.njit(nogil=True, cache=True)
def count_words(
    bounds: Any, member: Any, starts: Any, values: Any, owners: Any, principals: int, most: Any
) -> Any:
    """Stream and value of each of their pairs, its entries, and the ordered pairs of those of one owner, for values of two
    to ``most`` entries in the stream.

    ``bounds`` and ``member``: the members of each stream; ``starts``: where the values of each member begin and end;
    ``owners``: of each member; ``most``: int64[streams].
    """
    widest = 0
    for stream in range(len(bounds) - 1):
        width = 0
        for at in range(bounds[stream], bounds[stream + 1]):
            width += starts[member[at] + 1] - starts[member[at]]
        widest = max(widest, width)
    room = 16
    while room < 2 * widest:
        room *= 2
    slots, held = np.full(room, -1, np.int32), np.zeros(principals, np.int64)
    keys, used, counts = np.empty(widest, np.int64), np.empty(widest, np.int64), np.empty(widest, np.int64)
    codes, holders = np.empty(widest, np.int32), np.empty(widest, np.int32)
    streams, found = np.empty(len(values) // 2, np.int32), np.empty(len(values) // 2, np.int64)
    entries, own_pairs = np.empty(len(values) // 2, np.int64), np.zeros(len(values) // 2, np.int64)
    end = 0
    for stream in range(len(bounds) - 1):
        own = member[bounds[stream] : bounds[stream + 1]]
        size = _number_words(own, starts, values, slots, keys, used, counts, codes)
        ends = np.zeros(size + 1, np.int64)
        for code in range(size):
            ends[code + 1] = ends[code] + (counts[code] if 2 <= counts[code] <= most[stream] else 0)
        place = 0
        for one in own:
            for code in codes[place : place + starts[one + 1] - starts[one]]:
                if ends[code] < ends[code + 1]:
                    counts[code] -= 1
                    holders[ends[code] + counts[code]] = owners[one]
            place += starts[one + 1] - starts[one]
        for code in range(size):
            if ends[code] == ends[code + 1]:
                continue
            for at in range(ends[code], ends[code + 1]):
                own_pairs[end] += 2 * held[holders[at]]
                held[holders[at]] += 1
            for at in range(ends[code], ends[code + 1]):
                held[holders[at]] = 0
            streams[end], found[end], entries[end] = stream, keys[code], ends[code + 1] - ends[code]
            end += 1
    return streams[:end].copy(), found[:end].copy(), entries[:end].copy(), own_pairs[:end].copy()
