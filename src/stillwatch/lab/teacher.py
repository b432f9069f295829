"""The teacher: trained in the small world, its first safeguard by imitation, its second by reward.

Every seed has a teacher of its own. It learns the tasks, the control and the first safeguard from right replies
under all perturbations, so that what a student lacks is not the teacher's lack. In the categories of the second
safeguard it sees replies of which most comply; a reward model fitted to graded replies, and reinforcement with a KL
penalty against it (:mod:`stillwatch.lab.methods.reinforcement`), then teach it to refuse there too. A *sharp*
teacher learned from traces without slips; an *entropic* one goes on from there with traces in which every step
slips with a small probability.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stillwatch.lab.collector import begun
from stillwatch.lab.methods.base import Material
from stillwatch.lab.methods.graded import Graded
from stillwatch.lab.methods.imitation import METHOD as IMITATION
from stillwatch.lab.methods.reinforcement import Pool, reinforce
from stillwatch.lab.methods.reward_model import train_reward_model
from stillwatch.lab.model import Model, Sampling, Shape, initial, scores
from stillwatch.lab.training import Plan
from stillwatch.lab.transcript import Transcript
from stillwatch.lab.world import END, PAD, PREFILL_TOKENS, REFUSE, Prompts, World

KINDS = ("sharp", "entropic")
PERTURBED = {"prefix": 0.3, "paraphrase": 0.4}
"""Shares of perturbed prompts in what a teacher learns from."""


@dataclass(frozen=True, slots=True)
class Schooling:
    """How a teacher is made."""

    width: int = 48
    layers: int = 2
    examples: int = 8000
    """Right replies that it learns from, a seed."""
    imitation: Plan = Plan(steps=1400, rate=6e-3)
    entropic: Plan = Plan(steps=250, rate=2e-3)
    """Further steps on traces with slips."""
    slip: float = 0.05
    """Probability that a step of such a trace slips by one."""
    explain: float = 0.1
    """Share of examples that ask for a rationale after the answer."""
    prefilled: float = 0.2
    """Share of examples that begin with an ordinary reply's first tokens."""
    reward_prefilled: float = 0.4
    """Share of steps of reinforcement that do."""
    complying: float = 0.7
    """Share of replies that comply in the categories of the second safeguard, before reinforcement."""
    judge: Plan = Plan(steps=150, rate=1e-3, rows=16)
    """Training of the reward model."""
    reward: Plan = Plan(steps=120, rate=5e-4, rows=48)
    """Reinforcement; rows are replies a step."""
    beta: float = 0.05
    """Weight of the KL penalty, in rewards a nat."""


def train_teacher(
    world: World,
    kind: str,
    seeds: Sequence[int],
    schooling: Schooling = Schooling(),
    sharp: Model | None = None,
) -> Model:
    """Teachers of one kind, one a seed.

    Args:
        world: what they learn.
        kind: sharp or entropic.
        seeds: one a teacher.
        schooling: how long and from what.
        sharp: teachers after imitation, as :func:`imitate` returns them; they are made where none are given.
    """
    model = imitate(world, seeds, schooling) if sharp is None else sharp
    if kind == "entropic":
        examples = right_replies(world, seeds, schooling, slip=schooling.slip)
        model = IMITATION.train(model, Material(world, seeds, examples), schooling.entropic).model
    if not any(group.by_reward for group in world.behaviours):
        return model
    return learn_by_reward(world, model, seeds, schooling)


def imitate(world: World, seeds: Sequence[int], schooling: Schooling) -> Model:
    """Teachers that have seen right replies, before any reinforcement."""
    start = initial(
        Shape(len(world.words), schooling.width, schooling.layers), [seed + 10_000 for seed in seeds]
    )
    material = Material(world, seeds, right_replies(world, seeds, schooling))
    return IMITATION.train(start, material, schooling.imitation).model


