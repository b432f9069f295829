"""Confidence limits of a rate that was counted (Clopper & Pearson, Biometrika 26, 1934)."""

from __future__ import annotations

import math

LEVEL = 0.95


def upper_limit(events: int, trials: int, level: float = LEVEL) -> float:
    """Largest rate at which ``events`` or fewer of ``trials`` still happen with a chance of 1 - ``level``.

    One-sided: the exact root p of sum(C(n, i) p^i (1 - p)^(n - i), i = 0 .. k) = 1 - level, which is the
    ``level`` quantile of Beta(k + 1, n - k). Without an event it is 1 - (1 - level)^(1 / n).

    >>> round(upper_limit(0, 20), 4), round(upper_limit(2, 50), 4), upper_limit(3, 3), upper_limit(0, 0)
    (0.1391, 0.1206, 1.0, 1.0)
    """
    if not 0 <= events <= trials:
        raise ValueError(f"{events} events in {trials} trials; give 0 <= events <= trials")
    if events == trials:
        return 1.0
    low, high = events / trials, 1.0
    for _ in range(80):
        middle = (low + high) / 2
        if at_most(events, trials, middle) > 1 - level:
            low = middle
        else:
            high = middle
    return high


def interval(events: int, trials: int, level: float = LEVEL) -> tuple[float, float]:
    """Two-sided limits of the rate, each missed with a chance of at most (1 - ``level``) / 2.

    >>> [round(limit, 4) for limit in interval(18, 20)]
    [0.683, 0.9877]
    """
    one_sided = (1 + level) / 2
    return 1 - upper_limit(trials - events, trials, one_sided), upper_limit(events, trials, one_sided)


def at_most(events: int, trials: int, rate: float) -> float:
    """P(at most ``events`` of ``trials``) at a rate strictly between 0 and 1."""
    return math.fsum(
        math.exp(
            math.lgamma(trials + 1)
            - math.lgamma(count + 1)
            - math.lgamma(trials - count + 1)
            + count * math.log(rate)
            + (trials - count) * math.log1p(-rate)
        )
        for count in range(events + 1)
    )
