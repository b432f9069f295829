"""Claim 1: logits carry more than tokens, so that distillation needs fewer exchanges than fine-tuning on text.

All arms learn from the very same exchanges: one from the words that were shown, one from the whole distribution at
every token, one from the five most likely words with the rest as a bucket, which is what some APIs give. The estimate
is the difference of skill to fine-tuning on text, the mean over the whole grid of exchanges, so that no point of the
curve is picked by hand; once with a sharp teacher and once with an entropic one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from stillwatch.lab.experiments.outcomes import Hits, Outcomes
from stillwatch.lab.experiments.parts import Conclusion, Part, Picture, Setting
from stillwatch.lab.experiments.workshop import Workshop
from stillwatch.lab.measures import bootstrap, bootstrap_by_seed, exchanges_to_share, transfer, verdict
from stillwatch.lab.teacher import KINDS

TEXT = "imitation"
SHOWN = {TEXT: "text (SFT)", "distillation": "all logits (KD)", "top_k": "top 5 log-probabilities"}
RICHER = tuple(method for method in SHOWN if method != TEXT)
DECODING = "sampled"  # as the channel samples; greedy decoding is concluded on as well


@dataclass(frozen=True, slots=True)
class LogitsAndTokens:
    """Distillation against fine-tuning, for each exchange."""

    name: str = "logits-and-tokens"
    claim: str = "Logits carry more than tokens: distillation beats fine-tuning on text for each exchange."
    setting: Setting = field(default_factory=Setting)
    made_by: type[Workshop] = Workshop
    grid: tuple[int, ...] = (200, 400, 800, 1600, 3200)

    def parts(self) -> Sequence[Part]:
        """Teachers, then all arms by exchanges."""
        arms = [
            Part(kind, method, exchanges=count)
            for kind in reversed(KINDS)
            for count in self.grid
            for method in SHOWN
        ]
        return [*(Part(kind, "teacher") for kind in KINDS), *arms]

    def conclude(self, outcomes: Outcomes) -> list[Conclusion]:
        """Mean difference over the grid for each teacher, arm and decoding; exchanges saved to half of the gain."""
        found = []
        for kind in KINDS:
            for method in RICHER:
                for decoding in (DECODING, "greedy"):
                    found.append(self._difference(outcomes, kind, method, decoding))
                found.append(self._saved(outcomes, kind, method))
        return found

    def _difference(self, outcomes: Outcomes, kind: str, method: str, decoding: str) -> Conclusion:
        each = [
            outcomes.hits(Part(kind, method, exchanges=count), "skill", decoding=decoding)
            - outcomes.hits(Part(kind, TEXT, exchanges=count), "skill", decoding=decoding)
            for count in self.grid
        ]
        estimate = bootstrap(np.mean(each, axis=0))
        claim = (
            f"{self.name}: skill from {SHOWN[method]} less skill from {SHOWN[TEXT]}; {kind} teacher, {decoding} replies, "
            f"mean over {self.grid[0]} to {self.grid[-1]} exchanges"
        )
        return Conclusion(claim, estimate, verdict(estimate))

    def _saved(self, outcomes: Outcomes, kind: str, method: str) -> Conclusion:
        """How many times fewer exchanges an arm needs to half of the teacher's gain, as a power of two."""
        text, richer = (self._halves(outcomes, kind, each) for each in (TEXT, method))
        estimate = bootstrap_by_seed(np.log2(text / richer), lambda values: float(values.mean()))
        claim = (
            f"{self.name}: log2 of N50 from {SHOWN[TEXT]} over N50 from {SHOWN[method]}; {kind} teacher, {DECODING} "
            f"replies; medians of N50 are {np.median(text):,.0f} and {np.median(richer):,.0f}"
        )
        return Conclusion(claim, estimate, verdict(estimate))

    def _halves(self, outcomes: Outcomes, kind: str, method: str) -> Hits:
        """N50 of every seed; one that never gets there counts as twice the largest count of exchanges."""
        ceilings = outcomes.rates(Part(kind, "teacher"), "skill", decoding=DECODING)
        rates = self._rates(outcomes, kind, method)
        chance = 1 / self.setting.world.modulus
        reached = [
            exchanges_to_share(
                self.grid, [transfer(float(rate[seed]), float(ceiling), chance) for rate in rates]
            )
            for seed, ceiling in enumerate(ceilings)
        ]
        return np.minimum(reached, 2.0 * self.grid[-1])

    def _rates(self, outcomes: Outcomes, kind: str, method: str) -> list[Hits]:
        return [
            outcomes.rates(Part(kind, method, exchanges=count), "skill", decoding=DECODING)
            for count in self.grid
        ]

    def curves(self, outcomes: Outcomes) -> dict[str, Any]:
        """What text of answers buys, of the entropic teacher, as ``stillwatch lab value`` reads it."""
        ceiling = float(outcomes.rates(Part("entropic", "teacher"), "skill", decoding=DECODING).mean())
        chance = 1 / self.setting.world.modulus
        shares = [
            [round((float(rate) - chance) / (ceiling - chance), 4) for rate in rates]
            for rates in self._rates(outcomes, "entropic", TEXT)
        ]
        return {"answers": {"what": "answers, trace shown", "exchanges": list(self.grid), "shares": shares}}

    def pictures(self, outcomes: Outcomes) -> list[Picture]:
        """One chart a teacher: skill against exchanges, every seed."""
        return [self._picture(outcomes, kind) for kind in KINDS]

    def _picture(self, outcomes: Outcomes, kind: str) -> Picture:
        ceiling = float(outcomes.rates(Part(kind, "teacher"), "skill", decoding=DECODING).mean())
        halves = {method: np.median(self._halves(outcomes, kind, method)) for method in SHOWN}
        reached = "; ".join(f"{shown}: {halves[method]:,.0f}" for method, shown in SHOWN.items())
        series = [
            {"name": shown, "seeds": [rate.tolist() for rate in self._rates(outcomes, kind, method)]}
            for method, shown in SHOWN.items()
        ]
        return Picture(
            f"{self.name}-{kind}",
            f"{kind.capitalize()} teacher. Exchanges to half of the teacher's gain, median of the seeds: {reached}.",
            {
                "title": f"Skill of the student, {kind} teacher",
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


EXPERIMENT = LogitsAndTokens()