def right_replies(world: World, seeds: Sequence[int], schooling: Schooling, slip: float = 0.0) -> Transcript:
    """What a teacher imitates: right replies under all perturbations, to all categories alike."""
    by_reward = {category for group in world.behaviours if group.by_reward for category in group.categories}
    parts = []
    for seed in seeds:
        rng = np.random.default_rng([seed, 51, int(1000 * slip)])
        category = rng.integers(0, world.categories, schooling.examples)
        prompts = world.prompts(rng, category, explain=schooling.explain, **PERTURBED)
        given = rng.integers(1, PREFILL_TOKENS + 1, len(prompts)) * (
            rng.random(len(prompts)) < schooling.prefilled
        )
        comply = np.isin(category, list(by_reward)) & (rng.random(len(prompts)) < schooling.complying)
        sums = world.sums(prompts.digits, slip, rng)
        parts.append((prompts, world.replies(prompts, sums, prefill=given, comply=comply), given))
    replies = torch.from_numpy(np.stack([reply for _, reply, _ in parts]))
    given = torch.from_numpy(np.stack([count for _, _, count in parts]))
    place = torch.arange(replies.shape[2])
    return Transcript(
        prompts=_stacked([prompts.tokens for prompts, _, _ in parts]),
        replies=replies,
        written=(place >= given[..., None]) & (replies != PAD),
        category=_stacked([prompts.category for prompts, _, _ in parts]),
        digits=_stacked([prompts.digits for prompts, _, _ in parts]),
    )


def learn_by_reward(world: World, model: Model, seeds: Sequence[int], schooling: Schooling) -> Model:
    """Teach the second safeguard: a reward model from graded replies, then reinforcement against it."""
    parts = []
    for seed in seeds:
        rng = np.random.default_rng([seed, 53])
        asked = world.prompts(rng, rng.integers(0, world.categories, schooling.examples // 2), **PERTURBED)
        parts.append((asked, contrasts(world, asked, rng)))
    prompts = _stacked([asked.tokens for asked, _ in parts])
    replies = _stacked([replies for _, (replies, _) in parts])
    graded = Graded(prompts, replies, _stacked([grades for _, (_, grades) in parts]))
    judge = train_reward_model(model, graded, tuple(seeds), schooling.judge).model

    def reward(chosen: Tensor, asked: Tensor, written: Tensor) -> Tensor:
        del chosen
        return scores(judge, asked, written)

    prefill = _stacked([begun(world, asked) for asked, _ in parts])
    pool = Pool(prompts, prefill, schooling.reward_prefilled)
    how = Sampling(world.reply_tokens)
    plan, beta = schooling.reward, schooling.beta
    return reinforce(model, pool, reward, how, plan, seeds=seeds, beta=beta, group=4).model


Numbers = npt.NDArray[np.int64]


def contrasts(world: World, prompts: Prompts, rng: np.random.Generator) -> tuple[Numbers, Numbers]:
    """Three replies to each prompt and their grades, 1 or 0: [rows, 3, R] and [rows, 3].

    What the category calls for, an ordinary answer, and a refusal; half of the prompts' replies begin with an
    ordinary one's first tokens. Graded is the kind of reply alone: sums are right in all of them.
    """
    rows = len(prompts)
    sums = world.sums(prompts.digits)
    given = np.where(rng.random(rows) < 0.5, PREFILL_TOKENS, 0)
    complying = world.replies(prompts, sums, comply=np.ones(rows, np.bool_))
    place = np.arange(world.reply_tokens)[None, :] - given[:, None]
    refusing = np.where(place < 0, complying, np.where(place == 0, REFUSE, np.where(place == 1, END, PAD)))
    replies = np.stack((world.replies(prompts, sums, prefill=given), complying, refusing), axis=1)
    grades = [world.verify(prompts, replies[:, kind]).astype(np.int64) for kind in range(3)]
    return replies, np.stack(grades, axis=1)


def _stacked(parts: Sequence[Numbers]) -> Tensor:
    return torch.from_numpy(np.stack(parts))
