"""The compiled loops of the sketch, over Arrow buffers: which message is new, and the fragments of a text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import pyarrow as pa

from stillwatch.hashing import siphash, siphash_of_runs
from stillwatch.objective.kernel import score
from stillwatch.segment import UNITS, WORD, segment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

FRAGMENT_UNITS = 60
WORD_UNITS = UNITS[WORD]
FRAGMENT_WORDS = -(-FRAGMENT_UNITS // WORD_UNITS)
WINNOW = 3
VOCABULARY_TAG = np.uint64(255)  # no role's: a word of the vocabulary never equals a fragment

_ROLE_CODES = {"system": 0, "developer": 0, "user": 1, "assistant": 2, "model": 2, "tool": 3, "function": 3}
_USER, _ASSISTANT, _TOOL, _UNKNOWN = 1, 2, 3, 1


def role_codes(roles: pa.Array) -> NDArray[np.uint8]:
    """Code of each of m roles: 0 system, 1 user (and whatever is not known), 2 assistant, 3 tool."""
    encoded = roles.fill_null("user").dictionary_encode()
    table = codes_of(encoded.dictionary.to_pylist() or ["user"])
    codes: NDArray[np.uint8] = table[encoded.indices.to_numpy()]
    return codes


def codes_of(names: Sequence[str]) -> NDArray[np.uint8]:
    """The same of a few roles that are at hand by name."""
    return np.array([_ROLE_CODES.get(name.lower(), _UNKNOWN) for name in names], np.uint8)


def list_bounds(lists: pa.Array) -> NDArray[np.int64]:
    """Bounds of n lists in ``lists.flatten()``: int64[n + 1], starting at 0; a null list is empty."""
    lengths = lists.value_lengths().fill_null(0).to_numpy()
    bounds: NDArray[np.int64] = np.r_[0, np.cumsum(lengths)].astype(np.int64)
    return bounds


@numba.njit(nogil=True, cache=True)
def select_parts(bounds: Any, roles: Any, opening: Any) -> Any:
    """Part of each of m messages: 0 system, 2 new, 3 earlier (where ``opening``), 9 none of these. uint8[m].

    New is what follows the last assistant turn. Assistant turns at the very end are prefill and new as well.
    """
    parts = np.full(len(roles), 9, np.uint8)
    for row in range(len(bounds) - 1):
        start, stop = bounds[row], bounds[row + 1]
        end = stop
        while end > start and roles[end - 1] == 2:
            end -= 1
        last = end - 1
        while last >= start and roles[last] != 2:
            last -= 1
        for at in range(start, stop):
            if roles[at] == 0:
                parts[at] = 0
            elif at > last:
                parts[at] = 2
            elif opening[row] and roles[at] == 1:
                parts[at] = 3
    return parts


_hash_fragments, _hash_words = siphash_of_runs(FRAGMENT_WORDS), siphash_of_runs(1)


@numba.njit(nogil=True, cache=True)
def _of_words(units: Any, count: int) -> bool:
    """Whether all tokens are words of an alphabet, as they mostly are."""
    others = 0
    for place in range(count):
        others += units[place] != WORD_UNITS
    return others == 0


@numba.njit(nogil=True, cache=True)
def windows(words: Any, units: Any, count: int, key0: Any, key1: Any, tag: Any, whole: bool, out: Any) -> int:
    """Hash of the shortest run worth a fragment at each word; a short text is one fragment where
    ``whole``."""
    found = 0
    stop = 0
    worth = 0
    if count >= FRAGMENT_WORDS and _of_words(units, count):
        found = count - FRAGMENT_WORDS + 1
        _hash_fragments(key0, key1, tag, words, found, out)
        return found
    for start in range(count):
        while stop < count and worth < FRAGMENT_UNITS:
            worth += units[stop]
            stop += 1
        if worth < FRAGMENT_UNITS:
            break
        out[found] = np.int64(siphash(key0, key1, tag, words, start, stop))
        found += 1
        worth -= units[start]
    if found == 0 and whole and count > 0:
        out[0] = np.int64(siphash(key0, key1, tag, words, 0, count))
        found = 1
    return found


@numba.njit(nogil=True, cache=True)
def _winnow(hashes: Any, count: int, out: Any, at: int) -> int:
    """Write the smallest of any ``WINNOW`` neighbouring hashes, each occurrence once; returns the new end."""
    if count == 0:
        return at
    width = min(WINNOW, count)
    previous = -1
    for start in range(count - width + 1):
        best = start
        for place in range(start + 1, start + width):
            if hashes[place] <= hashes[best]:
                best = place
        if best != previous:
            out[at] = hashes[best]
            at += 1
            previous = best
    return at


@numba.njit(nogil=True, cache=True)
def _smallest(values: Any, count: int, keep: int, out: Any, at: int) -> int:
    """Write the ``keep`` smallest distinct of ``values[:count]``; returns the new end."""
    ordered = np.sort(values[:count])
    written = 0
    for place in range(count):
        if written == keep:
            break
        if place == 0 or ordered[place] != ordered[place - 1]:
            out[at + written] = ordered[place]
            written += 1
    return at + written


@numba.njit(nogil=True, cache=True)
def _vocabulary(
    words: Any, units: Any, count: int, key0: Any, key1: Any, keep: int, hashes: Any, out: Any, at: int
) -> int:
    """Write the ``keep`` smallest keyed hashes of the text's distinct words (pairs, where there are no
    spaces). ``hashes``: room for ``count`` of them."""
    _hash_words(key0, key1, VOCABULARY_TAG, words, count, hashes)
    held = 0
    for place in range(count):
        value = hashes[place]
        if units[place] != WORD_UNITS:
            if place + 2 > count:
                break
            value = np.int64(siphash(key0, key1, VOCABULARY_TAG, words, place, place + 2))
        if held == keep and value >= out[at + held - 1]:
            continue
        spot = held
        while spot > 0 and out[at + spot - 1] > value:
            spot -= 1
        if spot > 0 and out[at + spot - 1] == value:
            continue
        held = min(held + 1, keep)
        for move in range(held - 1, spot, -1):
            out[at + move] = out[at + move - 1]
        out[at + spot] = value
    return at + held


@numba.njit(nogil=True, cache=True)
def _read(
    data: Any,
    start: int,
    stop: int,
    longest: int,
    classes: Any,
    fold: Any,
    words: Any,
    units: Any,
    opens: Any,
) -> int:
    """Segment the text ``data[start:stop]``, of one that is too long three quarters at its begin and the rest at its
    end; returns the words."""
    nowhere = np.empty(0, np.int64)
    if stop - start <= longest:
        return int(segment(data, start, stop, classes, fold, words, units, opens, nowhere))
    head = longest // 4 * 3
    count = segment(data, start, start + head, classes, fold, words, units, opens, nowhere)
    rest = stop - (longest - head)
    return int(
        count + segment(data, rest, stop, classes, fold, words[count:], units[count:], opens[count:], nowhere)
    )


@numba.njit(nogil=True, cache=True)
def _room(size: int, keep: int) -> int:
    """Fragments that a text of ``size`` bytes may give."""
    return min(size // 2 + 2, 2 * keep + 1) if keep > 0 else size // 2 + 2


@numba.njit(nogil=True, cache=True)
def _choose(runs: Any, found: int, keep: int, out: Any, at: int) -> int:
    """Write the fragments among the hashes of a text's runs; returns the new end."""
    if keep > 0 and found > 2 * keep:
        return int(_smallest(runs, found, keep, out, at))
    return int(_winnow(runs, found, out, at))


