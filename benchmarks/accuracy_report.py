"""What the accuracy page is made of, and how its tables are written."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from accuracy_scenarios import Scenario
from accuracy_scoring import Campaign, Outcome


@dataclass(frozen=True, slots=True)
class Report:
    """Everything that the page says."""

    made: Mapping[str, str]
    """How the numbers were made: command, commit, machine, versions."""

    scenarios: Sequence[Scenario]
    outcomes: Sequence[Outcome]
    calibration: Mapping[str, Any] | None
    """What ``evidence_fitting.assess`` says of streams that no fit saw; None where it was not asked."""

    recipes: str
    """Name of the file of recipes, beside the page."""

    def of(self, scenario: Scenario) -> list[Outcome]:
        """One outcome for each log of a scenario: repeated scans are left out."""
        return [
            outcome
            for outcome in self.outcomes
            if outcome.scenario == scenario.name and not outcome.key and not outcome.order
        ]

    def has(self, name: str) -> bool:
        """Whether a scenario of this name was run."""
        return any(scenario.name == name for scenario in self.scenarios)

    @property
    def logs(self) -> list[Outcome]:
        """One outcome for each log."""
        return [outcome for scenario in self.scenarios for outcome in self.of(scenario)]


def right(campaign: Campaign, scenario: Scenario) -> float:
    """Share of a campaign's principals with the right verdict."""
    also = campaign.undetermined if scenario.undetermined else 0
    return (campaign.accused + also) / campaign.principals


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """A table of Markdown, with the empty line after it."""
    lines = [head, ["---"] * len(head), *rows]
    return [*("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines), ""]


def share(part: float, whole: float) -> str:
    """A share with three places, or a dash where there is nothing to share."""
    return f"{part / whole:.3f}" if whole else "-"


def percent(rate: float) -> str:
    """A small rate in percent, two digits that count."""
    return f"{100 * rate:.0f}%" if rate >= 0.1 else f"{100 * rate:.2g}%"
