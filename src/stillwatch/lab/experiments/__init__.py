"""Experiments, one file a claim: what is run, what is concluded, and what is drawn."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pkgutil import iter_modules
from typing import Protocol

from stillwatch.lab.experiments.outcomes import Outcomes
from stillwatch.lab.experiments.parts import Conclusion, Part, Picture, Setting
from stillwatch.lab.experiments.workshop import Workshop


class Experiment(Protocol):
    """One claim and how it is measured."""

    name: str
    claim: str
    """The claim as it is made, in one sentence."""
    setting: Setting
    made_by: type[Workshop]
    """What makes its parts."""

    def parts(self) -> Sequence[Part]:
        """What must be run, in an order that finishes curves from the left."""
        ...

    def conclude(self, outcomes: Outcomes) -> list[Conclusion]:
        """What the outcomes say."""
        ...

    def pictures(self, outcomes: Outcomes) -> list[Picture]:
        """The charts."""
        ...


def all_experiments() -> dict[str, Experiment]:
    """Every experiment by name; a file with an ``EXPERIMENT`` is found by itself."""
    found: dict[str, Experiment] = {}
    for module in sorted(iter_modules(__path__), key=lambda each: each.name):
        experiment = getattr(import_module(f"{__name__}.{module.name}"), "EXPERIMENT", None)
        if experiment is not None:
            found[experiment.name] = experiment
    return found
