"""Which fragments are heavy, that is, seen in many principals: a small table first, exact counts after.

Most fragments are seen once. A table of small bitmaps, filled while the log is read, drops nearly all of them
without a dictionary (linear counting: Whang, Vander-Zanden & Taylor 1990); what survives is counted exactly.
"""

from __future__ import annotations

from math import comb
from typing import TYPE_CHECKING, Any, NamedTuple

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stillwatch.fingerprint import EARLIER, NEW, ROLES

if TYPE_CHECKING:
    from numpy.typing import NDArray

BITS = 16  # of one bitmap


class Parts(NamedTuple):
    """The parts of the requests of n exchanges, p of them with m fragments, in order of row, then part, then place."""

    row_bounds: NDArray[np.int64]
    """int64[n + 1]: where the parts of each exchange begin and end."""

    role: NDArray[np.uint8]
    """uint8[p]: index into ``ROLES``."""

    bounds: NDArray[np.int64]
    """int64[p + 1]: where the fragments of each part begin and end."""

    values: NDArray[np.int64]
    """int64[m]: the fragments."""


def parts_of(batch: pa.RecordBatch) -> Parts:
    """The parts of a sketch batch; fragments are not copied."""
    parts = batch["parts"]
    flat = parts.flatten()
    roles = pc.index_in(pc.struct_field(flat, "role"), value_set=pa.array(ROLES)).fill_null(len(ROLES) - 1)
    lists = pc.struct_field(flat, "fragments")
    values = lists.flatten().to_numpy(zero_copy_only=False).astype(np.int64, copy=False)
    return Parts(_bounds(parts), roles.to_numpy().astype(np.uint8), _bounds(lists), values)


def _bounds(lists: pa.Array) -> NDArray[np.int64]:
    bounds = np.zeros(len(lists) + 1, np.int64)
    np.cumsum(lists.value_lengths().fill_null(0).to_numpy(), out=bounds[1:])
    return bounds


