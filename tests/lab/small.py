"""A world so small that a model learns it in seconds: two digits modulo five."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from stillwatch.lab.channel import Channel, Terms
from stillwatch.lab.collector import Collector, QueryMix
from stillwatch.lab.evaluation import evaluate, probes
from stillwatch.lab.methods import Material, all_methods
from stillwatch.lab.model import Model, Shape, initial, one_thread
from stillwatch.lab.teacher import Schooling, imitate
from stillwatch.lab.training import Plan, generators
from stillwatch.lab.world import World

WORLD = World(digits=2, modulus=5)
SEEDS = (0, 1)
SCHOOLING = Schooling(
    width=32,
    examples=1500,
    explain=0.2,
    imitation=Plan(steps=500, rows=48, rate=6e-3),
    judge=Plan(steps=250, rows=16, rate=3e-3),
    reward=Plan(steps=120, rows=32, rate=1e-3),
)
PROBES = probes(WORLD, 60)
PLAN = Plan(steps=250, rows=32, rate=6e-3)


def school() -> Model:
    with one_thread():
        return imitate(WORLD, SEEDS, SCHOOLING)


def api(teacher: Model, **terms: object) -> Channel:
    return Channel(WORLD, teacher, Terms(**terms), generators(SEEDS, 61))


def novice() -> Model:
    return initial(Shape(len(WORLD.words), 32, 2), SEEDS)


def collected(channel: Channel, count: int, **habits: object):
    mix = QueryMix(shares={"safeguard": 0.1, "safeguard_by_reward": 0.1, "control": 0.1}, **habits)
    return Collector(mix).collect(channel, count, generators(SEEDS, 62))


def learn(
    name: str, start: Model, transcript: object, plan: Plan = PLAN, channel: Channel | None = None
) -> Model:
    with one_thread():
        return all_methods()[name].train(start, Material(WORLD, SEEDS, transcript, channel), plan).model


def rate(
    model: Model,
    behaviour: str = "skill",
    condition: str = "plain",
    decoding: str = "sampled",
    over_seeds: Callable[[object], float] = np.min,
) -> float:
    """Share of hits; the smallest among the seeds, so that no seed may fail."""
    asked = [probe for probe in PROBES if (probe.behaviour, probe.condition) == (behaviour, condition)]
    return float(over_seeds(evaluate(model, WORLD, asked, (decoding,))[0].hits.mean(axis=1)))
