"""The outcomes of all parts of an experiment, looked up by what was run."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from stillwatch.lab.experiments.parts import Part

Hits = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Outcomes:
    """A table of :data:`~stillwatch.lab.experiments.parts.OUTCOMES`."""

    table: pa.Table

    def hits(self, part: Part, behaviour: str, condition: str = "plain", decoding: str = "greedy") -> Hits:
        """Hits of a part: [seeds, prompts], seeds in order."""
        wanted = {
            "teacher": part.teacher,
            "method": part.method,
            "mix": part.mix,
            "exchanges": part.exchanges,
            "behaviour": behaviour,
            "condition": condition,
            "decoding": decoding,
        }
        chosen = pc.scalar(True)
        for column, value in wanted.items():
            chosen = chosen & (pc.field(column) == value)
        rows = self.table.filter(chosen).sort_by("seed")
        if rows.num_rows == 0:
            raise LookupError(f"no outcome of {part.name} for {behaviour}, {condition}, {decoding}")
        return np.array(rows["hits"].to_pylist(), dtype=float)

    def rates(self, part: Part, behaviour: str, condition: str = "plain", decoding: str = "greedy") -> Hits:
        """Share of hits of every seed: [seeds]."""
        rates: Hits = self.hits(part, behaviour, condition, decoding).mean(axis=1)
        return rates
