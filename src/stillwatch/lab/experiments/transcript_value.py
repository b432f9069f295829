"""Claim 6: what a transcript of N exchanges of a campaign buys, by what the campaign asks for.

The whole curve of the teacher's gain against exchanges, for four objectives: *answers* with the trace shown; *elicited
reasoning*, where the trace is hidden and a rationale is asked for; *grades* of the student's own replies by a rubric, from
which a reward model is fitted and reinforcement run against it; *trajectories* of agents. The gain of the first two is
in right answers over chance, that of trajectories in tasks done over chance, that of grades in refusals and marks where they
are called for, over a student whose maker's own examples mostly comply. The claim at stake is that the price is set
early: half of the gain is bought with a tenth of the exchanges that were measured.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stillwatch.lab.experiments.agentic_workshop import AGENT, TOOLS
from stillwatch.lab.experiments.agentic_workshop import METHODS as AGENT_METHODS
from stillwatch.lab.experiments.countermeasure_workshop import TEACHER
from stillwatch.lab.experiments.outcomes import Hits, Outcomes
from stillwatch.lab.experiments.parts import Conclusion, Part, Picture, Setting, ends_first, small_setting
from stillwatch.lab.experiments.value_workshop import (
    ALONE,
    ANSWERS,
    ELICITED,
    GRADED,
    METHODS,
    STARTED,
    ValueWorkshop,
)
from stillwatch.lab.experiments.workshop import Workshop
from stillwatch.lab.measures import (
    LEAST_GAIN,
    Estimate,
    Numbers,
    bootstrap,
    bootstrap_by_seed,
    bootstrap_of,
    exchanges_to_share,
    verdict,
)

SHOWN = {
    ANSWERS: "answers, trace shown",
    ELICITED: "elicited reasoning, trace hidden",
    GRADED: "grades by a rubric, then RL",
    TOOLS: "trajectories of agents",
}
EARLY = 0.1  # the share of all measured exchanges with which half of the gain is to be bought
KINDS = ("safeguard", "control")


@dataclass(frozen=True, slots=True)
class TranscriptValue:
    """Curves of gain against exchanges."""

    name: str = "transcript-value"
    claim: str = "The first tenth of a campaign's exchanges buys half of the teacher's gain."
    setting: Setting = field(default_factory=small_setting)
    made_by: type[Workshop] = ValueWorkshop
    grid: tuple[int, ...] = (50, 150, 400, 800)

    def parts(self) -> Sequence[Part]:
        """Teachers, the start of the graded students, then all objectives, the ends of the curves first."""
        curves = [self._part(objective, count) for count in ends_first(self.grid) for objective in SHOWN]
        start = Part(TEACHER, METHODS[STARTED], STARTED)
        alone = self._part(ALONE, self.grid[-1])
        return [Part(TEACHER, "teacher"), Part(AGENT, "teacher", TOOLS), start, *curves, alone]

    def _part(self, objective: str, count: int) -> Part:
        if objective == TOOLS:
            return Part(AGENT, AGENT_METHODS[TOOLS], TOOLS, count)
        return Part(TEACHER, METHODS[objective], objective, count)

    def _hits(self, outcomes: Outcomes, part: Part, objective: str) -> Hits:
        """What counts as gain for an objective: [S, Q]."""
        if objective == GRADED:
            result: Hits = np.mean([outcomes.hits(part, kind) for kind in KINDS], axis=0)
            return result
        return outcomes.hits(part, TOOLS if objective == TOOLS else "skill")

    def _ends(self, outcomes: Outcomes, objective: str) -> tuple[Hits, Hits]:
        """Where an objective's gain begins and ends: a student without exchanges, and the teacher."""
        teacher = Part(AGENT, "teacher", TOOLS) if objective == TOOLS else Part(TEACHER, "teacher")
        ends = self._hits(outcomes, teacher, objective)
        if objective == GRADED:
            return self._hits(outcomes, Part(TEACHER, METHODS[STARTED], STARTED), objective), ends
        return np.full_like(ends, 1 / self.setting.world.modulus), ends

    def shares(self, outcomes: Outcomes, objective: str) -> list[list[float]]:
        """Share of the teacher's gain, of every seed at every count of exchanges."""
        begins, ends = (float(hits.mean()) for hits in self._ends(outcomes, objective))
        gain = max(ends - begins, LEAST_GAIN)
        return [
            (
                (self._hits(outcomes, self._part(objective, count), objective).mean(axis=1) - begins) / gain
            ).tolist()
            for count in self.grid
        ]

    def curves(self, outcomes: Outcomes) -> dict[str, Any]:
        """The measured curves as ``stillwatch lab value`` reads them; that of answers was measured in the larger world."""
        return {
            objective: {
                "what": shown,
                "exchanges": list(self.grid),
                "shares": [
                    [round(share, 4) for share in seeds] for seeds in self.shares(outcomes, objective)
                ],
            }
            for objective, shown in SHOWN.items()
            if objective != ANSWERS
        }

    def conclude(self, outcomes: Outcomes) -> list[Conclusion]:
        """What the first tenth and the whole buy, and N50, by objective; what answers alone and grades do for the skill."""
        found = []
        for objective, shown in SHOWN.items():
            first = min(self.grid, key=lambda count: abs(count - EARLY * self.grid[-1]))
            for count, less in ((first, 0.5), (self.grid[-1], 0.0)):
                estimate = self._share(outcomes, objective, count, less)
                what = "share of the teacher's gain" + (", less one half" if less else "")
                found.append(
                    Conclusion(
                        f"{self.name}: {shown}: {what}; {count} exchanges", estimate, verdict(estimate)
                    )
                )
            found.append(self._half(outcomes, objective))
        return [*found, *self._asides(outcomes)]

    def _share(self, outcomes: Outcomes, objective: str, count: int, less: float) -> Estimate:
        begins, ends = self._ends(outcomes, objective)
        has = self._hits(outcomes, self._part(objective, count), objective)

        def share(means: Numbers) -> Numbers:
            result: Numbers = (means[2] - means[0]) / np.maximum(means[1] - means[0], LEAST_GAIN) - less
            return result

        return bootstrap_of([begins, ends, has], share)

    def _half(self, outcomes: Outcomes, objective: str) -> Conclusion:
        """N50, as a power of two of the smallest count; a seed that never gets there counts as twice the largest."""
        shares = np.array(self.shares(outcomes, objective))
        reached = [exchanges_to_share(self.grid, shares[:, seed].tolist()) for seed in range(shares.shape[1])]
        halves = np.minimum(reached, 2.0 * self.grid[-1])
        estimate = bootstrap_by_seed(
            np.log2(halves / (EARLY * self.grid[-1])), lambda values: float(np.median(values))
        )
        never = int(sum(np.isinf(reached)))
        claim = (
            f"{self.name}: {SHOWN[objective]}: log2 of N50 over a tenth of {self.grid[-1]} exchanges, median of the seeds; "
            f"N50 is {np.median(halves):,.0f}, and {never} of {len(halves)} seeds never get there"
        )
        return Conclusion(claim, estimate, verdict(estimate))

    def _asides(self, outcomes: Outcomes) -> list[Conclusion]:
        most = self.grid[-1]
        alone = outcomes.hits(self._part(ALONE, most), "skill") - 1 / self.setting.world.modulus
        start = Part(TEACHER, METHODS[STARTED], STARTED)
        skill = outcomes.hits(self._part(GRADED, most), "skill") - outcomes.hits(start, "skill")
        rows = (
            (
                f"answers alone, trace hidden and nothing elicited: right answers over chance; {most} exchanges",
                alone,
            ),
            (f"grades by a rubric, then RL: change of right answers; {most} exchanges", skill),
        )
        return [
            Conclusion(f"{self.name}: {claim}", estimate, verdict(estimate))
            for claim, hits in rows
            for estimate in (bootstrap(hits),)
        ]

    def pictures(self, outcomes: Outcomes) -> list[Picture]:
        """Share of the gain against exchanges, every seed."""
        series: list[Mapping[str, Any]] = [
            {"name": shown, "seeds": self.shares(outcomes, objective)} for objective, shown in SHOWN.items()
        ]
        return [
            Picture(
                self.name,
                "What a student has of what the teacher has over a student without any exchange; below nothing where it "
                "lost what it had. Greedy replies.",
                {
                    "title": "What a transcript buys, by what was asked for",
                    "across": "exchanges in the transcript",
                    "up": "share of the teacher's gain",
                    "points": list(self.grid),
                    "series": series,
                    "lines": [{"name": "half of it", "value": 0.5}],
                },
            )
        ]


EXPERIMENT = TranscriptValue()
