"""Models that several tests look at, trained once."""

from __future__ import annotations

import pytest

from stillwatch.lab.model import Model, one_thread
from stillwatch.lab.teacher import learn_by_reward
from stillwatch.lab.training import Plan
from tests.lab.small import SCHOOLING, SEEDS, WORLD, api, collected, learn, novice, school


@pytest.fixture(scope="session")
def imitated() -> Model:
    """Teachers before any reinforcement."""
    return school()


@pytest.fixture(scope="session")
def taught(imitated: Model) -> Model:
    """The same teachers after reinforcement: they refuse in the second safeguard's categories too."""
    with one_thread():
        return learn_by_reward(WORLD, imitated, SEEDS, SCHOOLING)


@pytest.fixture(scope="session")
def apprentice(imitated: Model) -> Model:
    """Students that have learned a little from text, for methods that need a warm start."""
    transcript = collected(api(imitated), 240)
    return learn("imitation", novice(), transcript, Plan(steps=150, rows=32, rate=6e-3))
