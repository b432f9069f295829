"""Reinforcement against a reward model with a KL penalty (Stiennon et al. 2020; Ouyang et al. 2022; RLOO).

Maximise ``E_{y ~ pi(.|x)} [ r(x, y) - beta log (pi(y|x) / pi_0(y|x)) ]``. The gradient is REINFORCE with the mean
of the other replies to the same prompt as baseline (Ahmadian et al. 2024, equation 5):
``A_i = R_i - 1/(K-1) sum_{j != i} R_j``, ``L = - mean_i A_i sum_t log pi(y_it | y_i<t, x)``, where R holds the
penalty. Replies are drawn anew at every step: this cannot be taken from a transcript. Shapes: log-probabilities
and counted [S, Q * K, R], rewards [S, Q * K].
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from stillwatch.lab.methods.base import Material, token_log_likelihood
from stillwatch.lab.methods.graded import grade_own
from stillwatch.lab.methods.reward_model import train_reward_model
from stillwatch.lab.model import Model, Sampling, generate, reply_logits, scores
from stillwatch.lab.training import Fitted, Plan, fit, generators, picks, rows_of
from stillwatch.lab.world import PAD

Reward = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Rows of the pool [S, B], prompts [S, B, P] and replies [S, B, R] -> reward of each reply [S, B]."""


@dataclass(frozen=True, slots=True)
class Pool:
    """Prompts to draw replies to."""

    prompts: Tensor
    """[S, N, P]."""
    prefill: Tensor | None = None
    """First tokens of the replies, put into the model's mouth: [S, N, F]."""
    prefilled: float = 0.0
    """Share of steps whose replies are prefilled."""


def leave_one_out(rewards: Tensor, group: int) -> Tensor:
    """Each reward less the mean of the others of its group: [S, Q * K] -> [S, Q * K]."""
    grouped = rewards.view(len(rewards), -1, group)
    others = (grouped.sum(dim=2, keepdim=True) - grouped) / (group - 1)
    return (grouped - others).view_as(rewards)


def policy_loss(logp: Tensor, counted: Tensor, advantage: Tensor) -> Tensor:
    """REINFORCE on whole replies: -> [S]."""
    return -(advantage * (logp * counted).sum(dim=2)).mean(dim=1)


def penalised(rewards: Tensor, logp: Tensor, reference: Tensor, counted: Tensor, beta: float) -> Tensor:
    """Reward less the log-ratio of policy and reference over the reply: -> [S, Q * K]."""
    return rewards - beta * ((logp - reference) * counted).sum(dim=2)


def reinforce(
    start: Model,
    pool: Pool,
    reward: Reward,
    how: Sampling,
    plan: Plan,
    *,
    seeds: Sequence[int],
    beta: float,
    group: int,
) -> Fitted:
    """Train a copy of ``start`` on replies that it draws itself; ``plan.rows`` replies a step."""
    reference = start.copy()
    sources = generators(seeds, 31)

    def loss(model: Model, step: int) -> Tensor:
        chosen = picks(sources, pool.prompts.shape[1], plan.rows // group).repeat_interleave(group, dim=1)
        prompts = rows_of(pool.prompts, chosen)
        # Evenly spread steps are prefilled, in every seed alike, since a batch has one length.
        begun = pool.prefill is not None and int((step + 1) * pool.prefilled) > int(step * pool.prefilled)
        prefill = rows_of(pool.prefill, chosen) if begun and pool.prefill is not None else None
        replies = generate(model, prompts, how, sources, prefill)
        counted = (replies != PAD).to(model.parameters["embedding"].dtype)
        if prefill is not None:
            counted[:, :, : prefill.shape[2]] = 0
        logp = token_log_likelihood(reply_logits(model, prompts, replies), replies)
        with torch.no_grad():
            known = token_log_likelihood(reply_logits(reference, prompts, replies), replies)
            total = penalised(reward(chosen, prompts, replies), logp, known, counted, beta)
        return policy_loss(logp, counted, leave_one_out(total, group))

    return fit(start, loss, plan)


@dataclass(frozen=True, slots=True)
class RewardModelling:
    """Let the teacher grade the student's replies, fit a reward model, and learn against it."""

    replies: int = 4
    """Replies to each prompt that are graded; each is an exchange."""
    group: int = 8
    """Replies to each prompt and step of reinforcement."""
    beta: float = 1.0
    """Weight of the KL penalty, in rewards a nat."""
    rate: float = 5e-4
    """Learning rate of the reinforcement."""
    name: str = "reward_modelling"
    paper: str = (
        "Ouyang et al. 2022, InstructGPT (NeurIPS); grades by a model as in Lee et al. 2024, RLAIF (ICML)"
    )
    needs: str = "grades of the student's own replies by a rubric"

    def train(self, start: Model, material: Material, plan: Plan) -> Fitted:
        """Grade once, then spend half of the steps on the reward model and half on the policy."""
        graded = grade_own(start, material, self.replies, purpose=22)
        half = replace(plan, steps=max(1, plan.steps // 2))
        judge = train_reward_model(start, graded, tuple(material.seeds), half).model

        def reward(chosen: Tensor, prompts: Tensor, replies: Tensor) -> Tensor:
            del chosen
            return scores(judge, prompts, replies)

        how = Sampling(material.world.reply_tokens)
        pool = Pool(material.transcript.prompts)
        slower = replace(half, rate=self.rate)
        return reinforce(
            start, pool, reward, how, slower, seeds=material.seeds, beta=self.beta, group=self.group
        )


METHOD = RewardModelling()
