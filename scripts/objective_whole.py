"""Scores of whole templates: means over their readings, as a family's mean goes over its exchanges.

Two kinds: sources held out in turn, and the sources of ``objective_text/held``, which no fit reads at all.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

import objective_corpus as corpus
from stillwatch.objective.classes import OBJECTIVES

if TYPE_CHECKING:
    from fit_objective import Material

    from stillwatch.objective.model import ObjectiveModel

READINGS = 24
"""Readings of a template that its mean goes over, each with another seed."""
ASKING_HEADER = ("objective", "templates", "5%", "10%", "25%", "mean", "below 15, %", "below 30, %")
HONEST_HEADER = ("source", "prompts", "mean", "90%", "95%", "99%", "15 or more, %", "30 or more, %")


def asking_row(name: str, means: NDArray[np.float64]) -> list[str]:
    """One row under :data:`ASKING_HEADER`; ``means`` float64[templates], in percent."""
    low = [f"{value:.0f}" for value in (*np.quantile(means, [0.05, 0.1, 0.25]), means.mean())]
    return [name, str(len(means)), *low, *(f"{100 * (means < bar).mean():.1f}" for bar in (15, 30))]


def honest_row(name: str, means: NDArray[np.float64]) -> list[str]:
    """One row under :data:`HONEST_HEADER`; ``means`` float64[prompts], in percent."""
    high = [f"{value:.0f}" for value in (means.mean(), *np.quantile(means, [0.9, 0.95, 0.99]))]
    return [name, str(len(means)), *high, *(f"{100 * (means >= bar).mean():.1f}" for bar in (15, 30))]


def tables_of(rows: Sequence[tuple[corpus.Line, float]]) -> tuple[list[list[str]], list[list[str]]]:
    """Rows by objective and, of what asks for none of these, by source; each pair: a line and its mean."""
    asking = [(name, [mean for line, mean in rows if name in line.objectives]) for name in OBJECTIVES] + [
        ("*all*", [mean for line, mean in rows if line.objectives])
    ]
    plain = [(line.source, mean) for line, mean in rows if not line.objectives]
    honest = [
        (name, [mean for source, mean in plain if source == name]) for name in sorted({s for s, _ in plain})
    ]
    honest.append(("*all*", [mean for _, mean in plain]))
    return (
        [asking_row(name, np.array(means)) for name, means in asking if means],
        [honest_row(name, np.array(means)) for name, means in honest if means],
    )


def asking_by_source(rows: Sequence[tuple[corpus.Line, float]]) -> list[list[str]]:
    """The rows of what asks for an objective, by source: voices differ more than objectives do."""
    asking = [(line.source, mean) for line, mean in rows if line.objectives]
    return [
        asking_row(name, np.array([mean for source, mean in asking if source == name]))
        for name in sorted({source for source, _ in asking})
    ]


def held_out(material: Material, chances: NDArray[np.float64]) -> list[tuple[corpus.Line, float]]:
    """Whole lines and the mean of their best objective, by the model that saw none of their source.

    What honest people of the arena send is left out: much of it are pipelines that ask for what campaigns do.
    """
    lines, best = material.lines, chances.max(axis=1)
    plain = np.array([not document.varied for document in material.documents])
    total = np.bincount(material.line_of_text[plain], best[plain], len(lines))
    count = np.bincount(material.line_of_text[plain], minlength=len(lines))
    return [
        (line, total[at] / count[at])
        for at, line in enumerate(lines)
        if line.whole and count[at] and (line.objectives or not line.source.startswith("arena_"))
    ]


def never_fitted(folder: Path, material: Material, model: ObjectiveModel) -> list[tuple[corpus.Line, float]]:
    """Lines of ``folder`` and the mean of their objective that scores best, by the shipped model."""
    rng = random.Random(20260224)
    seeds: dict[str, list[str]] = {}
    for line in material.lines:
        if not line.objectives and not line.whole and line.source != "python_library":
            seeds.setdefault(line.language, []).append(line.text)
    rows = []
    for line in corpus.read_written(folder):
        scores = np.zeros(len(OBJECTIVES))
        for _ in range(READINGS):
            seed = corpus.expand(rng.choice(seeds[line.language]), rng).replace(corpus.SEED_MARK, "")
            text = corpus.expand(line.text, rng).replace(corpus.SEED_MARK, seed, 1)
            text = (
                text.replace(corpus.SEED_MARK, "") if corpus.SEED_MARK in line.text else f"{text}\n\n{seed}"
            )
            scores += np.array(list(model.score(text).values())) / READINGS
        rows.append((line, float(scores.max())))
    return rows