class Presence:
    """Bitmaps of the principals in which fragments were seen; merging is ``or``, so order does not matter.

    ``least``: principals from which a fragment is heavy. ``slots``: number of bitmaps, a power of two;
    fragments that share one only cost a later exact count. A heavy fragment is missed with a chance below
    1e-5.
    """

    def __init__(self, least: int, slots: int = 1 << 26) -> None:
        self.least = least
        self.table: NDArray[np.uint16] = np.zeros(slots, np.uint16)
        self._recent = np.zeros(1 << 18, np.uint64)

    def observe(self, batch: pa.RecordBatch) -> None:
        """Add the fragments of one sketch batch."""
        _observe(self.table, parts_of(batch), batch["principal"].to_numpy(), self._recent)

    def merge(self, other: Presence) -> None:
        """Take in what another reader of the same key saw; tables must be of one size."""
        if len(other.table) != len(self.table):
            raise ValueError(
                f"presence tables of {len(self.table)} and {len(other.table)} slots cannot be merged"
            )
        np.bitwise_or(self.table, other.table, out=self.table)

    def survivors(
        self,
        batch: pa.RecordBatch,
        principal: NDArray[np.int32],
        opening: NDArray[np.bool_],
        recent: NDArray[np.uint64],
        least: int,
    ) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Fragments of one sketch batch that may be heavy, and the principal of each.

        ``principal``: int32[n], of each exchange; ``opening``: bool[n], exchanges whose earlier turns count, since a
        conversation begins there. ``recent``: table of the lists that were passed on before for the same principal, and
        need not be again. ``least``: principals from which a fragment is heavy, once those of the whole log are known.
        """
        found: tuple[NDArray[np.int64], NDArray[np.int32]] = _survivors(
            self.table, _bits_needed(least), parts_of(batch), principal, opening, recent
        )
        return found


def _bits_needed(least: int) -> int:
    """Most bits that ``least`` principals set in all but one in 1e5 cases."""
    bits = 1
    while bits < least and comb(BITS, bits) * (bits / BITS) ** least < 1e-5:
        bits += 1
    return bits


@numba.njit(inline="always", cache=True)
def mixed(value: Any) -> Any:
    """Finaliser of SplitMix64 (Steele, Lea & Flood 2014): every bit of a uint64 spreads over all 64."""
    value = (value ^ (value >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    value = (value ^ (value >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return value ^ (value >> np.uint64(31))


@numba.njit(inline="always", cache=True)
def _repeated(parts: Any, part: int, principal: Any, recent: Any) -> Any:
    """Whether a system prompt or tool definition was noted for this principal lately; notes it if not."""
    if parts.role[part] >= NEW:
        return False
    name = mixed(np.uint64(principal) ^ np.uint64(0x9E3779B97F4A7C15))
    for at in range(parts.bounds[part], parts.bounds[part + 1]):
        name = mixed(name ^ np.uint64(parts.values[at]))
    slot = name & np.uint64(len(recent) - 1)
    if recent[slot] == name:
        return True
    recent[slot] = name
    return False


@numba.njit(nogil=True, cache=True)
def _observe(table: Any, parts: Any, principals: Any, recent: Any) -> None:
    mask = np.uint64(len(table) - 1)
    for row in range(len(parts.row_bounds) - 1):
        spread = np.uint64(principals[row]) * np.uint64(0x9E3779B97F4A7C15)
        bit = np.uint16(1) << np.uint16(spread >> np.uint64(60))
        for part in range(parts.row_bounds[row], parts.row_bounds[row + 1]):
            if _repeated(parts, part, principals[row], recent):
                continue
            for at in range(parts.bounds[part], parts.bounds[part + 1]):
                table[np.uint64(parts.values[at]) & mask] |= bit


@numba.njit(nogil=True, cache=True)
def _survivors(table: Any, bits: int, parts: Any, principals: Any, opening: Any, recent: Any) -> Any:
    mask = np.uint64(len(table) - 1)
    fragments, owners = np.empty(len(parts.values), np.int64), np.empty(len(parts.values), np.int32)
    count = 0
    for row in range(len(parts.row_bounds) - 1):
        for part in range(parts.row_bounds[row], parts.row_bounds[row + 1]):
            if (parts.role[part] == EARLIER and not opening[row]) or _repeated(
                parts, part, principals[row], recent
            ):
                continue
            for at in range(parts.bounds[part], parts.bounds[part + 1]):
                left = np.int64(table[np.uint64(parts.values[at]) & mask])
                held = 0
                while left and held < bits:
                    left &= left - 1
                    held += 1
                if held >= bits:
                    fragments[count] = parts.values[at]
                    owners[count] = principals[row]
                    count += 1
    return fragments[:count].copy(), owners[:count].copy()


class Dictionary:
    """Exact numbering of fragments: an open-addressed hash table that grows, codes in order of first
    sight."""

    def __init__(self, slots: int = 1 << 16) -> None:
        self._keys: NDArray[np.int64] = np.zeros(slots, np.int64)
        self._codes: NDArray[np.int32] = np.full(slots, -1, np.int32)
        self.size = 0

    def encode(self, values: NDArray[np.int64]) -> NDArray[np.int32]:
        """Code of each value, new values numbered on: int32[m]."""
        if 2 * (self.size + len(values)) > len(self._keys):
            self._grow(2 * (self.size + len(values)))
        codes = np.empty(len(values), np.int32)
        self.size = _encode(self._keys, self._codes, self.size, values, codes)
        return codes

    def find(self, values: NDArray[np.int64]) -> NDArray[np.int32]:
        """Code of each value, -1 where it was never encoded: int32[m]."""
        codes = np.empty(len(values), np.int32)
        _find(self._keys, self._codes, values, codes)
        return codes

    @property
    def slots(self) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """The hash table itself, for compiled loops: value and code of each slot, the code -1 where it is free."""
        return self._keys, self._codes

    def values(self) -> NDArray[np.int64]:
        """All values in order of code: int64[size]."""
        held = self._codes >= 0
        result = np.empty(self.size, np.int64)
        result[self._codes[held]] = self._keys[held]
        return result

    def _grow(self, needed: int) -> None:
        values = self.values()
        slots = 1 << int(needed).bit_length()
        self._keys, self._codes = np.zeros(slots, np.int64), np.full(slots, -1, np.int32)
        _encode(self._keys, self._codes, 0, values, np.empty(len(values), np.int32))


@numba.njit(nogil=True, cache=True)
def slot_of(keys: Any, codes: Any, value: Any) -> Any:
    """Slot of a ``Dictionary`` in which a value stands, or where it would."""
    mask = np.uint64(len(keys) - 1)
    mixed = np.uint64(value) * np.uint64(0x9E3779B97F4A7C15)
    slot = (mixed ^ (mixed >> np.uint64(32))) & mask
    while codes[slot] >= 0 and keys[slot] != value:
        slot = (slot + np.uint64(1)) & mask
    return slot


@numba.njit(nogil=True, cache=True)
def _encode(keys: Any, codes: Any, size: int, values: Any, out: Any) -> int:
    for at in range(len(values)):
        slot = slot_of(keys, codes, values[at])
        if codes[slot] < 0:
            keys[slot] = values[at]
            codes[slot] = size
            size += 1
        out[at] = codes[slot]
    return size


@numba.njit(nogil=True, cache=True)
def _find(keys: Any, codes: Any, values: Any, out: Any) -> None:
    for at in range(len(values)):
        out[at] = codes[slot_of(keys, codes, values[at])]


class Owners:
    """Distinct owners of each code, counted exactly up to ``most``; order does not matter."""

    def __init__(self, most: int) -> None:
        self._seen: NDArray[np.int32] = np.full((1 << 16, most), -1, np.int32)
        self._counts: NDArray[np.int32] = np.zeros(1 << 16, np.int32)

    def add(self, codes: NDArray[np.int32], owners: NDArray[np.int32], size: int) -> None:
        """Add an owner to each of some codes, all below ``size``."""
        if size > len(self._counts):
            more = (1 << size.bit_length()) - len(self._counts)
            self._counts = np.concatenate([self._counts, np.zeros(more, np.int32)])
            self._seen = np.concatenate([self._seen, np.full((more, self._seen.shape[1]), -1, np.int32)])
        _add_owners(codes, owners, self._counts, self._seen)

    def counts(self, size: int) -> NDArray[np.int32]:
        """Distinct owners of the codes below ``size``."""
        return self._counts[:size]


@numba.njit(nogil=True, cache=True)
def _add_owners(codes: Any, owners: Any, counts: Any, seen: Any) -> None:
    most = seen.shape[1]
    for at in range(len(codes)):
        code, owner = codes[at], owners[at]
        held = counts[code]
        if held == most:
            continue
        known = False
        for place in range(held):
            if seen[code, place] == owner:
                known = True
                break
        if not known:
            seen[code, held] = owner
            counts[code] = held + 1
