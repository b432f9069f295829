"""Counter-based random draws: a value is a pure function of its key, whatever the order it is asked in.

The text of an exchange is needed again as history of the next one, maybe in another row group. With a
hash of (seed, position) in place of a stream of random numbers it is simply rendered again. The mixer is
SplitMix64 (Steele, Lea & Flood 2014, "Fast splittable pseudorandom number generators", figure 14).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Unsigned = npt.NDArray[np.uint64]
Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Flags = npt.NDArray[np.bool_]

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST = np.uint64(0xBF58476D1CE4E5B9)
_SECOND = np.uint64(0x94D049BB133111EB)


def mix(key: Unsigned) -> Unsigned:
    """Scramble 64-bit keys.

    >>> mix(np.array([1, 2], dtype=np.uint64)).tolist()
    [10451216379200822465, 10905525725756348110]
    """
    # Arrays wrap around in silence, scalars would warn: the key is made an array.
    value = np.atleast_1d(key) + _GOLDEN
    value ^= value >> np.uint64(30)
    value *= _FIRST
    value ^= value >> np.uint64(27)
    value *= _SECOND
    value ^= value >> np.uint64(31)
    return value.reshape(np.shape(key))


def combine(key: Unsigned, salt: Integers | int) -> Unsigned:
    """A new key out of a key and a position or purpose."""
    return mix(key ^ mix(np.asarray(salt).astype(np.uint64)))


def below(key: Unsigned, bound: Integers | int) -> Integers:
    """Integers in [0, bound), uniform up to the bias of a 32-bit multiply."""
    high = (key >> np.uint64(32)).astype(np.int64)
    return np.asarray((high * np.asarray(bound, dtype=np.int64)) >> 32)


def unit(key: Unsigned) -> Floats:
    """Floats in [0, 1)."""
    return np.asarray((key >> np.uint64(11)).astype(np.float64) * 2.0**-53)


def ragged(counts: Integers) -> tuple[Integers, Integers]:
    """Owner and position of every element of a ragged array with these row lengths.

    >>> owner, position = ragged(np.array([2, 0, 3]))
    >>> owner.tolist(), position.tolist()
    ([0, 0, 2, 2, 2], [0, 1, 0, 1, 2])
    """
    owner = np.repeat(np.arange(len(counts)), counts)
    starts = np.cumsum(counts) - counts
    return owner, np.arange(len(owner)) - np.repeat(starts, counts)


def ranks(uniform: Floats, count: Integers | int, skew: float) -> Integers:
    """Ranks in [0, count) that favour the low ones; skew 1 is uniform, 2 to 4 look like Zipf's law."""
    size = np.asarray(count)
    return np.asarray(np.minimum((uniform**skew * size).astype(np.int64), size - 1))


def key_of(*words: object) -> int:
    """A stable 63-bit key for a name, e.g. to derive independent generators from one seed."""
    import hashlib

    digest = hashlib.blake2b("\x1f".join(map(str, words)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1
