"""Fit the objective model: features chosen by support, weights by FTRL-Proximal on the best window of a text.

FTRL-Proximal: McMahan et al. 2013, "Ad click prediction: a view from the trenches", algorithm 1, once a
class. The gradient flows through the window that scores best (multiple-instance learning, Dietterich et al.
1997), and a share of the features is dropped at each visit so that no single phrase carries a class
(Srivastava et al. 2014).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numba
import numpy as np
from numpy.typing import NDArray

from stillwatch.objective.classes import OBJECTIVES
from stillwatch.objective.kernel import (
    CHUNKS_CAP,
    FEATURES,
    SLOT_BITS,
    WEIGHT_LIMIT,
    best_sums,
    ends_chunk,
    features,
)
from stillwatch.objective.model import pack
from stillwatch.segment import words_of

CLASSES = len(OBJECTIVES)
LENGTH_TOLL = 0.3
"""Logits that a text pays for each unit of the logarithm of its chunks."""
SHARPNESS = 1.25
"""Slopes are this many times those of a calibrated probability: a score says more clearly yes or no."""
LONGEST = 2500  # words of a training text; the rest of a longer one is left out


@dataclass(frozen=True, slots=True)
class Encoded:
    """Texts as arrays, end to end."""

    words: NDArray[np.uint64]
    """Hash of each word, ``uint64[T]``."""

    opens: NDArray[np.uint8]
    """1 where a sentence begins, ``uint8[T]``."""

    starts: NDArray[np.int64]
    """First word of each text and, last, T: ``int64[D + 1]``."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What the fit is told; chosen by leave-source-out, see the card."""

    epochs: int = 10
    rate: float = 0.5
    l1: float = 1.5
    l2: float = 30.0
    dropout: float = 0.35
    least_lines: int = 2
    """Lines that must hold a feature before it gets a weight."""
    least_none_lines: int = 20
    """The same for a feature that only none-lines hold."""
    seed: int = 20260224


class _Texts(NamedTuple):
    """What a pass over the texts reads; a tuple, since compiled code takes one."""

    starts: NDArray[np.int64]
    ends: NDArray[np.int64]
    first: NDArray[np.int64]
    ids: NDArray[np.int32]
    labels: NDArray[np.uint8]
    stakes: NDArray[np.float32]


class _State(NamedTuple):
    """State of FTRL-Proximal, ``float64[V + 1, 11]`` each; the last row is the intercept."""

    z: NDArray[np.float64]
    n: NDArray[np.float64]
    w: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class LineFacts:
    """What the choice of features knows of the lines."""

    of_text: NDArray[np.int64]
    """Line of each text, ``int64[D]``."""

    asking: NDArray[np.bool_]
    """Whether a line asks for any objective, ``bool[lines]``."""


@dataclass(frozen=True, slots=True)
class Fit:
    """Integer weights and their calibration."""

    slots: NDArray[np.uint32]
    tags: NDArray[np.uint16]
    weights: NDArray[np.int8]
    """``int8[n, 11]``."""
    unit: float
    """Logits a unit of weight, before calibration."""
    intercept: NDArray[np.float64]
    """Logits, ``[11]``, before calibration."""

    def bias(self, calibration: NDArray[np.float64] | None = None) -> NDArray[np.float32]:
        """``float32[3, 11]`` as the kernel wants it; ``calibration`` float64[2, 11] maps logits to logits."""
        slope, shift = (np.ones(CLASSES), np.zeros(CLASSES)) if calibration is None else calibration
        rows = [self.unit * slope, self.intercept * slope + shift, -LENGTH_TOLL * slope]
        return np.stack(rows).astype(np.float32)


def encode(texts: Sequence[str]) -> Encoded:
    """Words of every text, each cut at :data:`LONGEST`."""
    words, opens, starts = [], [], [0]
    for text in texts:
        hashes, _, opening = words_of(text)
        words.append(hashes[:LONGEST])
        opens.append(opening[:LONGEST])
        starts.append(starts[-1] + len(words[-1]))
    return Encoded(np.concatenate(words), np.concatenate(opens), np.array(starts, np.int64))


@numba.njit(cache=True)
def _hashes(words: Any, opens: Any, starts: Any) -> Any:
    """Feature hashes of each word, ``uint64[T, 5]``."""
    out = np.empty((len(words), FEATURES), np.uint64)
    begin = np.uint64(0x9E3779B97F4A7C15)
    for text in range(len(starts) - 1):
        a, b, c, d = begin, begin, begin, begin
        for at in range(starts[text], starts[text + 1]):
            if opens[at]:
                a, b, c, d = begin, begin, begin, begin
            for column, value in enumerate(features(a, b, c, d, words[at])):
                out[at, column] = value
            a, b, c, d = b, c, d, words[at]
    return out


