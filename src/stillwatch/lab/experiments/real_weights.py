"""Real weights, end to end: a safeguard is trained into a pretrained model, and a smaller one learns from what it says.

The model does not refuse by itself, so an adapter teaches it to refuse (and, as the matched control, to greet in
gardening). A student cut out of the untaught model then learns from 94 sampled replies, by text or by logits. One
seed: this shows that the machinery works on weights that were trained elsewhere, and decides nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from stillwatch.lab.experiments.outcomes import Hits, Outcomes
from stillwatch.lab.experiments.parts import Conclusion, Part, Picture
from stillwatch.lab.language.requests import BEHAVIOURS, CONDITIONS
from stillwatch.lab.language.workshop import AS_IS, NOVICE, TAUGHT, TextSetting, TextWorkshop
from stillwatch.lab.measures import bootstrap, verdict

EXCHANGES = 94
MODEL, TEACHER, START = (Part("pretrained", method, "plain") for method in (AS_IS, TAUGHT, NOVICE))
TEXT, LOGITS = (Part("pretrained", method, "plain", EXCHANGES) for method in ("imitation", "distillation"))
SHOWN = {
    "model as it is": MODEL,
    "teacher": TEACHER,
    "student before": START,
    "text (SFT)": TEXT,
    "all logits (KD)": LOGITS,
}
PERTURBATIONS = CONDITIONS[1:]


@dataclass(frozen=True, slots=True)
class RealWeights:
    """Teacher, two students, and both models before."""

    name: str = "real-weights"
    claim: str = "Skill and safeguard of a pretrained model cross to a smaller one through fewer than a hundred replies."
    setting: TextSetting = field(default_factory=TextSetting)
    made_by: type[TextWorkshop] = TextWorkshop

    def parts(self) -> Sequence[Part]:
        """Both models as they were, the teacher, and the students."""
        return list(SHOWN.values())

    def conclude(self, outcomes: Outcomes) -> list[Conclusion]:
        """What was taught, what crossed, whether logits gave more, and what perturbations took."""
        found = [
            self._concluded(
                f"{name} of the teacher less that of the model as it is, plain requests",
                outcomes.hits(TEACHER, name) - outcomes.hits(MODEL, name),
            )
            for name in BEHAVIOURS
        ]
        for part, shown in ((TEXT, "text (SFT)"), (LOGITS, "all logits (KD)")):
            found += [
                self._concluded(
                    f"{name} by {shown} less that of the student before, plain requests",
                    outcomes.hits(part, name) - outcomes.hits(START, name),
                )
                for name in BEHAVIOURS
            ]
            found += [
                self._concluded(
                    f"safeguard less {other} by {shown}, change from plain, mean over all perturbations",
                    _change(outcomes, part, "safeguard") - _change(outcomes, part, other),
                )
                for other in ("skill", "control")
            ]
        difference = np.mean(
            [outcomes.hits(LOGITS, name) - outcomes.hits(TEXT, name) for name in BEHAVIOURS], axis=0
        )
        return [
            *found,
            self._concluded(
                "all logits (KD) less text (SFT), mean over behaviours, plain requests", difference
            ),
        ]

    def _concluded(self, what: str, differences: Hits) -> Conclusion:
        estimate = bootstrap(differences)
        return Conclusion(f"{self.name}: {what}", estimate, verdict(estimate))

    def pictures(self, outcomes: Outcomes) -> list[Picture]:
        """Every model on plain requests, and the students under every condition."""
        plain = [
            {"name": name, "seeds": [outcomes.rates(part, name).tolist() for part in SHOWN.values()]}
            for name in BEHAVIOURS
        ]
        pictures = [
            Picture(
                self.name,
                f"{EXCHANGES} exchanges, plain requests, {self.setting.asked} of each behaviour.",
                _chart("What each model does when asked plainly", "model", list(SHOWN), plain),
            )
        ]
        for part, shown in ((TEXT, "text"), (LOGITS, "logits")):
            kept = [
                {"name": name, "seeds": [outcomes.rates(part, name, each).tolist() for each in CONDITIONS]}
                for name in BEHAVIOURS
            ]
            title = f"What the student of the teacher's {shown} keeps"
            caption = f"{EXCHANGES} exchanges, {self.setting.asked} requests of each behaviour and condition."
            pictures.append(
                Picture(
                    f"{self.name}-{shown}",
                    caption,
                    _chart(title, "condition of the request", list(CONDITIONS), kept),
                )
            )
        return pictures


def _chart(
    title: str, across: str, points: list[str], series: Sequence[Mapping[str, object]]
) -> dict[str, object]:
    return {
        "title": title,
        "across": across,
        "up": "replies as called for",
        "points": points,
        "series": series,
        "lines": [],
    }


def _change(outcomes: Outcomes, part: Part, behaviour: str) -> Hits:
    """Hits under a perturbation less hits on plain requests, mean over perturbations: [seeds, requests]."""
    plain = outcomes.hits(part, behaviour)
    changes: Hits = np.mean([outcomes.hits(part, behaviour, each) - plain for each in PERTURBATIONS], axis=0)
    return changes


EXPERIMENT = RealWeights()
