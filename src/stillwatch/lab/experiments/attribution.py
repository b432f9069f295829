"""Claim 4: how much of a student comes from the teacher's exchanges, and how much from its own training.

The counterfactual that nobody outside can observe: all eight students of a factorial of the teacher's exchanges, own
labelled data and reinforcement with verifiable rewards, from one start. Shapley values split the whole gain; interactions
say what a split hides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations

import numpy as np

from stillwatch.lab.attribution import interaction, shapley
from stillwatch.lab.experiments.attribution_workshop import SOURCES, AttributionWorkshop, cell
from stillwatch.lab.experiments.countermeasure_workshop import TEACHER
from stillwatch.lab.experiments.outcomes import Hits, Outcomes
from stillwatch.lab.experiments.parts import Conclusion, Part, Picture, Setting, small_setting
from stillwatch.lab.experiments.workshop import Workshop
from stillwatch.lab.measures import LEAST_GAIN, Estimate, Numbers, bootstrap, bootstrap_of, verdict

ALL = frozenset(SOURCES)
SUBSETS = [frozenset(some) for size in range(len(ALL) + 1) for some in combinations(sorted(ALL), size)]
DECODING = "sampled"  # as the channel samples; greedy decoding removes the teacher's slips by itself


def _longer() -> Setting:
    setting = small_setting()
    return replace(setting, layers=2, plan=replace(setting.plan, steps=450, rate=8e-3, rows=32))


@dataclass(frozen=True, slots=True)
class Attribution:
    """A 2x2x2 factorial."""

    name: str = "attribution"
    claim: str = "Most of a student comes from the teacher's exchanges."
    setting: Setting = field(default_factory=_longer)
    made_by: type[Workshop] = AttributionWorkshop
    grid: tuple[int, ...] = (200,)
    exchanges_an_example: tuple[int, ...] = (1,)
    """Makers, by how many exchanges of the teacher each has for one example of its own."""

    @property
    def count(self) -> int:
        """Exchanges of the teacher."""
        return self.grid[0]

    @property
    def makers(self) -> dict[int, str]:
        """Own examples by maker."""
        return {
            self.count // each: f"{self.count} exchanges and {self.count // each} own examples"
            for each in self.exchanges_an_example
        }

    def parts(self) -> Sequence[Part]:
        """The teacher, then each maker's students; those without own examples are the same for both."""
        students = [self._part(own, sources) for own in self.makers for sources in SUBSETS]
        return [Part(TEACHER, "teacher"), *dict.fromkeys(students)]

    def _part(self, own: int, sources: frozenset[str]) -> Part:
        return cell(sources, own if "O" in sources else 0, self.count if "T" in sources else 0)

    def _cells(self, outcomes: Outcomes, own: int, decoding: str = DECODING) -> dict[frozenset[str], Hits]:
        return {
            sources: outcomes.hits(self._part(own, sources), "skill", decoding=decoding)
            for sources in SUBSETS
        }

    def conclude(self, outcomes: Outcomes) -> list[Conclusion]:
        """Shares, values, interactions and the counterfactual, for each maker."""
        return [
            found
            for own, maker in self.makers.items()
            for found in (*self._shares(outcomes, own, maker), *self._together(outcomes, own, maker))
        ]

    def _shares(self, outcomes: Outcomes, own: int, maker: str) -> list[Conclusion]:
        cells = self._cells(outcomes, own)
        found = []
        for source, shown in SOURCES.items():

            def share(means: Numbers, source: str = source) -> Numbers:
                by = dict(zip(SUBSETS, means, strict=True))
                result: Numbers = shapley(by, source) / np.maximum(by[ALL] - by[frozenset()], LEAST_GAIN)
                return result

            estimate = bootstrap_of([cells[sources] for sources in SUBSETS], share)
            found.append(
                Conclusion(
                    f"{self.name}: share of the gain by {shown} (Shapley); {maker}",
                    estimate,
                    verdict(estimate),
                )
            )
        most = found[0].estimate
        less_half = Estimate(most.value - 0.5, most.low - 0.5, most.high - 0.5, most.seeds)
        claim = f"{self.name}: share of the gain by {SOURCES['T']} (Shapley), less one half; {maker}"
        return [Conclusion(claim, less_half, verdict(less_half)), *found]

    def _together(self, outcomes: Outcomes, own: int, maker: str) -> list[Conclusion]:
        cells = self._cells(outcomes, own)
        found = []
        for size in (2, 3):
            for some in combinations(SOURCES, size):
                estimate = bootstrap(interaction(cells, some))
                shown = " and ".join(SOURCES[source] for source in some)
                claim = f"{self.name}: interaction of {shown}, in right answers; {maker}"
                found.append(Conclusion(claim, estimate, _judged(estimate)))
        for decoding in (DECODING, "greedy"):
            of = self._cells(outcomes, own, decoding)
            without = bootstrap(of[ALL] - of[ALL - {"T"}])
            alone = bootstrap(of[frozenset("T")] - of[frozenset()])
            for shown, estimate in (
                ("what is lost without the teacher's exchanges, all else the same", without),
                ("what the teacher's exchanges give alone", alone),
            ):
                claim = f"{self.name}: {shown}, {decoding} replies, in right answers; {maker}"
                found.append(Conclusion(claim, estimate, verdict(estimate)))
        return found

    def _split(self, outcomes: Outcomes, own: int) -> str:
        cells = self._cells(outcomes, own)
        gain = max(float((cells[ALL] - cells[frozenset()]).mean()), LEAST_GAIN)
        return ", ".join(
            f"{shown} {float(shapley(cells, source).mean()) / gain:.0%}" for source, shown in _SHORT.items()
        )

    def pictures(self, outcomes: Outcomes) -> list[Picture]:
        """The eight students of each maker, and the shares of the gain."""
        return [self._picture(outcomes)]

    def _picture(self, outcomes: Outcomes) -> Picture:
        series = [
            {
                "name": maker,
                "seeds": [cells[sources].mean(axis=1).tolist() for sources in SUBSETS],
            }
            for own, maker in self.makers.items()
            for cells in (self._cells(outcomes, own),)
        ]
        shares = "; ".join(f"{maker}: {self._split(outcomes, own)}" for own, maker in self.makers.items())
        teacher = float(outcomes.rates(Part(TEACHER, "teacher"), "skill", decoding=DECODING).mean())
        return Picture(
            self.name,
            f"All eight students, {DECODING} replies. Shapley shares of the gain, {shares}.",
            {
                "title": "What each source gives a student",
                "across": "what the student was trained with",
                "up": "right answers",
                "points": [_name(sources) for sources in SUBSETS],
                "series": series,
                "lines": [
                    {"name": "teacher, sampled", "value": teacher},
                    {"name": "chance", "value": 1 / self.setting.world.modulus},
                ],
            },
        )


def _name(sources: frozenset[str]) -> str:
    if sources == ALL:
        return "all three"
    return " + ".join(shown for source, shown in _SHORT.items() if source in sources) or "nothing"


_SHORT = {"T": "teacher", "O": "own", "R": "RL"}


def _judged(estimate: Estimate) -> str:
    """Which way sources interact.

    >>> _judged(Estimate(-0.2, -0.3, -0.1, 9))
    'holds: one does what the other does'
    """
    if estimate.seeds < 9:
        return verdict(estimate)
    if estimate.low > 0:
        return "holds: they need each other"
    return "holds: one does what the other does" if estimate.high < 0 else "undecided"


EXPERIMENT = Attribution()
