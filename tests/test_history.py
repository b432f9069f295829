"""When a campaign happened."""

from __future__ import annotations

import numpy as np

from stillwatch.history import by_objective, replaced
from stillwatch.objective.classes import OBJECTIVES

HOUR = 3_600_000_000


def test_an_end_is_used_once_and_the_edges_of_the_log_are_none() -> None:
    last = np.array([100, 100, 399]) * HOUR
    opens, closes = 0, 400 * HOUR
    one, two, three = (np.array([103] * count) * HOUR for count in (1, 2, 3))
    assert replaced(one, last[:2], opens, closes) == [103 * HOUR]
    assert replaced(two, last[:2], opens, closes) == [103 * HOUR] * 2
    assert replaced(three, last[:2], opens, closes) == [103 * HOUR] * 2
    assert replaced(np.array([99, 120]) * HOUR, last[:2], opens, closes) == []  # before it, and too late
    assert replaced(np.array([399]) * HOUR, last, opens, closes) == []
    assert replaced(np.array([2]) * HOUR, np.array([1]) * HOUR, opens, closes) == []


def test_every_exchange_is_counted_in_its_step_and_objective() -> None:
    at = np.array([0, 1, 30, 30]) * HOUR
    scores = np.zeros((4, len(OBJECTIVES)), np.int8)
    scores[:2, 1], scores[2, 0] = 90, 60
    told = by_objective(at, scores)
    assert (told["step_seconds"], told["start"]) == (3600, "1970-01-01T00:00:00+00:00")
    counts = {row["name"]: row["counts"] for row in told["series"]}
    assert counts[OBJECTIVES[1]][:2] == [1, 1]
    assert counts[OBJECTIVES[0]][30] == counts["no objective named"][30] == 1
    assert sum(map(sum, counts.values())) == 4
    assert told["series"][0]["name"] == OBJECTIVES[1]
