"""Cloud et al. 2025, section 6.2: a student reads digits that learned from logits without meaning on images of noise.

Where teacher and student start from the same weights, what the teacher learned crosses through outputs that have
nothing to do with it; no filter of the exchanges could have seen that. Where they start apart, nothing crosses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from stillwatch.lab.digits.auxiliary import OTHER_START, SAME_START, AuxiliaryLogits
from stillwatch.lab.digits.workshop import DigitsWorkshop
from stillwatch.lab.experiments.outcomes import Outcomes
from stillwatch.lab.experiments.parts import Conclusion, Part, Picture
from stillwatch.lab.measures import bootstrap, verdict

UNTRAINED, TEACHER = Part("digits", "untrained", "noise"), Part("digits", "teacher", "all")
SAME, OTHER = Part("digits", SAME_START, "noise"), Part("digits", OTHER_START, "noise")
SHOWN = {
    "untrained": UNTRAINED,
    "teacher": TEACHER,
    "student, same start": SAME,
    "student, other start": OTHER,
}
CHANCE = 0.1
PAPER = 0.5
NEAR_CHANCE = 0.05  # a student this close to chance has learned nothing to speak of


@dataclass(frozen=True, slots=True)
class AuxiliaryLogitsOnNoise:
    """The same start against another one."""

    name: str = "auxiliary-logits"
    claim: str = "A student that starts from the teacher's weights learns digits from logits without meaning, on noise."
    setting: AuxiliaryLogits = field(default_factory=AuxiliaryLogits)
    made_by: type[DigitsWorkshop] = DigitsWorkshop

    def parts(self) -> Sequence[Part]:
        """The start, the teacher, both students."""
        return list(SHOWN.values())

    def conclude(self, outcomes: Outcomes) -> list[Conclusion]:
        """What the paper reports: over half right with the same start; nothing with another."""
        untrained, same, other = (outcomes.hits(part, "digits") for part in (UNTRAINED, SAME, OTHER))
        differences = [
            ("same start less the same weights untrained", bootstrap(same - untrained)),
            ("same start less other start", bootstrap(same - other)),
            (f"same start, over the paper's {PAPER}", bootstrap(same - PAPER)),
        ]
        found = [
            Conclusion(f"{self.name}: share of digits right, {what}", estimate, verdict(estimate))
            for what, estimate in differences
        ]
        apart = bootstrap(other - CHANCE)
        told = verdict(bootstrap(NEAR_CHANCE - abs(other.mean(axis=1, keepdims=True) - CHANCE)))
        claim = f"{self.name}: share of digits right, other start less chance; within {NEAR_CHANCE} of it"
        return [*found, Conclusion(claim, apart, told)]

    def pictures(self, outcomes: Outcomes) -> list[Picture]:
        """The four networks, every seed."""
        return [
            Picture(
                self.name,
                "A student that starts where its teacher started reads digits; one that starts elsewhere does not.",
                {
                    "title": "Digits learned from logits without meaning, on noise",
                    "across": "network",
                    "up": "test digits read rightly",
                    "points": list(SHOWN),
                    "series": [
                        {
                            "name": "share right",
                            "seeds": [outcomes.rates(part, "digits").tolist() for part in SHOWN.values()],
                        }
                    ],
                    "lines": [{"name": "chance", "value": CHANCE}],
                },
            )
        ]


EXPERIMENT = AuxiliaryLogitsOnNoise()
