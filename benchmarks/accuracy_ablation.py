"""What the verdicts would be without one signal, or without one bar, over streams that were measured once."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

from accuracy_truth import Truth
from stillwatch.evidence import Measured, load_weights
from stillwatch.examine import Options, Scanned
from stillwatch.judging import judge
from stillwatch.verdict import Verdict

NOTHING = "(nothing)"


@dataclass(frozen=True, slots=True)
class Removal:
    """Verdicts without one thing."""

    removed: str
    """Signal of which the curve is set to zero bits, or bar that is taken away; ``NOTHING``: the scan as it is."""

    accused: dict[str, int]
    """Accused principals of each operator."""

    falsely: int
    """Innocent principals that are accused."""


def remove_each(scanned: Scanned, truth: Truth, options: Options) -> list[Removal]:
    """Rule again on every group of families, once without each signal and each bar.

    Groups stay as the full evidence made them: what changes is the ruling on each.
    """
    found = []
    for name, measured, changed in _without_each(scanned.by_group, options):
        accused: set[int] = set()
        for judged in judge(scanned, scanned.merged, scanned.groups.judged, measured, changed):
            if judged.ruling.verdict is Verdict.EXTRACTION:
                accused.update(judged.taking_part.tolist())
        owners = [truth.operator.get(scanned.principals.name(principal), "") for principal in accused]
        held = {operator: owners.count(operator) for operator in sorted(set(owners) - {""})}
        found.append(Removal(name, held, owners.count("")))
    return found


def _without_each(measured: Measured, options: Options) -> Iterator[tuple[str, Measured, Options]]:
    yield NOTHING, measured, options
    for index, signal in enumerate(measured.signals):
        if signal in load_weights().curves:
            bits = measured.bits.copy()
            bits[:, index] = 0.0
            yield signal, replace(measured, bits=bits), options
    without = (
        ("intent", replace(options.bar, intent=-math.inf)),
        ("conduct", replace(options.bar, conduct=-math.inf)),
    )
    for name, bar in without:
        yield f"(the bar on {name})", measured, replace(options, bar=bar)
