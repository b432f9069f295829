"""What an experiment is made of: parts that are run once and kept, and conclusions drawn from their outcomes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from stillwatch.lab.collector import QueryMix
from stillwatch.lab.measures import Estimate
from stillwatch.lab.teacher import Schooling
from stillwatch.lab.training import Plan
from stillwatch.lab.world import BEHAVIOURS, World

OUTCOMES = pa.schema(
    [
        ("teacher", pa.string()),
        ("method", pa.string()),
        ("mix", pa.string()),
        ("exchanges", pa.int64()),
        ("seed", pa.int64()),
        ("behaviour", pa.string()),
        ("condition", pa.string()),
        ("decoding", pa.string()),
        ("steps", pa.int64()),
        ("rate", pa.float64()),
        ("hits", pa.list_(pa.bool_())),
    ]
)
"""One row a model, behaviour, condition and decoding; ``hits`` has one value a prompt. The teacher itself is the
method ``teacher`` with no exchanges."""

CONDITIONAL = ("safeguard", "safeguard_by_reward", "control")
MIXES: Mapping[str, QueryMix] = {
    "10%": QueryMix(shares=dict.fromkeys(CONDITIONAL, 0.1)),
    "1%": QueryMix(shares=dict.fromkeys(CONDITIONAL, 0.01)),
    "10%-one": QueryMix(shares={"safeguard": 0.1, "safeguard_by_reward": 0.0, "control": 0.1}),
    "10%-varied": QueryMix(shares=dict.fromkeys(CONDITIONAL, 0.1), prefix=0.3, paraphrase=0.4),
}
"""Query mixes by the share of exchanges that each safeguard and the control get; the skill has the rest. A varied mix
asks some prompts with words before them and some with the category's other word; the mix of one safeguard shows the
refusal as often as the control's mark, which two safeguards show twice as often."""


@dataclass(frozen=True, slots=True)
class Setting:
    """Everything that the numbers of a part depend on, beside the part itself."""

    seeds: int = 9
    """Teachers, transcripts and students; each seed is a world of its own."""
    world: World = field(default_factory=World)
    schooling: Schooling = Schooling(explain=0.0)
    width: int = 32
    """Width of a student."""
    layers: int = 2
    plan: Plan = Plan(steps=1600, rate=6e-3, rows=32, decay=0.1, check_every=40, patience=10)
    """Training of a student: until no seed has improved on held-out exchanges for 400 steps, at most 1600."""
    reinforcement: Plan = Plan(steps=150, rate=1e-3, rows=64)
    """Reinforcement of a student, where a part has it; rows are replies a step."""
    prompts: int = 64
    """Prompts of every behaviour and condition in the evaluation."""
    longest: int = 3200
    """Exchanges of the whole transcript; smaller sets are its first ones."""


def small_setting() -> Setting:
    """Three digits modulo five and no second safeguard: all that questions about the skill need, in a tenth of the time."""
    return Setting(
        world=World(
            digits=3, modulus=5, behaviours=tuple(group for group in BEHAVIOURS if not group.by_reward)
        ),
        schooling=Schooling(
            width=32,
            examples=2500,
            imitation=Plan(steps=600, rate=8e-3, rows=48),
            entropic=Plan(steps=150, rate=3e-3, rows=48),
            slip=0.08,
            explain=0.2,
        ),
        width=24,
        layers=2,
        plan=Plan(steps=600, rate=8e-3, rows=32, decay=0.1, check_every=30, patience=8),
        reinforcement=Plan(steps=100, rate=2e-3, rows=48),
        prompts=128,
        longest=1600,
    )


@dataclass(frozen=True, slots=True, order=True)
class Part:
    """Students of all seeds, trained in one way."""

    teacher: str
    """sharp or entropic."""
    method: str
    """Name of a method, several joined by ``+`` one after the other, or ``teacher`` for the teacher itself."""
    mix: str = "10%"
    """Key of ``MIXES``."""
    exchanges: int = 0

    @property
    def name(self) -> str:
        """File name of its outcomes."""
        return f"{self.teacher}-{self.method}-{self.mix.replace('%', '')}-{self.exchanges:05d}"


def ends_first(grid: Sequence[int]) -> list[int]:
    """The points of a curve with both ends first.

    >>> ends_first((50, 150, 400, 800))
    [800, 50, 150, 400]
    """
    return [grid[-1], *grid[:-1]]


@dataclass(frozen=True, slots=True)
class Conclusion:
    """One row of ``summary.json``."""

    claim: str
    estimate: Estimate
    verdict: str
    """holds, does not hold, undecided, or a sentence that begins so."""

    def record(self, command: str) -> dict[str, Any]:
        """The row as it is written."""
        return {
            "claim": self.claim,
            "seeds": self.estimate.seeds,
            "estimate": round(self.estimate.value, 4),
            "low": round(self.estimate.low, 4),
            "high": round(self.estimate.high, 4),
            "verdict": self.verdict,
            "command": command,
        }


@dataclass(frozen=True, slots=True)
class Picture:
    """One chart of an experiment, as plain data for :func:`stillwatch.report.charts.draw_experiment`."""

    name: str
    caption: str
    data: Mapping[str, Any]
