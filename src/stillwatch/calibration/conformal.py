"""Split conformal prediction on the largest margin of a log (Vovk, Gammerman & Shafer 2005; Papadopoulos 2002).

Let S be the largest number of bits by which any innocent stream of a log clears the threshold. If the scores of
n clean logs and of the next one are exchangeable, the next one exceeds the k-th smallest of the n with
probability at most 1 - k / (n + 1), so k = ceil((n + 1)(1 - alpha)) bounds by alpha the chance that anybody
innocent is accused in it. The chance is over the n logs and the next one together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

NOTHING = -math.inf
"""Score of a log in which no stream passes the other gates of an accusation: no bar is too low for it."""


class CalibrationError(Exception):
    """A calibration that cannot be made, read or used; the text says why and what to do."""


def smallest_alpha(blocks: int) -> Fraction:
    """The smallest alpha that so many clean blocks support: 1 / (n + 1).

    >>> smallest_alpha(19)
    Fraction(1, 20)
    """
    return Fraction(1, blocks + 1)


def exactly(alpha: float) -> Fraction:
    """Alpha as the decimal number that was written, so that 0.05 of twenty is one and not a little more.

    Raises :class:`CalibrationError` for what is no probability.

    >>> exactly(0.05)
    Fraction(1, 20)
    """
    if not 0 < alpha < 1:  # as of nan
        raise CalibrationError(f"alpha is {alpha:g}; give a probability between 0 and 1, such as 0.05")
    return Fraction(str(alpha))


def rank(blocks: int, alpha: float) -> int:
    """Which of the scores, counted from the smallest, is the threshold: ceil((n + 1)(1 - alpha)).

    >>> rank(19, 0.05), rank(39, 0.05), rank(99, 0.07)
    (19, 38, 93)
    """
    exact = exactly(alpha)
    smallest = smallest_alpha(blocks)
    if exact < smallest:
        needed = math.ceil(1 / exact) - 1
        raise CalibrationError(
            f"{blocks:,} {'block does' if blocks == 1 else 'blocks do'} not support an alpha of {alpha:g}; the "
            f"smallest that they support is {rounded_up(smallest)} (1/{blocks + 1}). Give that, or at least "
            f"{needed:,} blocks of clean traffic"
        )
    return math.ceil((blocks + 1) * (1 - exact))


def quantile(scores: Sequence[float], alpha: float) -> float:
    """The score that a next log exceeds with probability at most alpha.

    >>> quantile([float(score) for score in range(19)], 0.1)
    17.0
    """
    return sorted(scores)[rank(len(scores), alpha) - 1]


def rounded_up(value: Fraction, digits: int = 4) -> str:
    """A positive fraction in decimals, never below it, so that what is printed may be given as alpha.

    >>> rounded_up(Fraction(1, 7)), rounded_up(Fraction(1, 20)), rounded_up(Fraction(1, 30001))
    ('0.1429', '0.05', '0.00003334')
    """
    while value * 10 ** (digits - 3) < 1:
        digits += 1
    scaled = math.ceil(value * 10**digits)
    return f"{scaled / 10**digits:.{digits}f}".rstrip("0").rstrip(".")
