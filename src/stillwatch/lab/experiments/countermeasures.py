"""Claim 5: what each countermeasure costs the student, and what it costs the honest user.

One entropic teacher, one count of exchanges, all of them about the skill. Across: right answers that an honest user
loses, who asks at temperature 1. Up: right answers that the student loses, which replies greedily. The price list is a
raised temperature: a countermeasure is worth what it takes from the student beyond a temperature that costs the honest
user as much, found between the measured temperatures and inside each resample. The *passive* student learns from what
is shown. The *adaptive* one asks for a rationale where the trace is not whole, and throws away answers that a program
finds wrong; it pays for them. What is done about log-probabilities is compared with showing five of them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from stillwatch.lab.experiments.countermeasure_workshop import (
    ADAPTIVE,
    ARMS,
    DEFENDED,
    NOTHING,
    OTHER_KEYS,
    PASSIVE,
    TEMPERATURES,
    TOP,
    CountermeasureWorkshop,
    student,
    user,
)
from stillwatch.lab.experiments.outcomes import Hits, Outcomes
from stillwatch.lab.experiments.parts import Conclusion, Part, Picture, Setting, small_setting
from stillwatch.lab.experiments.workshop import Workshop
from stillwatch.lab.measures import Estimate, Numbers, bootstrap, bootstrap_of, verdict

MARKED = "watermark"
MARGIN = 0.05  # a difference that lies within it, with its whole interval, is called none


@dataclass(frozen=True, slots=True)
class Countermeasures:
    """The frontier of what students and users lose."""

    name: str = "countermeasures"
    claim: str = (
        "A countermeasure costs the student more than a temperature that costs the honest user as much, also where the "
        "student adapts."
    )
    setting: Setting = field(default_factory=small_setting)
    made_by: type[Workshop] = CountermeasureWorkshop
    grid: tuple[int, ...] = (300,)

    @property
    def count(self) -> int:
        """Exchanges of every student."""
        return self.grid[0]

    def parts(self) -> Sequence[Part]:
        """Honest users of every arm, then passive students, then adaptive ones."""
        passive = [student(arm, PASSIVE, self.count) for arm in ARMS]
        adaptive = [student(arm, ADAPTIVE, self.count) for arm in ARMS if ARMS[arm].adaptive]
        return [*(user(arm) for arm in ARMS), *passive, *dict.fromkeys(adaptive)]

    def conclude(self, outcomes: Outcomes) -> list[Conclusion]:
        """Each countermeasure against its price in temperature, by student; then the watermark's trace."""
        found = [
            conclusion
            for habit in (PASSIVE, ADAPTIVE)
            for arm, shown in DEFENDED.items()
            if ARMS[arm].adaptive
            for conclusion in self._beyond(outcomes, habit, arm, shown)
        ]
        return [*found, *self._log_probabilities(outcomes), *self._trace(outcomes)]

    def _skill(self, outcomes: Outcomes, arm: str, habit: str) -> Hits:
        return outcomes.hits(student(arm, habit, self.count), "skill")

    def _use(self, outcomes: Outcomes, arm: str) -> Hits:
        return outcomes.hits(user(arm), "skill", decoding="sampled")

    def _beyond(self, outcomes: Outcomes, habit: str, arm: str, shown: str) -> list[Conclusion]:
        """What the student loses, what the user loses, and what the student loses beyond the matched temperature."""
        arms = [*TEMPERATURES, arm]
        hits = [self._use(outcomes, each) for each in arms] + [
            self._skill(outcomes, each, habit) for each in arms
        ]
        lost = bootstrap_of([hits[len(arms)], hits[-1]], lambda means: means[0] - means[1])
        price = bootstrap_of([hits[0], hits[len(arms) - 1]], lambda means: means[0] - means[1])
        beyond = bootstrap_of(hits, lambda means: _beyond_price(means[: len(arms)], means[len(arms) :]))
        what = f"{self.name}: {shown}, {habit} student of {self.count} exchanges"
        return [
            Conclusion(f"{what}: skill that the student loses", lost, verdict(lost)),
            Conclusion(f"{what}: right answers that an honest user loses", price, verdict(price)),
            Conclusion(
                f"{what}: skill lost beyond a temperature that costs the honest user as much",
                beyond,
                judged(beyond),
            ),
        ]

    def _log_probabilities(self, outcomes: Outcomes) -> list[Conclusion]:
        found = []
        for arm, shown in {**_of_log_probabilities(), NOTHING: "no log-probabilities at all"}.items():
            lost = bootstrap(self._skill(outcomes, TOP, PASSIVE) - self._skill(outcomes, arm, PASSIVE))
            claim = (
                f"{self.name}: {shown}, passive student of {self.count} exchanges: skill that the student loses against "
                "five log-probabilities a word"
            )
            found.append(Conclusion(claim, lost, judged(lost)))
        return found

    def _trace(self, outcomes: Outcomes) -> list[Conclusion]:
        """Rank of the true key among others, above one half; and how many seeds reach p < 0.05."""
        found = []
        suspects = {
            "text of the marked teacher": user(MARKED),
            "text of the teacher without a mark": user(NOTHING),
            "text of a student of marked text": student(MARKED, PASSIVE, self.count),
            "text of an adaptive student of marked text": student(MARKED, ADAPTIVE, self.count),
            "text of a student of text without a mark": student(NOTHING, PASSIVE, self.count),
        }
        for shown, part in suspects.items():
            hits = outcomes.hits(part, "watermark", decoding="sampled")
            estimate = bootstrap(hits - 0.5)
            caught = int((p_values(hits) < 0.05).sum())
            claim = (
                f"{self.name}: watermark in the {shown}: rank of the true key among {OTHER_KEYS} others, less one half; "
                f"p below 0.05 in {caught} of {len(hits)} seeds"
            )
            found.append(Conclusion(claim, estimate, verdict(estimate)))
        return found

    def pictures(self, outcomes: Outcomes) -> list[Picture]:
        """One frontier a student."""
        return [self._picture(outcomes, habit) for habit in (PASSIVE, ADAPTIVE)]

    def _picture(self, outcomes: Outcomes, habit: str) -> Picture:
        groups: dict[str, tuple[str, list[str]]] = {"a raised temperature": (NOTHING, [*TEMPERATURES[1:]])}
        groups |= {shown: (NOTHING, [arm]) for arm, shown in DEFENDED.items() if ARMS[arm].adaptive}
        if habit == PASSIVE:
            groups["log-probabilities rounded or capped"] = (
                TOP,
                [*_of_log_probabilities()],
            )
        series = []
        for shown, (base, arms) in groups.items():
            kept = [arm for arm in arms if habit == PASSIVE or ARMS[arm].adaptive]
            series.append(
                {
                    "name": shown,
                    "at": [self._lost(self._use(outcomes, base), self._use(outcomes, arm)) for arm in kept],
                    "seeds": [
                        self._lost(self._skill(outcomes, base, habit), self._skill(outcomes, arm, habit))
                        for arm in kept
                    ],
                    "joined": shown == "a raised temperature",
                }
            )
        skill = float(self._skill(outcomes, NOTHING, habit).mean())
        return Picture(
            f"{self.name}-{habit}",
            f"The {habit} student; without a countermeasure it has {skill:.0%} right. What lies above the line costs the "
            "student more than a temperature that costs the honest user as much.",
            {
                "title": f"What countermeasures cost, {habit} student",
                "across": "right answers that an honest user loses",
                "up": "right answers that the student loses",
                "above": "above the line: costs the student more than the temperature does",
                "series": series,
            },
        )

    @staticmethod
    def _lost(before: Hits, after: Hits) -> list[float]:
        lost: list[float] = (before.mean(axis=1) - after.mean(axis=1)).tolist()
        return lost


