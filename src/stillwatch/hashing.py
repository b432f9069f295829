"""SipHash-1-3, compiled: the keyed hash of fragments, traits and principals.

Aumasson & Bernstein 2012, "SipHash: a fast short-input PRF"; one compression and three finalisation rounds,
as in the hash tables of Rust and CPython. Input is a run of 64-bit words instead of bytes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import pyarrow as pa

if TYPE_CHECKING:
    from numpy.typing import NDArray


@numba.njit(inline="always", cache=True)
def _rotate(value: np.uint64, bits: int) -> np.uint64:
    return (value << np.uint64(bits)) | (value >> np.uint64(64 - bits))


@numba.njit(inline="always", cache=True)
def _round(v0: Any, v1: Any, v2: Any, v3: Any) -> Any:
    v0 += v1
    v1 = _rotate(v1, 13) ^ v0
    v0 = _rotate(v0, 32)
    v2 += v3
    v3 = _rotate(v3, 16) ^ v2
    v0 += v3
    v3 = _rotate(v3, 21) ^ v0
    v2 += v1
    v1 = _rotate(v1, 17) ^ v2
    v2 = _rotate(v2, 32)
    return v0, v1, v2, v3


_FINISH = 3
"""Rounds after the last word, in which nothing is taken in."""


@numba.njit(nogil=True, cache=True)
def _begun(key0: Any, key1: Any, tag: Any) -> Any:
    """The state when ``tag`` was taken in."""
    v0, v1 = key0 ^ np.uint64(0x736F6D6570736575), key1 ^ np.uint64(0x646F72616E646F6D)
    v2, v3 = key0 ^ np.uint64(0x6C7967656E657261), key1 ^ np.uint64(0x7465646279746573)
    v0, v1, v2, v3 = _round(v0, v1, v2, v3 ^ tag)
    return v0 ^ tag, v1, v2, v3


@numba.njit(nogil=True, cache=True)
def siphash(key0: Any, key1: Any, tag: Any, words: Any, start: int, stop: int) -> Any:
    """Keyed hash of ``tag`` and ``words[start:stop]`` (uint64) as uint64."""
    v0, v1, v2, v3 = _begun(key0, key1, tag)
    count = stop - start
    for step in range(count + 1 + _FINISH):  # one loop for all: a round is compiled once, and not six times
        word = np.uint64(0)
        if step < count:
            word = words[start + step]
        elif step == count:
            word = np.uint64(count) << np.uint64(56)
        elif step == count + 1:
            v2 ^= np.uint64(0xFF)
        v0, v1, v2, v3 = _round(v0, v1, v2, v3 ^ word)
        v0 ^= word
    return v0 ^ v1 ^ v2 ^ v3


def siphash_of_runs(width: int) -> Any:
    """A compiled loop over the first ``runs`` runs of ``width`` words: ``siphash`` of each, into ``out`` (int64).

    The width is known when it is compiled, so that several runs are hashed at a time.
    """
    length = width << 56

    @numba.njit(nogil=True, cache=True)
    def hash_runs(key0: Any, key1: Any, tag: Any, words: Any, runs: int, out: Any) -> None:
        begun0, begun1, begun2, begun3 = _begun(key0, key1, tag)
        for start in range(runs):
            v0, v1, v2, v3 = begun0, begun1, begun2, begun3
            for step in range(width + 1 + _FINISH):
                word = np.uint64(0)
                if step < width:
                    word = words[start + step]
                elif step == width:
                    word = np.uint64(length)
                elif step == width + 1:
                    v2 ^= np.uint64(0xFF)
                v0, v1, v2, v3 = _round(v0, v1, v2, v3 ^ word)
                v0 ^= word
            out[start] = np.int64(v0 ^ v1 ^ v2 ^ v3)

    return hash_runs


@numba.njit(nogil=True, cache=True)
def _hash_strings(key0: Any, key1: Any, tag: Any, data: Any, offsets: Any, out: Any) -> None:
    scratch = np.empty(1, np.uint64)
    scratch = scratch[:0]
    for row in range(len(offsets) - 1):
        start, stop = offsets[row], offsets[row + 1]
        size = (stop - start + 7) // 8 + 1
        if size > len(scratch):
            scratch = np.empty(size * 2, np.uint64)
        scratch[:size] = 0
        scratch[size - 1] = np.uint64(stop - start)
        for at in range(start, stop):
            place = at - start
            scratch[place >> 3] |= np.uint64(data[at]) << np.uint64((place & 7) * 8)
        out[row] = np.int64(siphash(key0, key1, tag, scratch, 0, size))


def string_buffers(texts: pa.Array) -> tuple[NDArray[np.int64], NDArray[np.uint8]]:
    """Offsets (int64[n + 1]) and bytes of a string array of n values without nulls; no text is copied."""
    texts = texts.cast(pa.large_string())
    _, offsets, data = texts.buffers()
    bounds = (
        np.frombuffer(offsets, dtype=np.int64)[texts.offset : texts.offset + len(texts) + 1]
        if len(texts)
        else np.zeros(1, np.int64)
    )
    return bounds, np.frombuffer(data, dtype=np.uint8) if data is not None else np.empty(0, np.uint8)


def hash_strings(texts: pa.Array, pair: tuple[int, int], tag: int = 0) -> NDArray[np.int64]:
    """Keyed hash of each string of n values; a null hashes like the empty string. Returns int64[n]."""
    offsets, data = string_buffers(texts.fill_null("") if texts.null_count else texts)
    out = np.empty(len(texts), np.int64)
    _hash_strings(np.uint64(pair[0]), np.uint64(pair[1]), np.uint64(tag), data, offsets, out)
    return out
