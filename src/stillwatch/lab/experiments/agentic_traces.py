"""Claim 7: does the use of tools transfer as answers do.

A student of whole trajectories (calls, results, retries, a verifiable end state) beside its matched control: a student of
answers to the same tasks by the same teacher, with what the tool would say told in the prompt. The estimate is the
difference of what both have of their teacher's gain, in the mean over the whole grid of exchanges; then what both lose on
tasks that were never asked, and what agents lose with a tool that is busier than they ever saw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from stillwatch.lab.experiments.agentic_workshop import AGENT, METHODS, TOLD, TOOLS, AgenticWorkshop
from stillwatch.lab.experiments.outcomes import Hits, Outcomes
from stillwatch.lab.experiments.parts import Conclusion, Part, Picture, Setting, ends_first, small_setting
from stillwatch.lab.experiments.workshop import Workshop
from stillwatch.lab.measures import (
    Estimate,
    bootstrap,
    bootstrap_by_seed,
    bootstrap_of,
    exchanges_to_share,
    verdict,
)
from stillwatch.lab.tools import NUMBERS

SHOWN = {TOOLS: "use of tools, from trajectories", TOLD: "the same tasks answered, from answers"}
CHANCE = 1 / NUMBERS
MARGIN = 0.1  # a difference that lies within it, with its whole interval, is called none
DECODINGS = ("greedy", "sampled")


@dataclass(frozen=True, slots=True)
class AgenticTraces:
    """Trajectories against answers, for each exchange."""

    name: str = "agentic-traces"
    claim: str = "The use of tools transfers as answers do."
    setting: Setting = field(default_factory=small_setting)
    made_by: type[Workshop] = AgenticWorkshop
    grid: tuple[int, ...] = (50, 150, 400, 800)

    def parts(self) -> Sequence[Part]:
        """The teacher in both, then both students by exchanges."""
        students = [self._part(kind, count) for count in ends_first(self.grid) for kind in SHOWN]
        return [*(Part(AGENT, "teacher", kind) for kind in SHOWN), *students]

    def _part(self, kind: str, count: int) -> Part:
        return Part(AGENT, METHODS[kind], kind, count)

    def conclude(self, outcomes: Outcomes) -> list[Conclusion]:
        """The difference of transfer, exchanges to half of it, and what each loses where nothing was asked."""
        over = f"mean over {self.grid[0]} to {self.grid[-1]} exchanges"
        found = []
        for decoding in DECODINGS:
            estimate = self._difference(outcomes, decoding)
            claim = (
                f"{self.name}: share of the teacher's gain in the use of tools less that in the same tasks answered; "
                f"{decoding} replies, {over}"
            )
            found.append(Conclusion(claim, estimate, judged(estimate)))
        halves = {kind: self._halves(outcomes, kind) for kind in SHOWN}
        ratio = bootstrap_by_seed(np.log2(halves[TOOLS] / halves[TOLD]), lambda values: float(values.mean()))
        claim = (
            f"{self.name}: log2 of N50 in the use of tools over N50 in the same tasks answered; greedy replies; medians of "
            f"N50 are {np.median(halves[TOOLS]):,.0f} and {np.median(halves[TOLD]):,.0f}"
        )
        found.append(Conclusion(claim, ratio, judged(ratio)))
        return [*found, *self._robustness(outcomes)]

    def _difference(self, outcomes: Outcomes, decoding: str) -> Estimate:
        arms = [self._teacher(outcomes, kind, decoding) for kind in SHOWN]
        arms += [np.mean(self._curve(outcomes, kind, decoding), axis=0) for kind in SHOWN]
        return bootstrap_of(
            arms,
            lambda means: (
                (means[2] - CHANCE) / (means[0] - CHANCE) - (means[3] - CHANCE) / (means[1] - CHANCE)
            ),
        )

    def _robustness(self, outcomes: Outcomes) -> list[Conclusion]:
        most = self.grid[-1]
        lost = {
            kind: outcomes.hits(self._part(kind, most), kind, "unseen")
            - outcomes.hits(self._part(kind, most), kind)
            for kind in SHOWN
        }
        both = bootstrap(lost[TOOLS] - lost[TOLD])
        part, teacher = self._part(TOOLS, most), Part(AGENT, "teacher", TOOLS)
        busier = bootstrap(
            (outcomes.hits(part, TOOLS, "busier") - outcomes.hits(part, TOOLS))
            - (outcomes.hits(teacher, TOOLS, "busier") - outcomes.hits(teacher, TOOLS))
        )
        at = f"{most} exchanges"
        return [
            Conclusion(
                f"{self.name}: change on tasks that were never asked: use of tools less the same tasks answered; {at}",
                both,
                judged(both),
            ),
            Conclusion(
                f"{self.name}: change with a tool that is busier than in any trajectory: student less teacher; {at}",
                busier,
                judged(busier),
            ),
        ]

    def _teacher(self, outcomes: Outcomes, kind: str, decoding: str = "greedy") -> Hits:
        return outcomes.hits(Part(AGENT, "teacher", kind), kind, decoding=decoding)

    def _curve(self, outcomes: Outcomes, kind: str, decoding: str = "greedy") -> list[Hits]:
        return [outcomes.hits(self._part(kind, count), kind, decoding=decoding) for count in self.grid]

    def _halves(self, outcomes: Outcomes, kind: str) -> Hits:
        """N50 of every seed; one that never gets there counts as twice the largest count of exchanges."""
        ceilings = self._teacher(outcomes, kind).mean(axis=1)
        rates = [hits.mean(axis=1) for hits in self._curve(outcomes, kind)]
        reached = [
            exchanges_to_share(
                self.grid, [float((rate[seed] - CHANCE) / max(ceiling - CHANCE, 1e-9)) for rate in rates]
            )
            for seed, ceiling in enumerate(ceilings)
        ]
        return np.minimum(reached, 2.0 * self.grid[-1])

    def pictures(self, outcomes: Outcomes) -> list[Picture]:
        """Success of both students against exchanges, every seed."""
        lines = [
            {"name": f"teacher, {name}", "value": float(self._teacher(outcomes, kind).mean())}
            for kind, name in ((TOOLS, "tools"),)
        ]
        series = [
            {"name": shown, "seeds": [hits.mean(axis=1).tolist() for hits in self._curve(outcomes, kind)]}
            for kind, shown in SHOWN.items()
        ]
        return [
            Picture(
                self.name,
                "Greedy replies. Both students learn from one teacher's exchanges about the same tasks; the teacher answers "
                f"{float(self._teacher(outcomes, TOLD).mean()):.0%} of the told tasks rightly.",
                {
                    "title": "Use of tools, and the same tasks answered",
                    "across": "exchanges in the transcript",
                    "up": "tasks done",
                    "points": list(self.grid),
                    "series": series,
                    "lines": [*lines, {"name": "guessing the number", "value": CHANCE}],
                },
            )
        ]


def judged(estimate: Estimate) -> str:
    """Whether two things are alike.

    >>> judged(Estimate(-0.02, -0.06, 0.03, 9)), judged(Estimate(-0.3, -0.4, -0.2, 9))
    ('holds: no difference within 0.1', 'does not hold: the use of tools has less')
    """
    if estimate.seeds < 9:
        return verdict(estimate)
    if max(abs(estimate.low), abs(estimate.high)) <= MARGIN:
        return f"holds: no difference within {MARGIN}"
    if estimate.high < 0:
        return "does not hold: the use of tools has less"
    return "does not hold: the use of tools has more" if estimate.low > 0 else "undecided"


EXPERIMENT = AgenticTraces()
