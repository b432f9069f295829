"""Each countermeasure does what it says, costs what it says, and nothing else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from stillwatch.lab.channel import Channel, ChannelError, Terms, in_trace
from stillwatch.lab.collector import Collector, without_wrong_answers
from stillwatch.lab.countermeasures import CountermeasureError, all_countermeasures
from stillwatch.lab.countermeasures.antidistillation import Antidistillation, proxies_of
from stillwatch.lab.countermeasures.capping import Capping
from stillwatch.lab.countermeasures.rewriting import Rewriting
from stillwatch.lab.countermeasures.rounding import Rounding
from stillwatch.lab.countermeasures.temperature import Temperature
from stillwatch.lab.countermeasures.watermark import (
    Watermark,
    beyond_teacher,
    green_lists,
    outranked,
    z_score,
)
from stillwatch.lab.methods.base import token_log_likelihood
from stillwatch.lab.methods.imitation import imitation_loss
from stillwatch.lab.model import Sampling, Shape, generate, initial, reply_logits
from stillwatch.lab.teacher import right_replies
from stillwatch.lab.training import generators
from stillwatch.lab.world import PAD, THINK
from tests.lab.small import SCHOOLING, SEEDS, WORLD, learn

KEYS = (11, 12)


def asked(teacher, countermeasure, count=200, **terms):
    channel = Channel(WORLD, teacher, Terms(**terms), generators(SEEDS, 61), countermeasure=countermeasure)
    return Collector().collect(channel, count, generators(SEEDS, 62))


def bound(countermeasure, proxies):
    if isinstance(countermeasure, Antidistillation):
        return replace(countermeasure, proxies=proxies)
    return replace(countermeasure, keys=KEYS) if isinstance(countermeasure, Watermark) else countermeasure


@pytest.fixture(scope="session")
def right():
    return right_replies(WORLD, SEEDS, replace(SCHOOLING, examples=64))


@pytest.fixture(scope="session")
def proxies(apprentice, right):
    return proxies_of(apprentice, right)


@pytest.mark.parametrize("name", sorted(all_countermeasures()))
def test_every_countermeasure_says_where_it_comes_from_and_changes_what_is_shown(imitated, proxies, name):
    countermeasure = all_countermeasures()[name]
    assert countermeasure.paper
    assert countermeasure.changes != "nothing"
    terms = {"log_probabilities": "top"} if name in {"capping", "rounding"} else {}
    plain = asked(imitated, all_countermeasures()["temperature"].__class__(least=1.0), **terms)
    changed = asked(imitated, bound(countermeasure, proxies), **terms)
    assert torch.equal(plain.prompts, changed.prompts)
    if terms:
        assert torch.equal(plain.replies, changed.replies)
        assert plain.top_values.shape != changed.top_values.shape or not torch.equal(
            plain.top_values, changed.top_values
        )
    else:
        assert not torch.equal(plain.replies, changed.replies)
    again = asked(imitated, bound(countermeasure, proxies), **terms)
    assert torch.equal(changed.replies, again.replies)


def test_a_rewritten_trace_is_turned_round_with_everything_that_belongs_to_its_words(imitated):
    plain = asked(imitated, Temperature(least=1.0), 60, log_probabilities="all")
    turned = asked(imitated, Rewriting(), 60, log_probabilities="all")
    for seed in range(len(SEEDS)):
        for row in range(60):
            before, after = plain.replies[seed, row], turned.replies[seed, row]
            steps = torch.nonzero(in_trace(before) & (before != THINK)).squeeze(1)
            assert after[steps].tolist() == before[steps].tolist()[::-1]
            rest = torch.ones(len(before), dtype=torch.bool)
            rest[steps] = False
            assert torch.equal(after[rest], before[rest])
            assert torch.equal(turned.values[seed, row, steps], plain.values[seed, row, steps.flip(0)])
    assert (turned.replies != plain.replies).any()


def test_log_probabilities_are_capped_and_rounded(imitated):
    exact = asked(imitated, Temperature(least=1.0), 40, log_probabilities="top")
    capped = asked(imitated, Capping(alternatives=1), 40, log_probabilities="top")
    rounded = asked(imitated, Rounding(step=0.5), 40, log_probabilities="top")
    assert capped.top_values.shape[3] == 1
    assert torch.equal(capped.top_values[..., 0], exact.top_values[..., 0])
    assert asked(imitated, Capping(alternatives=0), 40, log_probabilities="all").values is None
    assert (rounded.top_values - exact.top_values).abs().max() <= 0.25
    assert torch.equal(rounded.top_values * 2, (rounded.top_values * 2).round())


def test_a_caller_may_ask_for_more_temperature_than_the_least_and_not_for_less():
    assert Temperature(least=1.5).temperature(0.0) == 1.5
    assert Temperature(least=1.5).temperature(2.0) == 2.0


def test_the_difference_of_two_proxies_is_the_product_of_gradients(right):
    shape = Shape(len(WORLD.words), 16, 1)
    model = initial(shape, SEEDS, torch.float64)
    few = right.first(3)
    moved = proxies_of(model, few, distance=1e-4)
    prompts, replies = few.prompts[:, :1], few.replies[:, :1, :1]
    found = moved.scale[:, None] * (
        reply_logits(moved.worse, prompts, replies).log_softmax(dim=3)
        - reply_logits(moved.better, prompts, replies).log_softmax(dim=3)
    ).flatten(1)
    for seed in range(len(SEEDS)):
        alone = model.only([seed])
        leaves = list(alone.parameters.values())
        for leaf in leaves:
            leaf.requires_grad_(True)
        one = [value[seed : seed + 1] for value in (few.prompts, few.replies, few.written)]
        loss = imitation_loss(reply_logits(alone, one[0], one[1]), one[1], one[2])
        slope = torch.autograd.grad(loss.sum(), leaves)
        for word in (0, 3, 9, len(WORLD.words) - 1):
            chosen = torch.tensor([[[word]]])
            logp = token_log_likelihood(reply_logits(alone, prompts[seed : seed + 1], chosen), chosen)
            own = torch.autograd.grad(logp.sum(), leaves)
            expected = sum(float((a * b).sum()) for a, b in zip(slope, own, strict=True))
            assert float(found[seed, word]) == pytest.approx(expected, abs=1e-5)


def test_antidistillation_prefers_words_that_make_the_proxy_worse(imitated, proxies):
    plain = asked(imitated, Temperature(least=1.0))
    poisoned = asked(imitated, Antidistillation(weight=0.5, proxies=proxies))

    def gain(transcript):
        worse, better = (
            token_log_likelihood(
                reply_logits(model, transcript.prompts, transcript.replies), transcript.replies
            )
            for model in (proxies.worse, proxies.better)
        )
        own = transcript.replies != PAD
        return float(((worse - better) * own).sum() / own.sum())

    assert gain(poisoned) > gain(plain)
    with pytest.raises(CountermeasureError, match="needs proxy students"):
        asked(imitated, Antidistillation())


def test_what_steers_words_refuses_to_show_their_log_probabilities(imitated):
    with pytest.raises(ChannelError, match="watermark changes which words are drawn"):
        asked(imitated, Watermark(keys=KEYS), log_probabilities="top")
    with pytest.raises(CountermeasureError, match="1 keys were given for 2 teachers"):
        asked(imitated, Watermark(keys=(1,)))


def test_a_watermark_is_found_in_text_with_entropy_and_nowhere_else():
    words, rng = 60, np.random.default_rng(1)
    lists = green_lists(7, words, 0.5)
    assert lists.sum(axis=1).tolist() == [30] * words
    assert not np.array_equal(lists, green_lists(8, words, 0.5))
    text = [1]
    for _ in range(400):
        weight = np.exp(2.0 * lists[text[-1]]) * (np.arange(words) != PAD)
        text.append(int(rng.choice(words, p=weight / weight.sum())))
    plain = rng.integers(1, words, 400).tolist()
    assert z_score(text, lists, 0.5) > 6
    assert abs(z_score(plain, lists, 0.5)) < 3
    assert abs(z_score(text, green_lists(8, words, 0.5), 0.5)) < 3


def test_the_true_key_stands_out_in_marked_text_and_in_a_student_of_it():
    # An untrained teacher has much entropy, so that a small test sees what a large text would show.
    teacher = initial(Shape(len(WORLD.words), 16, 1), SEEDS)
    others = range(900, 999)

    def ranks(model, prompts, replies):
        del model
        return outranked(beyond_teacher(teacher, prompts, replies), KEYS, others, 0.5).mean(axis=1)

    marked = asked(teacher, Watermark(keys=KEYS, delta=2.0), 400)
    plain = asked(teacher, Temperature(least=1.0), 400)
    assert (ranks(teacher, marked.prompts, marked.replies) == 1).all()
    assert (ranks(teacher, plain.prompts, plain.replies) < 1).all()
    student = learn("imitation", teacher, marked)
    drawn = generate(student, plain.prompts, Sampling(WORLD.reply_tokens), generators(SEEDS, 5))
    assert (ranks(student, plain.prompts, drawn) > 0.95).all()


def test_answers_that_a_program_finds_wrong_teach_nothing(imitated):
    transcript = asked(imitated, Temperature(least=3.0))
    kept = without_wrong_answers(WORLD, transcript)
    dropped = 0
    for seed in range(len(SEEDS)):
        prompts = transcript.prompts_of(seed)
        right = WORLD.verify(prompts, transcript.replies[seed].numpy())
        wrong = ~right & WORLD.calls_for(prompts.category, "answer")
        assert not kept.written[seed, torch.from_numpy(wrong)].any()
        assert torch.equal(
            kept.written[seed, torch.from_numpy(~wrong)], transcript.written[seed, torch.from_numpy(~wrong)]
        )
        dropped += wrong.sum()
    assert dropped > 20
