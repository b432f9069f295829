"""Experiments, one file a claim: what is run, what is concluded, and what is drawn."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from pkgutil import iter_modules
from typing import Any, Protocol

import pyarrow as pa

from stillwatch.lab.experiments.outcomes import Outcomes
from stillwatch.lab.experiments.parts import Conclusion, Part, Picture


class Bench(Protocol):
    """Where the parts of an experiment are made and kept."""

    def outcomes(self, part: Part) -> pa.Table:
        """Outcomes of a part, as in :data:`~stillwatch.lab.experiments.parts.OUTCOMES`."""
        ...


class Experiment(Protocol):
    """One claim and how it is measured."""

    name: str
    claim: str
    """The claim as it is made, in one sentence."""
    setting: Any
    """A frozen record with a number of ``seeds`` and all else that its numbers depend on."""
    made_by: Callable[[Any, Path], Bench]
    """Makes its parts of one setting, and keeps them in a folder."""

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
