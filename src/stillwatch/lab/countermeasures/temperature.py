"""Sample at a higher temperature than asked: the plainest way to spoil a transcript, and the price list of all others.

``p(w) ~ exp(log q(w) / T)`` with T at least ``least``. It costs the honest user right answers, and it needs no idea about
students: what another countermeasure is worth is what it takes from the student beyond a temperature that costs the honest
user as much (after Savani et al. 2025, figure 1, who compare along the same two axes).
"""

from __future__ import annotations

from dataclasses import dataclass

from stillwatch.lab.countermeasures.base import Countermeasure


@dataclass(frozen=True, slots=True, kw_only=True)
class Temperature(Countermeasure):
    """Nothing is sampled below this temperature."""

    least: float = 1.5
    name: str = "temperature"
    paper: str = "the control of Savani et al. 2025, Antidistillation Sampling (arXiv:2504.13146)"
    changes: str = "words are sampled at a higher temperature"

    def temperature(self, asked: float) -> float:
        """The higher of both."""
        return max(asked, self.least)


COUNTERMEASURE = Temperature()
