"""Score one text for every objective, compiled: sums of small integer weights over windows of words.

A text is cut into chunks: a sentence, joined to the next one while it is shorter than :data:`SHORT` words,
and cut where it grows longer than :data:`LONG`. A window is a chunk, or two neighbours. A class's score is
that of the best window (multiple-instance learning: Dietterich, Lathrop & Lozano-Pérez 1997), so an
instruction of a sentence or two is not diluted by what surrounds it. A window's value is the sum of the
weights of its words, word pairs, pairs with one word between, triples and runs of five.

The sum needs three integer additions a feature: the eleven weights of a feature lie in three 64-bit words,
four lanes of 16 bits each. A tag tells whether the slot is the feature's own, so that a feature that was never
trained adds nothing, instead of the weight of another one in its slot (Weinberger et al. 2009 accept that
collision). Tags lie apart: most features were never trained, and the tags alone stay in the nearest cache.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numba
import numpy as np

SHORT, LONG = 6, 32
"""Words: a chunk shorter than SHORT takes in the next sentence; one of LONG words ends."""

FEATURES = 5
"""Features a word opens: itself, the pair, the pair with one word between, the triple, the run of five."""

WEIGHT_LIMIT = 32767 // (2 * LONG * FEATURES)
"""Largest weight in magnitude: two chunks of it in every feature still fit a lane of 16 bits."""

CHUNKS_CAP = 32
"""More chunks give more chances to score by accident, and count against a score up to this many."""

SLOT_BITS = 18
_SLOT_MASK = np.uint64((1 << SLOT_BITS) - 1)
_START = np.uint64(0x9E3779B97F4A7C15)  # stands for "before the sentence"
_PAIR = np.uint64(0xD6E8FEB86659FD93)
_TRIPLE = np.uint64(0xA0761D6478BD642F)
_SKIP = np.uint64(0xE7037ED1A0B428DB)
_FOUR = np.uint64(0x8EBC6AF09C88C6E3)
_FIVE = np.uint64(0x589965CC75374CC3)


class Packed(NamedTuple):
    """Weights in the form that is read fastest, one slot a row; see :func:`stillwatch.objective.model.pack`."""

    tags: Any
    """uint16[2^18]: high bits of the hash of the feature that has the slot; 0 where none has it."""

    lanes: Any
    """int64[2^18, 3]: its eleven weights, 16 bits each; 0 where none has it."""


@numba.njit(inline="always", cache=True)
def features(first: Any, second: Any, third: Any, fourth: Any, fifth: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Hashes of the features that the word ``fifth`` opens after the four before it, all uint64."""
    pair = fifth ^ (fourth * _PAIR)
    triple = pair ^ (third * _TRIPLE)
    return fifth, pair, fifth ^ (third * _SKIP), triple, triple ^ (second * _FOUR) ^ (first * _FIVE)


@numba.njit(inline="always", cache=True)
def ends_chunk(length: int, next_opens: bool) -> bool:
    """Whether a chunk of ``length`` words ends here; ``next_opens``: the next word begins a sentence."""
    return length >= LONG or (next_opens and length >= SHORT)


@numba.njit(inline="always", cache=True)
def _raise_lanes(packed: Any, lanes: int, at: int, best: Any) -> None:
    for lane in range(lanes):
        low = ((packed + 0x8000) & 0xFFFF) - 0x8000
        packed = (packed - low) >> 16
        best[at + lane] = max(best[at + lane], low)


@numba.njit(nogil=True, cache=True)
def best_sums(words: Any, opens: Any, count: int, weights: Any, best: Any) -> int:
    """Sum of weights of each class's best window, into ``best`` int64[11]; returns the number of chunks.

    The other arguments are those of :func:`score`.
    """
    best[:11] = -32768
    first, second, third, fourth = _START, _START, _START, _START
    now_a, now_b, now_c = np.int64(0), np.int64(0), np.int64(0)
    last_a, last_b, last_c = np.int64(0), np.int64(0), np.int64(0)
    length, chunks = 0, 0
    for at in range(count):
        word = words[at]
        if opens[at]:
            first, second, third, fourth = _START, _START, _START, _START
        for feature in features(first, second, third, fourth, word):
            slot = np.int64(feature & _SLOT_MASK)
            if weights.tags[slot] == feature >> np.uint64(48):
                now_a += weights.lanes[slot, 0]
                now_b += weights.lanes[slot, 1]
                now_c += weights.lanes[slot, 2]
        first, second, third, fourth = second, third, fourth, word
        length += 1
        if at + 1 == count or ends_chunk(length, opens[at + 1] != 0):
            _raise_lanes(now_a, 4, 0, best)
            _raise_lanes(now_b, 4, 4, best)
            _raise_lanes(now_c, 3, 8, best)
            _raise_lanes(now_a + last_a, 4, 0, best)
            _raise_lanes(now_b + last_b, 4, 4, best)
            _raise_lanes(now_c + last_c, 3, 8, best)
            last_a, last_b, last_c = now_a, now_b, now_c
            now_a, now_b, now_c = np.int64(0), np.int64(0), np.int64(0)
            length = 0
            chunks += 1
    return chunks


@numba.njit(nogil=True, cache=True)
def score(words: Any, opens: Any, count: int, weights: Any, bias: Any, out: Any) -> None:
    """Write how surely the text asks for each objective, in percent.

    ``words`` uint64[>= count], ``opens`` uint8[>= count]: as :func:`stillwatch.segment.segment` writes them;
    ``weights``: :class:`Packed`; ``bias`` float32[3, 11]: slope, intercept and
    weight of the logarithm of the chunks (at most :data:`CHUNKS_CAP`) of each class;
    ``out`` int8[11]: result, 0 to 100.
    """
    if count == 0:
        out[:11] = 0
        return
    best = np.empty(11, np.int64)
    chances = np.log(min(best_sums(words, opens, count, weights, best), CHUNKS_CAP))
    for index in range(11):
        chance = 1.0 / (
            1.0 + np.exp(-(bias[0, index] * best[index] + bias[1, index] + bias[2, index] * chances))
        )
        out[index] = np.int8(100.0 * chance + 0.5)
