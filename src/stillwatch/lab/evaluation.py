"""The evaluation: what a model does in every behaviour's categories, plain and under each perturbation.

All models see the same prompts, so that differences are paired by prompt as well as by seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch

from stillwatch.lab.collector import begun
from stillwatch.lab.model import Model, Sampling, generate
from stillwatch.lab.training import generators
from stillwatch.lab.world import CONDITIONS, Behaviour, Prompts, World

EVALUATION_SEED = 2026


@dataclass(frozen=True, slots=True)
class Probe:
    """The prompts of one behaviour under one condition."""

    behaviour: str
    condition: str
    prompts: Prompts
    begun: npt.NDArray[np.int64] | None
    """First tokens that are put into the model's mouth: [rows, tokens]."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the models of all seeds did on one probe."""

    behaviour: str
    condition: str
    decoding: str
    """greedy or sampled (temperature 1)."""
    hits: npt.NDArray[np.bool_]
    """Whether a reply is what its category calls for: [seeds, prompts]."""

    @property
    def rate(self) -> float:
        """Share of hits over all seeds and prompts."""
        return float(self.hits.mean())


def probes(world: World, prompts: int, conditions: Sequence[str] = CONDITIONS) -> list[Probe]:
    """The fixed prompts of every behaviour and condition."""
    return [
        _probe(world, behaviour, condition, prompts, place)
        for place, behaviour in enumerate(world.behaviours)
        for condition in conditions
    ]


def _probe(world: World, behaviour: Behaviour, condition: str, prompts: int, place: int) -> Probe:
    # The same tasks under every condition: only the perturbation differs.
    rng = np.random.default_rng([EVALUATION_SEED, place])
    categories = behaviour.unseen if condition == "unseen" else behaviour.asked
    category = np.resize(np.array(categories), prompts)
    asked = world.prompts(
        rng, category, prefix=float(condition == "prefix"), paraphrase=float(condition == "paraphrase")
    )
    return Probe(behaviour.name, condition, asked, begun(world, asked) if condition == "prefill" else None)


DECODINGS = {"greedy": 0.0, "sampled": 1.0}


def evaluate(
    model: Model, world: World, asked: Sequence[Probe], decodings: Sequence[str] = ("greedy",)
) -> list[Outcome]:
    """Ask every model every probe; probes that begin alike are asked in one batch."""
    found: list[Outcome] = []
    for decoding in decodings:
        for prefilled in (False, True):
            group = [probe for probe in asked if (probe.begun is not None) == prefilled]
            if group:
                found.extend(_asked_together(model, world, group, decoding))
    return found


def _asked_together(model: Model, world: World, group: Sequence[Probe], decoding: str) -> list[Outcome]:
    seeds = model.seeds
    tokens = torch.from_numpy(np.concatenate([probe.prompts.tokens for probe in group]))
    first = [probe.begun for probe in group if probe.begun is not None]
    prefill = torch.from_numpy(np.concatenate(first)).expand(seeds, -1, -1) if first else None
    how = Sampling(world.reply_tokens, DECODINGS[decoding])
    sources = generators(range(seeds), EVALUATION_SEED)
    replies = generate(model, tokens.expand(seeds, -1, -1), how, sources, prefill).numpy()
    found, start = [], 0
    for probe in group:
        stop = start + len(probe.prompts)
        hits = np.stack([world.verify(probe.prompts, replies[seed, start:stop]) for seed in range(seeds)])
        found.append(Outcome(probe.behaviour, probe.condition, decoding, hits))
        start = stop
    return found
