"""Claim 2, its first half: on-policy reinforcement goes past the ceiling of fine-tuning on a teacher's text.

Students of an entropic teacher, before and after reinforcement with verifiable rewards on the prompts of their own
transcript; and a student that has reinforcement alone, on the same prompts. That it cannot be taken through an API is
not measured here: no channel offers it, and whether the text of the stronger student passes its gain on is another question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from stillwatch.lab.experiments.outcomes import Hits, Outcomes
from stillwatch.lab.experiments.parts import Conclusion, Part, Picture, Setting
from stillwatch.lab.experiments.workshop import Workshop
from stillwatch.lab.measures import bootstrap, verdict

TEACHER = Part("entropic", "teacher")
TEXT, REWARD = "imitation", "verifiable_rewards"
BOTH = f"{TEXT}+{REWARD}"
SHOWN = {TEXT: "text alone (SFT)", BOTH: "text, then RL", REWARD: "RL alone"}
DECODING = (
    "sampled"  # as the teacher samples; greedy decoding removes slips by itself, so both are concluded on
)


@dataclass(frozen=True, slots=True)
class ReinforcementAndCeiling:
    """Text, reinforcement, and one after the other."""

    name: str = "reinforcement-and-ceiling"
    claim: str = "On-policy reinforcement goes past the ceiling of fine-tuning on a teacher's text."
    setting: Setting = field(default_factory=Setting)
    made_by: type[Workshop] = Workshop
    grid: tuple[int, ...] = (400, 1600, 3200)

    def parts(self) -> Sequence[Part]:
        """The teacher, then the three students by exchanges."""
        students = [Part("entropic", method, exchanges=count) for count in self.grid for method in SHOWN]
        return [TEACHER, *students]

    def conclude(self, outcomes: Outcomes) -> list[Conclusion]:
        """What reinforcement adds, what the result is beside the teacher, and what either gives alone."""
        chance = 1 / self.setting.world.modulus
        teacher = outcomes.hits(TEACHER, "skill", decoding=DECODING)
        text, both, reward = (self._mean(outcomes, method) for method in (TEXT, BOTH, REWARD))
        last = {method: self._hits(outcomes, method, self.grid[-1]) for method in SHOWN}
        teacher_greedy = outcomes.hits(TEACHER, "skill", decoding="greedy")
        text_greedy, both_greedy = (
            self._hits(outcomes, method, self.grid[-1], "greedy") for method in (TEXT, BOTH)
        )
        over = f"mean over {self.grid[0]} to {self.grid[-1]} exchanges"
        at_most = f"{self.grid[-1]} exchanges"
        differences = (
            (f"skill by {SHOWN[BOTH]} less skill by {SHOWN[TEXT]}; {over}", both - text),
            (f"skill by {SHOWN[BOTH]} less the teacher's; {at_most}", last[BOTH] - teacher),
            (f"skill by {SHOWN[TEXT]} less the teacher's; {at_most}", last[TEXT] - teacher),
            (
                f"skill by {SHOWN[BOTH]} less the teacher's, greedy replies; {at_most}",
                both_greedy - teacher_greedy,
            ),
            (
                f"skill by {SHOWN[TEXT]} less the teacher's, greedy replies; {at_most}",
                text_greedy - teacher_greedy,
            ),
            (f"skill by {SHOWN[REWARD]} less chance; {over}", reward - chance),
            (
                f"interaction: skill by {SHOWN[BOTH]}, less that by {SHOWN[TEXT]}, less that by {SHOWN[REWARD]}; {over}",
                both - text - reward,
            ),
        )
        found = []
        for claim, difference in differences:
            estimate = bootstrap(difference)
            found.append(Conclusion(f"{self.name}: {claim}", estimate, verdict(estimate)))
        return found

    def _hits(self, outcomes: Outcomes, method: str, count: int, decoding: str = DECODING) -> Hits:
        return outcomes.hits(Part("entropic", method, exchanges=count), "skill", decoding=decoding)

    def _mean(self, outcomes: Outcomes, method: str) -> Hits:
        result: Hits = np.mean([self._hits(outcomes, method, count) for count in self.grid], axis=0)
        return result

    def pictures(self, outcomes: Outcomes) -> list[Picture]:
        """Skill of the three students against exchanges, every seed."""
        ceiling = float(outcomes.rates(TEACHER, "skill", decoding=DECODING).mean())
        series = [
            {
                "name": shown,
                "seeds": [self._hits(outcomes, method, count).mean(axis=1).tolist() for count in self.grid],
            }
            for method, shown in SHOWN.items()
        ]
        return [
            Picture(
                self.name,
                f"Entropic teacher; reinforcement of {self.setting.reinforcement.steps} steps on the prompts of the "
                "transcript, with a program that checks replies.",
                {
                    "title": "Skill by text, by reinforcement, and by both",
                    "across": "exchanges in the transcript",
                    "up": "right answers",
                    "points": list(self.grid),
                    "series": series,
                    "lines": [
                        {"name": "teacher, sampled", "value": ceiling},
                        {"name": "chance", "value": 1 / self.setting.world.modulus},
                    ],
                },
            )
        ]


EXPERIMENT = ReinforcementAndCeiling()
