"""Every loss against a naive version of itself: loops over seeds, rows, tokens and words, in float64."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from stillwatch.lab.methods.distillation import distillation_loss
from stillwatch.lab.methods.imitation import imitation_loss
from stillwatch.lab.methods.on_policy import jensen_shannon_loss
from stillwatch.lab.methods.preference import preference_loss
from stillwatch.lab.methods.reinforcement import leave_one_out, penalised, policy_loss
from stillwatch.lab.methods.reward_model import pairwise_accuracy, pairwise_loss
from stillwatch.lab.methods.top_k import top_k_loss
from stillwatch.lab.methods.verifiable import group_advantage, group_loss

SEEDS, ROWS, LENGTH, WORDS = 2, 3, 4, 7
CLOSE = {"rtol": 0, "atol": 1e-5}


def drawn(seed, *shape):
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape) * 2)


@pytest.fixture
def student():
    return drawn(1, SEEDS, ROWS, LENGTH, WORDS)


@pytest.fixture
def teacher():
    return drawn(2, SEEDS, ROWS, LENGTH, WORDS)


@pytest.fixture
def tokens():
    return torch.from_numpy(np.random.default_rng(3).integers(0, WORDS, (SEEDS, ROWS, LENGTH)))


@pytest.fixture
def counted():
    mask = np.random.default_rng(4).random((SEEDS, ROWS, LENGTH)) < 0.6
    mask[:, 0, 0] = True
    return torch.from_numpy(mask)


def softmax(numbers, temperature=1.0):
    powers = [math.exp(number / temperature) for number in numbers]
    return [power / sum(powers) for power in powers]


def mean_over_tokens(counted, value):
    """One number a seed: the mean of ``value(seed, row, place)`` over the counted tokens."""
    result = []
    for seed in range(SEEDS):
        places = [(row, at) for row in range(ROWS) for at in range(LENGTH) if counted[seed, row, at]]
        result.append(sum(value(seed, row, at) for row, at in places) / len(places))
    return torch.tensor(result, dtype=torch.float64)


def test_imitation_is_the_mean_negative_log_likelihood(student, tokens, counted):
    def value(*place):
        return -math.log(softmax(student[place].tolist())[tokens[place]])

    torch.testing.assert_close(
        imitation_loss(student, tokens, counted), mean_over_tokens(counted, value), **CLOSE
    )


@pytest.mark.parametrize(("temperature", "mixture"), [(1.0, 1.0), (4.0, 1.0), (2.0, 0.3)])
def test_distillation_mixes_soft_and_hard_cross_entropy(
    student, teacher, tokens, counted, temperature, mixture
):
    def value(*place):
        soft = softmax(teacher[place].tolist(), temperature)
        guessed = softmax(student[place].tolist(), temperature)
        softened = -sum(q * math.log(p) for q, p in zip(soft, guessed, strict=True))
        hard = -math.log(softmax(student[place].tolist())[tokens[place]])
        return mixture * temperature**2 * softened + (1 - mixture) * hard

    found = distillation_loss(student, teacher, tokens, counted, temperature, mixture)
    torch.testing.assert_close(found, mean_over_tokens(counted, value), **CLOSE)


def test_the_gradient_of_distillation_keeps_its_size_when_the_temperature_changes(
    student, teacher, tokens, counted
):
    sizes = []
    for temperature in (20.0, 40.0):
        leaf = student.clone().requires_grad_(True)
        distillation_loss(leaf, teacher, tokens, counted, temperature, 1.0).sum().backward()
        sizes.append(float(leaf.grad.norm()))
    assert sizes[1] == pytest.approx(sizes[0], rel=0.1)  # without the factor it would be a quarter


def test_top_k_counts_the_rest_as_one_event(student, teacher, counted):
    top = teacher.log_softmax(dim=3).topk(3, dim=3)

    def value(*place):
        q, p = softmax(teacher[place].tolist()), softmax(student[place].tolist())
        ids = sorted(range(WORDS), key=lambda word: -q[word])[:3]
        events = [(q[word], p[word]) for word in ids]
        events.append((1 - sum(a for a, _ in events), 1 - sum(b for _, b in events)))
        return sum(a * math.log(a / b) for a, b in events)

    found = top_k_loss(student, top.indices, top.values, counted)
    torch.testing.assert_close(found, mean_over_tokens(counted, value), **CLOSE)


def test_top_k_is_a_divergence_where_truncation_is_none(teacher, counted):
    top = teacher.log_softmax(dim=3).topk(2, dim=3)
    assert top_k_loss(teacher, top.indices, top.values, counted).abs().max() < 1e-9
    other = drawn(9, SEEDS, ROWS, LENGTH, WORDS)
    bucketed = top_k_loss(other, top.indices, top.values, counted)
    full = mean_over_tokens(
        counted,
        lambda *place: sum(
            q * math.log(q / p)
            for q, p in zip(softmax(teacher[place].tolist()), softmax(other[place].tolist()), strict=True)
        ),
    )
    assert (bucketed > 0).all()
    assert (bucketed <= full).all()
    # A student that puts everything on the shown words makes the sum over them alone negative.
    certain = torch.full_like(teacher, -50.0).scatter(3, top.indices, 0.0)
    shown = certain.log_softmax(dim=3).gather(3, top.indices)
    assert (top.values.exp() * (top.values - shown)).sum(dim=3).min() < 0
    assert (top_k_loss(certain, top.indices, top.values, counted) > 0).all()


@pytest.mark.parametrize("beta", [0.1, 0.5, 0.9])
def test_on_policy_is_the_generalised_jensen_shannon_divergence(student, teacher, counted, beta):
    def value(*place):
        p, q = softmax(teacher[place].tolist()), softmax(student[place].tolist())
        m = [beta * a + (1 - beta) * b for a, b in zip(p, q, strict=True)]
        of_teacher = sum(a * math.log(a / c) for a, c in zip(p, m, strict=True))
        of_student = sum(b * math.log(b / c) for b, c in zip(q, m, strict=True))
        return beta * of_teacher + (1 - beta) * of_student

    found = jensen_shannon_loss(student, teacher, counted, beta)
    torch.testing.assert_close(found, mean_over_tokens(counted, value), **CLOSE)


def test_on_policy_near_zero_is_the_forward_divergence(student, teacher, counted):
    def value(*place):
        p, q = softmax(teacher[place].tolist()), softmax(student[place].tolist())
        return sum(a * math.log(a / b) for a, b in zip(p, q, strict=True))

    found = jensen_shannon_loss(student, teacher, counted, 1e-6) / 1e-6
    torch.testing.assert_close(found, mean_over_tokens(counted, value), rtol=1e-3, atol=0)


def test_preference_is_the_logistic_loss_of_the_margin():
    better, worse, known_better, known_worse = drawn(5, 4, SEEDS, ROWS)
    found = preference_loss(better, worse, known_better, known_worse, 0.3)
    for seed in range(SEEDS):
        for row in range(ROWS):
            margin = (better - known_better)[seed, row] - (worse - known_worse)[seed, row]
            assert float(found[seed, row]) == pytest.approx(math.log(1 + math.exp(-0.3 * margin)), abs=1e-5)


def test_the_reward_model_counts_every_pair_whose_grades_differ():
    scored = drawn(6, SEEDS, ROWS, 4)
    grades = torch.from_numpy(np.random.default_rng(7).integers(0, 3, (SEEDS, ROWS, 4)))
    for seed in range(SEEDS):
        losses, right = [], []
        for row in range(ROWS):
            for first in range(4):
                for second in range(4):
                    if grades[seed, row, first] > grades[seed, row, second]:
                        ahead = float(scored[seed, row, first] - scored[seed, row, second])
                        losses.append(-math.log(1 / (1 + math.exp(-ahead))))
                        right.append(ahead > 0)
        assert float(pairwise_loss(scored, grades)[seed]) == pytest.approx(np.mean(losses), abs=1e-5)
        assert float(pairwise_accuracy(scored, grades)[seed]) == pytest.approx(np.mean(right), abs=1e-5)


def test_equal_grades_teach_a_reward_model_nothing():
    assert pairwise_loss(drawn(6, SEEDS, ROWS, 4), torch.ones(SEEDS, ROWS, 4)).tolist() == [0, 0]


def test_reinforcement_weighs_whole_replies_by_their_lead_over_the_others():
    group, rewards = 3, drawn(8, SEEDS, 6)
    logp, reference, counted = (
        drawn(9, SEEDS, 6, LENGTH),
        drawn(10, SEEDS, 6, LENGTH),
        torch.ones(SEEDS, 6, LENGTH),
    )
    counted[:, :, -1] = 0
    total = penalised(rewards, logp, reference, counted, 0.2)
    found = policy_loss(logp, counted, leave_one_out(total, group))
    for seed in range(SEEDS):
        expected = 0.0
        for reply in range(6):
            start = reply - reply % group
            values = []
            for place in range(start, start + group):
                ratio = sum(
                    float(logp[seed, place, at] - reference[seed, place, at]) for at in range(LENGTH - 1)
                )
                values.append(float(rewards[seed, place]) - 0.2 * ratio)
            own = values.pop(reply - start)
            likelihood = sum(float(logp[seed, reply, at]) for at in range(LENGTH - 1))
            expected -= (own - sum(values) / (group - 1)) * likelihood / 6
        assert float(found[seed]) == pytest.approx(expected, abs=1e-5)


def test_group_advantages_have_mean_zero_and_deviation_one_within_each_group():
    rewards = torch.tensor([[0.0, 1.0, 1.0, 0.0, 1.0, 1.0, 1.0, 1.0]], dtype=torch.float64)
    found = group_advantage(rewards, 4)
    assert found[0].tolist() == pytest.approx([-1, 1, 1, -1, 0, 0, 0, 0], abs=1e-3)


def test_the_group_loss_clips_the_ratio_and_penalises_the_distance():
    logp, old, reference = (drawn(seed, SEEDS, ROWS, LENGTH) / 4 for seed in (11, 12, 13))
    advantage, counted = drawn(14, SEEDS, ROWS), torch.ones(SEEDS, ROWS, LENGTH)
    counted[:, 1, 2:] = 0
    found = group_loss(logp, old, reference, counted, advantage, 0.2, 0.04)
    bound = 0
    for seed in range(SEEDS):
        replies = []
        for row in range(ROWS):
            values = []
            for at in range(LENGTH if row != 1 else 2):
                ratio = math.exp(logp[seed, row, at] - old[seed, row, at])
                clipped = min(max(ratio, 0.8), 1.2)
                bound += clipped != ratio
                gain = float(advantage[seed, row])
                apart = float(reference[seed, row, at] - logp[seed, row, at])
                values.append(min(ratio * gain, clipped * gain) - 0.04 * (math.exp(apart) - apart - 1))
            replies.append(sum(values) / len(values))
        assert float(found[seed]) == pytest.approx(-sum(replies) / ROWS, abs=1e-5)
    assert bound
