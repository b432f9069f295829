"""Claim 1: logits carry more than tokens, so that distillation needs fewer exchanges than fine-tuning on text.

Both arms learn from the very same exchanges: one from the words that were shown, one from the distribution at every
token. The estimate is the difference of skill (distillation less fine-tuning on text), the mean over the whole grid
of exchanges, so that no point of the curve is picked by hand; once with a sharp teacher and once with an entropic one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from stillwatch.lab.experiments.outcomes import Outcomes
from stillwatch.lab.experiments.parts import Conclusion, Part, Picture, Setting
from stillwatch.lab.measures import bootstrap, exchanges_to_share, transfer, verdict
from stillwatch.lab.teacher import KINDS

METHODS = ("imitation", "distillation")
SHOWN = {"imitation": "text (SFT)", "distillation": "all logits (KD)"}
DECODING = "sampled"  # as the channel samples; greedy decoding is concluded on as well


@dataclass(frozen=True, slots=True)
class LogitsAndTokens:
    """Distillation against fine-tuning, for each exchange."""

    name: str = "logits-and-tokens"
    claim: str = "Logits carry more than tokens: distillation beats fine-tuning on text for each exchange."
    setting: Setting = field(default_factory=Setting)
    grid: tuple[int, ...] = (200, 400, 800, 1600, 3200)

    def parts(self) -> Sequence[Part]:
        """Teachers, then both arms by exchanges."""
        arms = [
            Part(kind, method, exchanges=count)
            for kind in reversed(KINDS)
            for count in self.grid
            for method in METHODS
        ]
        return [*(Part(kind, "teacher") for kind in KINDS), *arms]

    def conclude(self, outcomes: Outcomes) -> list[Conclusion]:
        """Mean difference over the grid, for each teacher and decoding."""
        found = []
        for kind in KINDS:
            for decoding in (DECODING, "greedy"):
                each = [self._difference(outcomes, kind, count, decoding) for count in self.grid]
                estimate = bootstrap(np.mean(each, axis=0))
                claim = (
                    f"{self.name}: skill by distillation less skill by text, {kind} teacher, {decoding} replies, "
                    f"mean over {self.grid[0]} to {self.grid[-1]} exchanges"
                )
                found.append(Conclusion(claim, estimate, verdict(estimate)))
        return found

    def _difference(
        self, outcomes: Outcomes, kind: str, count: int, decoding: str
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
        text, logits = (
            outcomes.hits(Part(kind, method, exchanges=count), "skill", decoding=decoding)
            for method in METHODS
        )
        return logits - text

    def pictures(self, outcomes: Outcomes) -> list[Picture]:
        """One chart a teacher: skill against exchanges, every seed."""
        return [self._picture(outcomes, kind) for kind in KINDS]

    def _picture(self, outcomes: Outcomes, kind: str) -> Picture:
        ceiling = float(outcomes.rates(Part(kind, "teacher"), "skill", decoding=DECODING).mean())
        chance = 1 / self.setting.world.modulus
        series, reached = [], []
        for method in METHODS:
            rates = [
                outcomes.rates(Part(kind, method, exchanges=count), "skill", decoding=DECODING).tolist()
                for count in self.grid
            ]
            series.append({"name": SHOWN[method], "seeds": rates})
            gains = [transfer(float(np.mean(each)), ceiling, chance) for each in rates]
            half = exchanges_to_share(self.grid, gains)
            reached.append(
                f"{SHOWN[method]}: {half:,.0f}" if np.isfinite(half) else f"{SHOWN[method]}: not reached"
            )
        return Picture(
            f"{self.name}-{kind}",
            f"{kind.capitalize()} teacher. Exchanges to half of the teacher's gain (mean of seeds): "
            f"{'; '.join(reached)}.",
            {
                "title": f"Skill of the student, {kind} teacher",
                "across": "exchanges in the transcript",
                "up": "right answers",
                "points": list(self.grid),
                "series": series,
                "lines": [
                    {"name": "teacher, sampled", "value": ceiling},
                    {"name": "chance", "value": chance},
                ],
            },
        )


EXPERIMENT = LogitsAndTokens()
