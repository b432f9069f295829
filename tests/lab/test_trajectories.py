"""Agents learn from the trajectories of others: the slowest of the lessons, in a file of its own."""

from __future__ import annotations

import pytest

pytest.importorskip("torch", reason="torch comes with the extra [lab]")

from stillwatch.lab import tools
from stillwatch.lab.methods import Material, all_methods
from stillwatch.lab.model import Shape, initial, one_thread
from stillwatch.lab.training import Plan, generators
from tests.lab.small import SEEDS, WORLD

SEED = SEEDS[:1]


@pytest.mark.slow
def test_trajectories_transfer_the_use_of_tools():
    sources = generators(SEED, 71)
    agent = Shape(tools.WORDS, 48, 2)
    method = all_methods()["trajectories"]
    plan = Plan(steps=500, rows=64, rate=8e-3)

    def tasks(count):
        return [tools.new_tasks(source, count) for source in sources]

    def success(model):
        return float(tools.act(model, tasks(60), generators(SEED, 72), temperature=0.0)[1].mean(axis=1).min())

    with one_thread():
        lessons = tools.expert(tasks(1500), sources)
        teacher = method.train(initial(agent, SEED), Material(WORLD, SEED, lessons), plan).model
        taken, reached = tools.act(teacher, tasks(1500), generators(SEED, 73))
        start = initial(agent, [seed + 5 for seed in SEED])
        student = method.train(start, Material(WORLD, SEED, taken), plan).model
    assert success(start) == 0
    assert reached.mean() > 0.7
    assert success(student) > 0.5