@numba.njit(cache=True)
def _chunks(opens: Any, starts: Any) -> tuple[Any, Any]:
    """Ends of the chunks (word after the last), and the first chunk of each text."""
    ends = np.empty(len(opens) + 1, np.int64)
    first = np.zeros(len(starts), np.int64)
    count = 0
    for text in range(len(starts) - 1):
        length = 0
        stop = starts[text + 1]
        for at in range(starts[text], stop):
            length += 1
            if at + 1 == stop or ends_chunk(length, opens[at + 1] != 0):
                ends[count] = at + 1
                count += 1
                length = 0
        first[text + 1] = count
    return ends[:count].copy(), first


def select(
    hashes: NDArray[np.uint64],
    line_of_word: NDArray[np.int64],
    positive: NDArray[np.bool_],
    settings: Settings,
) -> NDArray[np.uint64]:
    """Features worth a weight, at most one a slot: those of most lines first. Sorted."""
    flat = hashes.ravel()
    line = np.repeat(line_of_word, FEATURES)
    order = np.lexsort((line, flat))
    flat, line = flat[order], line[order]
    fresh = np.ones(len(flat), bool)
    fresh[1:] = (flat[1:] != flat[:-1]) | (line[1:] != line[:-1])
    flat, line = flat[fresh], line[fresh]
    values, begin = np.unique(flat, return_index=True)
    total = np.diff(np.append(begin, len(flat)))
    asked = np.add.reduceat(positive[line].astype(np.int64), begin)
    kept = ((asked > 0) & (total >= settings.least_lines)) | (total >= settings.least_none_lines)
    values, rank = values[kept], (8 * asked + total)[kept]
    slots = values & np.uint64((1 << SLOT_BITS) - 1)
    order = np.lexsort((values, -rank, slots))
    chosen = np.ones(len(order), bool)
    chosen[1:] = slots[order][1:] != slots[order][:-1]
    return np.sort(values[order][chosen])


@numba.njit(inline="always", cache=True)
def _dropped(at: int, column: int, salt: int, level: int) -> bool:
    mixed = (np.uint64(at * FEATURES + column + 1) * np.uint64(0x9E3779B97F4A7C15)) ^ np.uint64(salt)
    mixed ^= mixed >> np.uint64(32)
    mixed *= np.uint64(0xD6E8FEB86659FD93)
    return (mixed >> np.uint64(48)) < level


@numba.njit(inline="always", cache=True)
def _best_window(sums: Any, chunks: int, index: int) -> tuple[float, int, int]:
    """Sum of the best window of a class, its first and its last chunk."""
    value, low, high = sums[0, index], 0, 0
    for chunk in range(1, chunks):
        if sums[chunk, index] > value:
            value, low, high = sums[chunk, index], chunk, chunk
        if sums[chunk, index] + sums[chunk - 1, index] > value:
            value, low, high = sums[chunk, index] + sums[chunk - 1, index], chunk - 1, chunk
    return value, low, high


@numba.njit(inline="always", cache=True)
def _sum_chunks(texts: Any, text: int, w: Any, drop: Any, sums: Any) -> int:
    """Sums of the weights of each chunk of ``text``, into ``sums`` [chunks, 11]; returns the chunks."""
    chunks = texts.first[text + 1] - texts.first[text]
    at = texts.starts[text]
    for chunk in range(chunks):
        sums[chunk, :] = 0.0
        while at < texts.ends[texts.first[text] + chunk]:
            for column in range(FEATURES):
                feature = texts.ids[at, column]
                if feature >= 0 and not _dropped(at, column, drop[0], drop[1]):
                    for index in range(CLASSES):
                        sums[chunk, index] += w[feature, index]
            at += 1
    return chunks


@numba.njit(nogil=True, cache=True)
def _epoch(order: Any, texts: Any, state: Any, rates: Any, drop: Any) -> None:
    """One pass over the texts in ``order``; ``state`` changes. ``drop``: salt and level of the dropout."""
    intercept = state.w.shape[0] - 1
    sums = np.zeros((LONGEST + 1, CLASSES))
    for text in order:
        chunks = _sum_chunks(texts, text, state.w, drop, sums)
        for index in range(CLASSES if chunks else 0):
            value, low, high = _best_window(sums, chunks, index)
            chance = 1.0 / (1.0 + np.exp(-value - state.w[intercept, index]))
            slope = texts.stakes[text, index] * (chance - texts.labels[text, index])
            if abs(slope) < 1e-4:
                continue
            begin = texts.starts[text] if low == 0 else texts.ends[texts.first[text] + low - 1]
            for place in range(begin, texts.ends[texts.first[text] + high]):
                for column in range(FEATURES):
                    feature = texts.ids[place, column]
                    if feature >= 0 and not _dropped(place, column, drop[0], drop[1]):
                        _update(state, feature, index, slope, rates)
            _update(state, intercept, index, slope, (rates[0], 0.0, 0.0))


