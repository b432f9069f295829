"""When people and programs call a model, drawn from shapes that real serving traces showed.

``traces.json`` is made by ``scripts/fit_traces``; it holds no text and no times of real requests.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from importlib import resources
from typing import Any

import numpy as np

from stillwatch.arena.draws import Flags, Floats, Integers, Unsigned, combine, unit

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR


@dataclass(frozen=True, slots=True)
class Habits:
    """How each person (or program) of a world spends the day; arrays of one length."""

    utc_offset: Floats
    """Hours that local time is ahead of UTC."""
    chronotype: Floats
    """Hours that the person's day is later than the average day."""
    active_share: Floats
    """Share of days on which the person calls at all."""
    weekend: Floats
    """Activity at weekends relative to weekdays."""


def _inverse(quantiles: Floats, uniform: Floats) -> Floats:
    """Values at the given probabilities of a law known by evenly spaced quantiles."""
    return np.interp(uniform, np.linspace(0.0, 1.0, len(quantiles)), quantiles)


class Rhythm:
    """Samples times, turns and gaps."""

    def __init__(self, days: int, first_weekday: int) -> None:
        traces: dict[str, Any] = json.loads(
            resources.files("stillwatch.arena").joinpath("traces.json").read_text(encoding="utf-8")
        )
        self.days = days
        self.first_weekday = first_weekday
        self.log_rate_sd = float(traces["log_rate_sd"])
        self._turns = np.array(traces["sessions"]["turns"])
        self._gaps = np.array(traces["sessions"]["gaps"])
        self.output_tokens = np.array(traces["chat"]["output_tokens"])
        day = np.array(traces["day"], dtype=np.float64)
        self._day_cdf = np.concatenate([[0.0], np.cumsum(day) / day.sum()])
        hours = np.array([client["hours"] for client in traces["clients"]], dtype=np.float64)
        rates = np.array([client["rate"] for client in traces["clients"]])
        steady = (hours > 0).mean(axis=1) > 0.3
        hours = np.tile(hours[steady], (1, -(-days // 14)))[:, : days * 24] + 1.0
        self._client_cdf = np.cumsum(hours, axis=1) / hours.sum(axis=1, keepdims=True)
        self._client_cv = np.array([client["gap_cv"] for client in traces["clients"]])[steady]
        self.client_rates = rates[steady]

    @property
    def clients(self) -> int:
        """Number of real clients whose weeks are known."""
        return len(self._client_cv)

    def turns(self, key: Unsigned, most: int = 30) -> Integers:
        """Turns of a session."""
        return np.asarray(np.minimum(_inverse(self._turns, unit(key)).astype(np.int64), most))

    def gaps(self, key: Unsigned) -> Integers:
        """Microseconds between two turns of a session."""
        spread = 0.7 + 0.6 * unit(combine(key, 1))
        return np.asarray((_inverse(self._gaps, unit(key)) * spread * SECOND).astype(np.int64))

    def people(self, habits: Habits, person: Integers, key: Unsigned) -> Integers:
        """Microseconds since the start of the log at which people begin something."""
        who, row = np.unique(person, return_inverse=True)
        cells = combine(np.repeat(who, self.days).astype(np.uint64), np.tile(np.arange(self.days), len(who)))
        active = unit(combine(cells, 12)).reshape(len(who), self.days) < habits.active_share[who][:, None]
        weekday = (np.arange(self.days) + self.first_weekday) % 7
        weights = np.where(active, 1.0, 0.02) * np.where(weekday >= 5, habits.weekend[who][:, None], 1.0)
        cdf = np.cumsum(weights / weights.sum(axis=1, keepdims=True), axis=1)
        day = np.minimum((cdf[row] < unit(combine(key, 13))[:, None]).sum(axis=1), self.days - 1)
        hour = np.interp(unit(combine(key, 14)), self._day_cdf, np.arange(25))
        local = hour + habits.chronotype[person] - habits.utc_offset[person]
        at = day * DAY + (local * HOUR).astype(np.int64)
        return np.asarray(at % (self.days * DAY))

    def programs(self, client: Integers, key: Unsigned) -> Integers:
        """Microseconds since the start at which programs call: real clients' weeks, with their bursts."""
        uniform = unit(combine(key, 15))
        hours = self._client_cdf.shape[1]
        flat = (self._client_cdf + np.arange(self.clients)[:, None]).ravel()
        hour = np.searchsorted(flat, uniform + client) - client * hours
        hour = np.clip(hour, 0, hours - 1)
        inside = unit(combine(key, 16))
        in_burst: Flags = unit(combine(key, 17)) < 1.0 - 1.0 / np.maximum(self._client_cv[client], 1.0)
        centre = unit(combine(combine(hour.astype(np.uint64), client), 18))
        inside = np.where(in_burst, (centre + 0.02 * inside) % 1.0, inside)
        return np.asarray(((hour + inside) * HOUR).astype(np.int64))
