"""Which fragments are heavy, that is, seen in many principals: a small table first, exact counts after.

Most fragments are seen once. A table of small bitmaps, filled while the log is read, drops nearly all of them
without a dictionary (linear counting: Whang, Vander-Zanden & Taylor 1990); what survives is counted exactly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from math import comb
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from stillwatch.fingerprint import EARLIER, ROLES

if TYPE_CHECKING:
    from numpy.typing import NDArray

BITS = 16  # of one bitmap


@dataclass(frozen=True, slots=True)
class Postings:
    """Fragments in the order of the log: m entries, in order of row, then part, then place."""

    row: NDArray[np.int32]
    principal: NDArray[np.int32]
    role: NDArray[np.uint8]
    fragment: NDArray[np.int64]


def flat_parts(batch: pa.RecordBatch) -> tuple[NDArray[np.int64], NDArray[np.uint8], NDArray[np.int64]]:
    """Row in the batch, role code and value of each fragment of a sketch batch; three arrays of one
    length."""
    parts = batch["parts"]
    flat = parts.flatten()
    row_of_part = np.repeat(np.arange(batch.num_rows), parts.value_lengths().fill_null(0).to_numpy())
    roles = pc.index_in(pc.struct_field(flat, "role"), value_set=pa.array(ROLES)).fill_null(len(ROLES) - 1)
    lists = pc.struct_field(flat, "fragments")
    lengths = lists.value_lengths().fill_null(0).to_numpy()
    values = lists.flatten().to_numpy(zero_copy_only=False).astype(np.int64, copy=False)
    return np.repeat(row_of_part, lengths), np.repeat(roles.to_numpy().astype(np.uint8), lengths), values


class Presence:
    """Bitmaps of the principals in which fragments were seen; merging is ``or``, so order does not matter.

    ``least``: principals from which a fragment is heavy. ``slots``: number of bitmaps, a power of two;
    fragments that share one only cost a later exact count. A heavy fragment is missed with a chance below
    1e-5.
    """

    def __init__(self, least: int, slots: int = 1 << 26) -> None:
        self.least = least
        self.table: NDArray[np.uint16] = np.zeros(slots, np.uint16)
        self.bits = _bits_needed(least)

    def observe(self, batch: pa.RecordBatch) -> None:
        """Add the fragments of one sketch batch."""
        rows, _, values = flat_parts(batch)
        _observe(self.table, values, batch["principal"].to_numpy()[rows])

    def merge(self, other: Presence) -> None:
        """Take in what another reader of the same key saw; tables must be of one size."""
        if len(other.table) != len(self.table):
            raise ValueError(
                f"presence tables of {len(self.table)} and {len(other.table)} slots cannot be merged"
            )
        np.bitwise_or(self.table, other.table, out=self.table)

    def survivors(
        self, batches: Iterable[pa.RecordBatch], principals: NDArray[np.int64], opening: NDArray[np.bool_]
    ) -> Iterator[Postings]:
        """Fragments that may be heavy, a ``Postings`` a batch.

        ``principals``: all of the log, sorted. ``opening``: rows whose earlier turns count, since a
        conversation begins there.
        """
        start = 0
        for batch in batches:
            rows, roles, values = flat_parts(batch)
            kept = _may_be_heavy(self.table, values, self.bits)
            kept &= (roles != EARLIER) | opening[rows + start]
            codes = np.searchsorted(principals, batch["principal"].to_numpy()).astype(np.int32)
            rows = rows[kept]
            yield Postings((rows + start).astype(np.int32), codes[rows], roles[kept], values[kept])
            start += batch.num_rows


def _bits_needed(least: int) -> int:
    """Most bits that ``least`` principals set in all but one in 1e5 cases."""
    bits = 1
    while bits < least and comb(BITS, bits) * (bits / BITS) ** least < 1e-5:
        bits += 1
    return bits


@numba.njit(nogil=True, cache=True)
def _observe(table: Any, fragments: Any, principals: Any) -> None:
    mask = np.uint64(len(table) - 1)
    for at in range(len(fragments)):
        slot = np.uint64(fragments[at]) & mask
        mixed = np.uint64(principals[at]) * np.uint64(0x9E3779B97F4A7C15)
        table[slot] |= np.uint16(1) << np.uint16(mixed >> np.uint64(60))


@numba.njit(nogil=True, cache=True)
def _may_be_heavy(table: Any, fragments: Any, bits: int) -> Any:
    mask = np.uint64(len(table) - 1)
    kept = np.empty(len(fragments), np.bool_)
    for at in range(len(fragments)):
        left = np.int64(table[np.uint64(fragments[at]) & mask])
        count = 0
        while left and count < bits:
            left &= left - 1
            count += 1
        kept[at] = count >= bits
    return kept


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
def _slot(keys: Any, codes: Any, value: Any) -> Any:
    mask = np.uint64(len(keys) - 1)
    mixed = np.uint64(value) * np.uint64(0x9E3779B97F4A7C15)
    slot = (mixed ^ (mixed >> np.uint64(32))) & mask
    while codes[slot] >= 0 and keys[slot] != value:
        slot = (slot + np.uint64(1)) & mask
    return slot


@numba.njit(nogil=True, cache=True)
def _encode(keys: Any, codes: Any, size: int, values: Any, out: Any) -> int:
    for at in range(len(values)):
        slot = _slot(keys, codes, values[at])
        if codes[slot] < 0:
            keys[slot] = values[at]
            codes[slot] = size
            size += 1
        out[at] = codes[slot]
    return size


@numba.njit(nogil=True, cache=True)
def _find(keys: Any, codes: Any, values: Any, out: Any) -> None:
    for at in range(len(values)):
        out[at] = codes[_slot(keys, codes, values[at])]


@numba.njit(nogil=True, cache=True)
def count_distinct(codes: Any, owners: Any, size: int, most: int) -> Any:
    """Distinct ``owners`` of each code, counted exactly up to ``most``: int32[size]; order does not
    matter."""
    counts = np.zeros(size, np.int32)
    seen = np.full((size, most), -1, np.int32)
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
    return counts


@numba.njit(nogil=True, cache=True)
def count_rows(codes: Any, rows: Any, size: int) -> Any:
    """Rows that hold each code, where entries come in order of row: int32[size]."""
    counts = np.zeros(size, np.int32)
    last = np.full(size, -1, np.int32)
    for at in range(len(codes)):
        if last[codes[at]] != rows[at]:
            last[codes[at]] = rows[at]
            counts[codes[at]] += 1
    return counts
