"""When a campaign happened: its exchanges over time, and the principals that were replaced."""

from __future__ import annotations

import datetime as dt
from typing import TYPE_CHECKING, Any

import numpy as np

from stillwatch.distinct import distinct
from stillwatch.objective.classes import OBJECTIVES
from stillwatch.signals.succession import QUIET_US, SOON_US

if TYPE_CHECKING:
    from numpy.typing import NDArray

HOUR_S, DAY_S = 3600, 86_400
STEPS_S = (HOUR_S, 3 * HOUR_S, 6 * HOUR_S, DAY_S, 7 * DAY_S, 28 * DAY_S, 10**9)
MOST_STEPS = 96
"""Steps of a timeline at most."""

NAMED = 50
"""Score of an objective, percent, from which an exchange counts as one that asks for it."""


def iso(microseconds: int) -> str:
    """A time in ISO 8601, UTC."""
    return (dt.datetime(1970, 1, 1, tzinfo=dt.UTC) + dt.timedelta(microseconds=microseconds)).isoformat()


def by_objective(at_us: NDArray[np.int64], scores: NDArray[np.int8]) -> dict[str, Any]:
    """Exchanges a step by their strongest objective: ``step_seconds``, ``start`` and ``series``, the largest first.

    ``at_us``: int64[n], when each exchange was; ``scores``: int8[n, 11], percent.
    """
    span = (int(at_us.max()) - int(at_us.min())) // 1_000_000
    step = next(step for step in STEPS_S if span / step <= MOST_STEPS)
    start = int(at_us.min()) // 1_000_000 // step * step
    places = at_us // 1_000_000 // step - start // step
    best = np.where(np.max(scores, axis=1) >= NAMED, np.argmax(scores, axis=1), -1)
    series = []
    for index in distinct(best).tolist():
        counts = np.bincount(places[best == index], minlength=int(places.max()) + 1)
        name = OBJECTIVES[index] if index >= 0 else "no objective named"
        series.append({"name": name, "counts": counts.tolist()})
    ordered = sorted(series, key=lambda row: (-sum(row["counts"]), row["name"]))
    return {"step_seconds": step, "start": iso(start * 1_000_000), "series": ordered}


def replaced(
    first_us: NDArray[np.int64], last_us: NDArray[np.int64], opens_us: int, closes_us: int
) -> list[int]:
    """When principals began within six hours of another's end, each end used once, microseconds in order.

    ``first_us`` and ``last_us``: first and last exchange of each; ``opens_us`` and ``closes_us``: of the log. What lies
    at the edges of the log is no end and no beginning.

    >>> hour = 3_600_000_000
    >>> first, last = np.array([50, 92, 200]) * hour, np.array([90, 300, 310]) * hour
    >>> [at // hour for at in replaced(first, last, 0, 400 * hour)]
    [92]
    """
    begins = np.sort(first_us)
    begins = begins[(begins >= opens_us + QUIET_US) & (begins <= closes_us - QUIET_US - SOON_US)]
    ends, place, found = np.sort(last_us), 0, []
    ends = ends[ends <= closes_us - QUIET_US]
    for begin in begins.tolist():
        while place < len(ends) and ends[place] < begin - SOON_US:
            place += 1
        if place < len(ends) and ends[place] < begin:
            found.append(begin)
            place += 1
    return found
