"""Claim 2, its second half: what reinforcement finds beyond a teacher cannot be taken through its API.

A teacher that is wrong in half of the skill's categories, most of the time: the text of its replies holds right ones,
but seldom, and greedy decoding gives wrong ones. Three students: of its text; of its text and then reinforcement with
verifiable rewards on prompts of one's own; and of the text of the same teacher after its *owner's* reinforcement. The first
says where the ceiling of text is, the second whether reinforcement goes past it with no help by decoding, and the third
whether what the owner's reinforcement gained can be taken as text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from stillwatch.lab.experiments.ceiling_workshop import (
    REWARDED,
    STRONGER,
    TEXT,
    WRONG,
    CeilingWorkshop,
)
from stillwatch.lab.experiments.outcomes import Hits, Outcomes
from stillwatch.lab.experiments.parts import Conclusion, Part, Picture, Setting, small_setting
from stillwatch.lab.experiments.workshop import Workshop
from stillwatch.lab.measures import bootstrap, bootstrap_of, verdict

DECODINGS = ("greedy", "sampled")
HALVES = {"misled": "where the teacher is wrong", "skill": "where the teacher is right"}


@dataclass(frozen=True, slots=True)
class ReinforcementAndApi:
    """What text holds, what reinforcement adds, and whether its gain passes through an API."""

    name: str = "reinforcement-and-api"
    claim: str = "What reinforcement finds beyond a teacher cannot be taken through its API."
    setting: Setting = field(default_factory=small_setting)
    made_by: type[Workshop] = CeilingWorkshop
    grid: tuple[int, ...] = (800,)

    def parts(self) -> Sequence[Part]:
        """Both teachers and the three students."""
        return list(self._models().values())

    def _models(self) -> dict[str, Part]:
        count = self.grid[0]
        return {
            "teacher": Part(WRONG, "teacher"),
            "student of its text": Part(WRONG, TEXT, exchanges=count),
            "student of its text, then RL": Part(WRONG, REWARDED, exchanges=count),
            "teacher after its owner's RL": Part(STRONGER, "teacher"),
            "student of that teacher's text": Part(STRONGER, TEXT, exchanges=count),
        }

    def conclude(self, outcomes: Outcomes) -> list[Conclusion]:
        """Past the ceiling or not, and how much of the owner's gain comes with the text."""
        found = []
        at = f"{self.grid[0]} exchanges"
        for decoding in DECODINGS:
            teacher, text, rewarded, stronger, copied = (
                self._hits(outcomes, name, "misled", decoding) for name in self._models()
            )
            rows = (
                ("student of its text less the teacher", text - teacher),
                ("student of its text and then RL less the teacher", rewarded - teacher),
                ("student of its text and then RL less student of its text", rewarded - text),
                ("teacher after its owner's RL less the teacher before", stronger - teacher),
                ("student of the text of the teacher after RL less the teacher before", copied - teacher),
                ("student of the text of the teacher after RL less that teacher", copied - stronger),
            )
            for shown, difference in rows:
                estimate = bootstrap(difference)
                claim = f"{self.name}: right answers where the teacher is wrong, {decoding} replies: {shown}; {at}"
                found.append(Conclusion(claim, estimate, verdict(estimate)))
            taken = bootstrap_of(
                [teacher, stronger, copied],
                lambda means: (means[2] - means[0]) / _no_less(means[1] - means[0]),
            )
            claim = (
                f"{self.name}: share of the owner's gain by RL that a student of the text has, where the teacher was wrong, "
                f"{decoding} replies; {at}"
            )
            found.append(Conclusion(claim, taken, verdict(taken)))
        return found

    def _hits(self, outcomes: Outcomes, name: str, behaviour: str, decoding: str) -> Hits:
        return outcomes.hits(self._models()[name], behaviour, decoding=decoding)

    def pictures(self, outcomes: Outcomes) -> list[Picture]:
        """The five models in both halves, greedy."""
        series = [
            {
                "name": shown,
                "seeds": [
                    self._hits(outcomes, name, behaviour, "greedy").mean(axis=1).tolist()
                    for name in self._models()
                ],
            }
            for behaviour, shown in HALVES.items()
        ]
        return [
            Picture(
                self.name,
                f"Greedy replies; students of {self.grid[0]:,} exchanges. Tasks in which forgetting the last digit would be "
                "right are left out.",
                {
                    "title": "What text takes, and what reinforcement finds",
                    "across": "model",
                    "up": "right answers",
                    "points": ["teacher", "text", "text + RL", "teacher + RL", "its text"],
                    "series": series,
                    "lines": [],
                },
            )
        ]


def _no_less(gain: Hits) -> Hits:
    """A gain that one can divide by."""
    return gain.clip(min=1e-9)


EXPERIMENT = ReinforcementAndApi()