@numba.njit(inline="always", cache=True)
def _update(state: Any, row: int, index: int, slope: float, rates: Any) -> None:
    """Algorithm 1 of McMahan et al. 2013 for one weight; ``rates``: alpha, lambda 1, lambda 2; beta is 1."""
    rate, l1, l2 = rates
    z, n, w = state.z, state.n, state.w
    sigma = (np.sqrt(n[row, index] + slope * slope) - np.sqrt(n[row, index])) / rate
    z[row, index] += slope - sigma * w[row, index]
    n[row, index] += slope * slope
    size = abs(z[row, index]) - l1
    if size <= 0.0:
        w[row, index] = 0.0
    else:
        w[row, index] = -np.sign(z[row, index]) * size / (l2 + (1.0 + np.sqrt(n[row, index])) / rate)


def fit(encoded: Encoded, lines: LineFacts, labels: NDArray[np.uint8], stakes: NDArray[np.float32],
        settings: Settings) -> Fit:  # fmt: skip
    """Weights for ``labels`` uint8[D, 11], each text and class weighed by ``stakes`` [D, 11]."""
    hashes = _hashes(encoded.words, encoded.opens, encoded.starts)
    lengths = np.diff(encoded.starts)
    chosen = select(hashes, np.repeat(lines.of_text, lengths), lines.asking, settings)
    where = np.searchsorted(chosen, hashes)
    where[where == len(chosen)] = 0
    ids = np.where(chosen[where] == hashes, where, -1).astype(np.int32)
    texts = _Texts(encoded.starts, *_chunks(encoded.opens, encoded.starts), ids, labels, stakes)
    state = _State(*(np.zeros((len(chosen) + 1, CLASSES)) for _ in range(3)))
    rng = np.random.default_rng(settings.seed)
    rates = (settings.rate, settings.l1, settings.l2)
    mean = np.zeros_like(state.w)
    averaged = max(1, settings.epochs // 2)
    for epoch in range(settings.epochs):
        order = rng.permutation(len(lengths))
        drop = (int(rng.integers(1, 1 << 62)), int(settings.dropout * 65536))
        _epoch(order, texts, state, rates, drop)
        if epoch >= settings.epochs - averaged:
            mean += state.w / averaged
    return quantise(chosen, mean * (1 - settings.dropout))


def quantise(chosen: NDArray[np.uint64], weights: NDArray[np.float64]) -> Fit:
    """Weights as small integers; the unit lets the 99.9th percentile of the magnitudes meet the limit."""
    body, intercept = weights[:-1], weights[-1]
    reach = np.quantile(np.abs(body[body != 0]), 0.999)
    unit = float(reach) / WEIGHT_LIMIT
    integers = np.clip(np.rint(body / unit), -WEIGHT_LIMIT, WEIGHT_LIMIT).astype(np.int8)
    kept = np.any(integers != 0, axis=1)
    values = chosen[kept]
    slots = (values & np.uint64((1 << SLOT_BITS) - 1)).astype(np.uint32)
    return Fit(slots, (values >> np.uint64(48)).astype(np.uint16), integers[kept], unit, intercept)


@numba.njit(nogil=True, cache=True)
def _sums(words: Any, opens: Any, starts: Any, weights: Any, out: Any) -> Any:
    """Sums of the best windows, into ``out`` int64[D, 11]; returns the chunks of each text, at least 1."""
    chunks = np.ones(len(starts) - 1, np.int64)
    for text in range(len(starts) - 1):
        begin, stop = starts[text], starts[text + 1]
        chunks[text] = max(
            1, best_sums(words[begin:stop], opens[begin:stop], stop - begin, weights, out[text])
        )
    return chunks


def logits(encoded: Encoded, result: Fit) -> NDArray[np.float64]:
    """Uncalibrated logits of each text by the shipped kernel, ``float64[D, 11]``."""
    out = np.zeros((len(encoded.starts) - 1, CLASSES), np.int64)
    table = pack(result.slots, result.tags, result.weights)
    chunks = _sums(encoded.words, encoded.opens, encoded.starts, table, out)
    toll = LENGTH_TOLL * np.log(np.minimum(chunks, CHUNKS_CAP))
    return out * result.unit + result.intercept - toll[:, None]


def calibrate(
    values: NDArray[np.float64], labels: NDArray[np.uint8], stakes: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Slope and shift a class by Platt's method (1999), Newton steps with a small ridge towards (1, 0)."""
    result = np.zeros((2, CLASSES))
    for index in range(CLASSES):
        x = np.stack([values[:, index], np.ones(len(values))], axis=1)
        beta = np.array([1.0, 0.0])
        for _ in range(50):
            chance = 1.0 / (1.0 + np.exp(-np.clip(x @ beta, -30, 30)))
            gradient = x.T @ (stakes[:, index] * (chance - labels[:, index])) + 1e-3 * (beta - [1.0, 0.0])
            curve = (x * (stakes[:, index] * chance * (1 - chance))[:, None]).T @ x + 1e-3 * np.eye(2)
            beta = beta - np.linalg.solve(curve, gradient)
        result[:, index] = beta
    return result


def digest(result: Fit, bias: NDArray[np.float32]) -> str:
    """Name of a fit: ten hexadecimal digits over its weights."""
    total = hashlib.sha256()
    for array in (result.slots, result.tags, result.weights, bias):
        total.update(np.ascontiguousarray(array).tobytes())
    return total.hexdigest()[:10]
