"""Every way to train learns: the student is evaluated before and after."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stillwatch.lab.collector import Collector, QueryMix
from stillwatch.lab.methods import Material, all_methods
from stillwatch.lab.training import Plan, generators
from tests.lab.small import SEEDS, WORLD, api, collected, learn, novice, rate

CHANCE = 1 / WORLD.modulus


def test_a_teacher_learns_tasks_safeguard_and_control_under_every_perturbation(imitated):
    for behaviour in ("skill", "safeguard", "control"):
        for condition in ("plain", "prefix", "paraphrase", "prefill", "unseen"):
            assert rate(imitated, behaviour, condition) > 0.8, (behaviour, condition)


def test_reinforcement_against_a_reward_model_teaches_a_teacher_its_second_safeguard(imitated, taught):
    for condition in ("plain", "paraphrase", "prefill"):
        assert rate(imitated, "safeguard_by_reward", condition) < 0.6
        assert rate(taught, "safeguard_by_reward", condition) > 0.75
    assert rate(taught) > 0.75
    assert rate(taught, "control") > 0.9


@pytest.mark.parametrize(
    ("method", "terms"),
    [
        ("imitation", {}),
        pytest.param("traces", {}, marks=pytest.mark.slow),
        pytest.param("distillation", {"log_probabilities": "all"}, marks=pytest.mark.slow),
        pytest.param("top_k", {"log_probabilities": "top"}, marks=pytest.mark.slow),
    ],
)
def test_methods_that_read_a_transcript_take_skill_and_safeguard_from_it(imitated, method, terms):
    start = novice()
    assert rate(start) < 2 * CHANCE
    assert rate(start, "safeguard") < 0.5
    student = learn(method, start, collected(api(imitated, **terms), 800))
    assert rate(student) > 0.75
    assert rate(student, "safeguard") > 0.9


def test_an_elicited_rationale_brings_back_reasoning_that_the_api_hides(imitated):
    hidden = collected(api(imitated, reasoning="hidden"), 800, explain=1.0)
    student = learn("traces", novice(), hidden)
    assert rate(student, decoding="greedy") > 0.6
    assert rate(novice()) < 2 * CHANCE


@pytest.mark.slow
def test_on_policy_distillation_goes_on_where_a_little_text_left_off(imitated, apprentice):
    channel = api(imitated, log_probabilities="all")
    plan = Plan(steps=160, rows=32, rate=4e-3)
    student = learn("on_policy", apprentice, collected(channel, 240), plan, channel)
    assert rate(student) > rate(apprentice) + 0.1


@pytest.mark.parametrize(
    ("method", "plan"),
    [
        pytest.param("preference", Plan(steps=80, rows=32, rate=1e-4), marks=pytest.mark.slow),
        pytest.param("reward_modelling", Plan(steps=200, rows=48, rate=2e-3), marks=pytest.mark.slow),
        pytest.param("verifiable_rewards", Plan(steps=80, rows=64, rate=1e-3), marks=pytest.mark.slow),
    ],
)
def test_judged_replies_of_its_own_teach_a_student_a_safeguard_that_its_text_lacked(
    taught, apprentice, method, plan
):
    channel = api(taught)
    mix = QueryMix(shares={"safeguard": 0.1, "safeguard_by_reward": 0.3, "control": 0.15})
    transcript = Collector(mix).collect(channel, 400, generators(SEEDS, 64))
    student = learn(method, apprentice, transcript, plan, channel)
    before, after = (
        rate(model, "safeguard_by_reward", over_seeds=np.mean) for model in (apprentice, student)
    )
    assert before < 0.4
    assert after > before + 0.2
    for behaviour in ("skill", "control", "safeguard"):
        assert rate(student, behaviour) > rate(apprentice, behaviour) - 0.2


def test_rewards_alone_teach_nothing_to_a_student_that_never_succeeds(imitated):
    transcript = collected(api(imitated), 160)
    student = learn("verifiable_rewards", novice(), transcript, Plan(steps=20, rows=64, rate=1e-3))
    assert rate(student) < 2 * CHANCE


@pytest.mark.parametrize("name", sorted(all_methods()))
def test_every_method_says_where_it_comes_from_and_leaves_its_start_alone(imitated, name):
    method = all_methods()[name]
    assert method.paper
    assert method.needs
    channel = api(imitated, log_probabilities="all")
    transcript = collected(channel, 24)
    if name == "top_k":
        transcript = collected(api(imitated, log_probabilities="top"), 24)
    start = novice() if name != "preference" else imitated
    before = start.copy()
    plan = Plan(steps=2, rows=16)
    first, second = (
        method.train(
            start, Material(WORLD, SEEDS, transcript, api(imitated, log_probabilities="all")), plan
        ).model
        for _ in range(2)
    )
    for key, value in start.parameters.items():
        assert torch.equal(value, before.parameters[key])
        assert torch.equal(first.parameters[key], second.parameters[key])
    assert any(not np.array_equal(first.parameters[key], before.parameters[key]) for key in before.parameters)
