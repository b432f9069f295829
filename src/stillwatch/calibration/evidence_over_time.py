"""The e-process of a live run: what evidence is worth that was looked at again and again.

Let S be the largest number of bits by which any innocent stream of a stretch of traffic lies beyond the threshold at any
look at it, minus infinity where none passes the other gates of an accusation. If S and the scores s_1 .. s_n of n clean
stretches, looked at alike, are exchangeable, then

    E = (n + 1) 2^S / (2^S + sum_i 2^s_i)

has a mean of at most 1, whatever the scores are: the n + 1 values that one gets where each of them takes the place of S
add up to n + 1 (conformal e-values: Vovk 2020, *Conformal e-prediction*; Balinsky & Balinsky 2024; Gauthier, Bach & Jordan
2025).

E rises with S. The bits that one innocent stream has at a look are at most S, so its E at that look is at most that of the
stretch, at every look and for all streams at once. Given what was seen by a look, the expectation of the stretch's E
is a martingale of mean at most 1, and no stream's E lies above it in expectation; what lies below one variable of mean 1
at all times is an e-process (Ramdas, Grünwald, Vovk & Shafer 2023): its mean is at most 1 whenever one stops, and
the chance that it ever reaches 1 / alpha, for any innocent stream at any look, is at most alpha (Markov). Nothing is
spent over streams or looks: the largest was taken before.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from fractions import Fraction

from stillwatch.calibration.conformal import NOTHING, CalibrationError, exactly, rounded_up


def e_value(bits: float, clean: Sequence[float]) -> float:
    """What so many bits beyond the threshold, at any look, are worth against n clean stretches.

    >>> e_value(NOTHING, [0.0, 1.0]), e_value(3.0, [0.0] * 24 + [3.0]), e_value(0.0, [NOTHING] * 3)
    (0.0, 5.2, 4.0)
    """
    if bits == NOTHING:
        return 0.0
    return (len(clean) + 1) / (1 + math.fsum(_power(own - bits) for own in clean))


def least_bits(clean: Sequence[float], alpha: float) -> float:
    """Bits beyond the threshold from which the e-value is 1 / ``alpha``; minus infinity where any number is.

    >>> least_bits([1.0, 1.0, 2.0] + [NOTHING] * 36, 0.05), least_bits([NOTHING] * 20, 0.05)
    (3.0, -inf)
    """
    exact = exactly(alpha)
    room = (len(clean) + 1) * exact - 1
    if room <= 0:
        needed = math.floor(1 / exact)
        smallest = rounded_up(Fraction(1, len(clean) + 1))
        raise CalibrationError(
            f"{len(clean):,} {'block does' if len(clean) == 1 else 'blocks do'} not support an alpha of {alpha:g} over "
            f"all looks, only one above {smallest}; give that, or at least {needed:,} blocks of clean traffic"
        )
    highest = max(clean, default=NOTHING)
    if highest == NOTHING:
        return NOTHING
    total = math.fsum(_power(own - highest) for own in clean)
    return highest + math.log2(total) - math.log2(float(room))


def _power(bits: float) -> float:
    """Two to the power of ``bits``, infinite where that is too much for a float."""
    return math.inf if bits > 1023 else 2.0**bits