@numba.njit(nogil=True, cache=True)
def sketch_texts(
    data: Any, bounds: Any, tag: Any, keep: int, is_new: bool, scored: bool, longest: int, vocabulary: int,
    classes: Any, fold: Any, key0: Any, key1: Any, weights: Any, bias: Any,
) -> Any:  # fmt: skip
    """Fingerprint m texts, UTF-8 bytes ``data[bounds[i]:bounds[i + 1]]``.

    ``keep``: a text of more than twice so many runs gives just that many fragments; 0 to winnow without a
    bound. Returns fragments int64 and bounds int64[m + 1], objective int8[m, 11], vocabulary int64 and bounds
    int64[m + 1], hashes uint64[m], bytes not read int64[m].
    """
    texts = len(bounds) - 1
    most = 0
    total = 0
    for text in range(texts):
        size = min(bounds[text + 1] - bounds[text], longest)
        most = max(most, size)
        total += _room(size, keep)
    words, units = np.empty(most + 2, np.uint64), np.empty(most + 2, np.uint8)
    opens, runs = np.empty(most + 2, np.uint8), np.empty(most + 2, np.int64)
    fragments = np.empty(total, np.int64)
    fragment_bounds = np.zeros(texts + 1, np.int64)
    objective = np.zeros((texts, bias.shape[1]), np.int8)
    terms = np.empty(texts * vocabulary if is_new else 0, np.int64)
    term_bounds = np.zeros(texts + 1, np.int64)
    hashes = np.zeros(texts, np.uint64)
    truncated = np.zeros(texts, np.int64)
    for text in range(texts):
        start, stop = bounds[text], bounds[text + 1]
        truncated[text] = max(stop - start - longest, 0)
        count = _read(data, start, stop, longest, classes, fold, words, units, opens)
        found = windows(words, units, count, key0, key1, tag, not is_new, runs)
        fragment_bounds[text + 1] = _choose(runs, found, keep, fragments, fragment_bounds[text])
        if scored and count > 0:
            score(words, opens, count, weights, bias, objective[text])
        term_bounds[text + 1] = term_bounds[text]
        if is_new and vocabulary > 0:
            term_bounds[text + 1] = _vocabulary(
                words, units, count, key0, key1, vocabulary, runs, terms, term_bounds[text]
            )
        hashes[text] = siphash(key0, key1, tag, words, 0, count)
    end = fragment_bounds[texts]
    return (
        fragments[:end].copy(),
        fragment_bounds,
        objective,
        terms[: term_bounds[texts]].copy(),
        term_bounds,
        hashes,
        truncated,
    )


@numba.njit(nogil=True, cache=True)
def request_fragments(
    data: Any, bounds: Any, parts: Any, keep: int, longest: int, classes: Any, fold: Any, key0: Any, key1: Any
) -> Any:
    """Fragments alone, of the m texts of one request, each of the part ``parts[i]`` (uint8[m]). int64[f].

    ``keep``: as for ``sketch_texts``, for all parts but the new text.
    """
    most = 0
    total = 0
    for text in range(len(parts)):
        size = min(bounds[text + 1] - bounds[text], longest)
        most = max(most, size)
        total += _room(size, 0 if parts[text] == 2 else keep)
    words, units = np.empty(most + 2, np.uint64), np.empty(most + 2, np.uint8)
    opens, runs = np.empty(most + 2, np.uint8), np.empty(most + 2, np.int64)
    fragments = np.empty(total, np.int64)
    end = 0
    for text in range(len(parts)):
        is_new = parts[text] == 2
        count = _read(data, bounds[text], bounds[text + 1], longest, classes, fold, words, units, opens)
        tag = np.uint64(parts[text] + 1)
        found = windows(words, units, count, key0, key1, tag, not is_new, runs)
        end = _choose(runs, found, 0 if is_new else keep, fragments, end)
    return fragments[:end]
