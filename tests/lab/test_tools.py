"""The tool-use world and its matched control ask for the same sums, and only what an agent did right counts."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from stillwatch.lab import tools
from stillwatch.lab.experiments.agentic_workshop import ASKED, UNSEEN
from stillwatch.lab.told import REPLY_TOKENS, right_answers, told, told_prompts, verify_told
from stillwatch.lab.tools import FIRST_NUMBER, FIRST_REGISTER, PROMPT_TOKENS, READ, WRITE, expert, new_tasks
from stillwatch.lab.world import END, PAD


@pytest.fixture
def tasks():
    return new_tasks(np.random.default_rng(1), 200)


def test_both_worlds_ask_for_the_same_sum_in_the_same_register(tasks):
    trajectories = expert([tasks], [np.random.default_rng(2)], busy=0.0)
    answers = told([tasks])
    assert trajectories.prompts.shape == answers.prompts.shape == (1, 200, PROMPT_TOKENS)
    assert trajectories.replies.shape == answers.replies.shape
    for row in range(200):
        acted = trajectories.replies[0, row].tolist()
        call = acted.index(WRITE)
        assert acted[call : call + 3] == answers.replies[0, row, :3].tolist()
        assert acted[: acted.index(READ) + 2] == [READ, int(tasks.prompts[row, 1])]
    source = tasks.prompts[:, 1] - FIRST_REGISTER
    held = tasks.contents[np.arange(200), source]
    assert np.array_equal(told_prompts(tasks)[:, 4], held + FIRST_NUMBER)
    assert np.array_equal(answers.written.numpy(), answers.replies.numpy() != PAD)


def test_an_answer_counts_only_with_the_right_sum_the_right_register_and_an_end(tasks):
    right = right_answers(tasks)
    assert verify_told(tasks, right).all()
    for place, wrong in ((1, FIRST_REGISTER + 6), (2, FIRST_NUMBER + 6), (3, PAD)):
        changed = right.copy()
        changed[:, place] = np.where(place == 3, wrong, (changed[:, place] + 1))
        assert not verify_told(tasks, changed).any()
    assert right.shape[1] == REPLY_TOKENS
    assert (right[:, -1] == END).all()


def test_tasks_that_no_collector_asks_about_are_others(tasks):
    def apart(some):
        return set((some.prompts[:, 2] - some.prompts[:, 1]) % tools.REGISTERS)

    assert apart(tasks) == set(tools.APART)
    assert apart(new_tasks(np.random.default_rng(1), 200, ASKED)) == set(ASKED)
    assert apart(new_tasks(np.random.default_rng(1), 200, UNSEEN)) == set(UNSEEN)
    assert not set(ASKED) & set(UNSEEN)


def test_a_busy_tool_makes_trajectories_longer_and_its_words_are_not_the_agents(tasks):
    idle, busy = (expert([tasks], [np.random.default_rng(2)], busy=share) for share in (0.0, 0.5))
    length = [(each.replies != PAD).sum() for each in (idle, busy)]
    assert length[1] > length[0]
    for each in (idle, busy):
        results = each.replies == tools.RESULT
        assert not each.written[results].any()
        assert not each.written[torch.roll(results, 1, dims=2)].any()
        assert each.written[each.replies == READ].all()
