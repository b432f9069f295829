"""At most so many requests a minute, for each name: the moments of those that were let through in the last minute."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence

MINUTE_S = 60.0


class Pace:
    """Counts what is let through, and says how long the rest must wait. What is refused is not counted.

    >>> pace = Pace()
    >>> [pace.wait_s([("a", 2)], now) for now in (0.0, 10.0, 20.0, 61.0)]
    [0.0, 0.0, 40.0, 0.0]
    """

    def __init__(self) -> None:
        self._moments: dict[Hashable, deque[float]] = {}

    def __len__(self) -> int:
        """Names with a request in the last minute, or since :meth:`forget`."""
        return len(self._moments)

    def wait_s(self, limits: Sequence[tuple[Hashable, int]], now_s: float) -> float:
        """Seconds until a request may go that comes under all of these limits; where it is 0.0 it is counted.

        ``limits``: a name and how many of it may go in any minute.
        """
        wait = 0.0
        for name, most in limits:
            moments = self._recent(name, now_s)
            if len(moments) >= most:
                wait = max(wait, moments[len(moments) - most] + MINUTE_S - now_s)
        if wait <= 0.0:
            for name, _ in limits:
                self._moments.setdefault(name, deque()).append(now_s)
            return 0.0
        return wait

    def forget(self, now_s: float) -> None:
        """Drop the names that had no request in the last minute."""
        for name in list(self._moments):
            if not self._recent(name, now_s):
                del self._moments[name]

    def _recent(self, name: Hashable, now_s: float) -> deque[float]:
        moments = self._moments.get(name)
        if moments is None:
            return deque()
        while moments and moments[0] <= now_s - MINUTE_S:
            moments.popleft()
        return moments
