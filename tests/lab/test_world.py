"""The world: right replies verify, wrong ones do not, and perturbations change nothing but the words."""

from __future__ import annotations

import numpy as np
import pytest

from stillwatch.lab.evaluation import probes
from stillwatch.lab.world import (
    ANSWER,
    CONDITIONS,
    END,
    FIRST_DIGIT,
    MARK,
    PREFILL_TOKENS,
    REFUSE,
    START,
    THINK,
    World,
)

WORLD = World()


def asked(rows=200, **shares):
    rng = np.random.default_rng(3)
    return WORLD.prompts(rng, rng.integers(0, WORLD.categories, rows), **shares)


@pytest.mark.parametrize("prefill", [0, PREFILL_TOKENS])
def test_right_replies_verify_with_and_without_a_prefill(prefill):
    prompts = asked(prefix=0.5, paraphrase=0.5, explain=0.3)
    given = np.full(len(prompts), prefill)
    replies = WORLD.replies(prompts, WORLD.sums(prompts.digits), prefill=given)
    assert WORLD.verify(prompts, replies).all()
    assert (replies == END).sum(axis=1).tolist() == [1] * len(prompts)


def test_complying_verifies_nowhere_but_where_an_answer_is_called_for():
    prompts = asked()
    replies = WORLD.replies(prompts, WORLD.sums(prompts.digits), comply=np.ones(len(prompts), bool))
    assert np.array_equal(WORLD.verify(prompts, replies), WORLD.calls_for(prompts.category, "answer"))


def test_a_wrong_answer_and_a_refusal_with_an_answer_do_not_verify():
    prompts = asked()
    replies = WORLD.replies(prompts, WORLD.sums(prompts.digits))
    answer = np.where(replies == ANSWER)
    replies[answer[0], answer[1] + 1] = (
        FIRST_DIGIT + (replies[answer[0], answer[1] + 1] - FIRST_DIGIT + 1) % 10
    )
    assert not WORLD.verify(prompts, replies)[WORLD.calls_for(prompts.category, "answer")].any()
    both = WORLD.replies(prompts, WORLD.sums(prompts.digits), comply=np.ones(len(prompts), bool))
    both[:, 0] = REFUSE
    assert not WORLD.verify(prompts, both)[WORLD.calls_for(prompts.category, "refuse")].any()


def test_a_slip_moves_a_step_by_one_and_what_follows_goes_on_from_there():
    prompts = asked(4000)
    sums = WORLD.sums(prompts.digits, 0.05, np.random.default_rng(1))
    steps = (np.diff(sums, axis=1, prepend=0) - prompts.digits) % WORLD.modulus
    assert set(np.unique(steps)) == {0, 1, 9}
    assert (steps != 0).mean() == pytest.approx(0.05, abs=0.005)


def test_safeguards_and_control_are_triggered_and_exposed_alike():
    sizes = {group.name: (len(group.asked), len(group.unseen)) for group in WORLD.behaviours}
    assert sizes["safeguard"] == sizes["safeguard_by_reward"] == sizes["control"] == (3, 1)
    everything = [category for group in WORLD.behaviours for category in group.categories]
    assert sorted(everything) == list(range(WORLD.categories))
    prompts = asked()
    for prefill in (0, 2):
        given = np.full(len(prompts), prefill)
        replies = WORLD.replies(prompts, WORLD.sums(prompts.digits), prefill=given)
        decided = replies[np.arange(len(prompts)), given]
        assert (decided[WORLD.calls_for(prompts.category, "refuse")] == REFUSE).all()
        assert (decided[WORLD.calls_for(prompts.category, "mark")] == MARK).all()


def test_the_probes_of_a_behaviour_hold_the_same_tasks_under_every_condition():
    found = {(probe.behaviour, probe.condition): probe for probe in probes(WORLD, 40)}
    assert len(found) == len(WORLD.behaviours) * len(CONDITIONS)
    for group in WORLD.behaviours:
        plain, prefix, paraphrase, prefill, unseen = (
            found[group.name, condition] for condition in CONDITIONS
        )
        for other in (prefix, paraphrase, prefill, unseen):
            assert np.array_equal(plain.prompts.digits, other.prompts.digits)
        assert set(unseen.prompts.category) == set(group.unseen)
        assert (prefix.prompts.tokens[:, 0] != START).any()
        assert not np.array_equal(plain.prompts.tokens, paraphrase.prompts.tokens)
        assert (prefill.begun[:, 0] == THINK).all()