def _of_log_probabilities() -> dict[str, str]:
    return {arm: shown for arm, shown in DEFENDED.items() if not ARMS[arm].adaptive}


def _beyond_price(use: Numbers, skill: Numbers) -> Numbers:
    """Skill lost beyond the matched temperature: use and skill [temperatures + 1, draws] -> [draws].

    The last row is the countermeasure, the first the teacher as it is. Beyond the highest temperature the last piece of the
    line goes on.
    """
    price, loss = use[0] - use, skill[0] - skill
    matched = np.zeros(use.shape[1])
    for draw in range(use.shape[1]):
        matched[draw] = _on_line(price[:-1, draw], loss[:-1, draw], price[-1, draw])
    result: Numbers = loss[-1] - matched
    return result


def _on_line(prices: Numbers, losses: Numbers, price: float) -> float:
    """Loss at a price on the line through the temperatures; none below a price of nothing.

    >>> _on_line(np.array([0.0, 0.2, 0.4]), np.array([0.0, 0.1, 0.4]), 0.3)
    0.25
    """
    if price <= 0:
        return 0.0
    order = np.argsort(prices)
    across, up = prices[order], losses[order]
    place = int(np.clip(np.searchsorted(across, price), 1, len(across) - 1))
    run = across[place] - across[place - 1]
    slope = (up[place] - up[place - 1]) / run if run > 0 else 0.0
    return float(up[place - 1] + slope * (price - across[place - 1]))


def p_values(outranked: Hits) -> npt.NDArray[np.float64]:
    """Exact p-value of every seed from which other keys its own outranks: [S, keys] -> [S].

    >>> p_values(np.ones((1, 199))).tolist()
    [0.005]
    """
    keys = outranked.shape[1]
    values: npt.NDArray[np.float64] = (1 + keys - outranked.sum(axis=1)) / (1 + keys)
    return values


def judged(estimate: Estimate) -> str:
    """Whether a countermeasure takes more than its price.

    >>> judged(Estimate(0.01, -0.03, 0.04, 9))
    'does not hold: no difference within 0.05'
    """
    found = verdict(estimate)
    if found == "undecided" and max(abs(estimate.low), abs(estimate.high)) <= MARGIN:
        return f"does not hold: no difference within {MARGIN}"
    return found


EXPERIMENT = Countermeasures()
