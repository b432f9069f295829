"""Reinforcement with verifiable rewards: GRPO (Shao et al. 2024, DeepSeekMath, equations 3 and 4).

For a group of K replies to one prompt with rewards r_i that a program checks,
``A_i = (r_i - mean r) / (std r)`` and
``L = - mean_i mean_t [ min(rho_it A_i, clip(rho_it, 1 - e, 1 + e) A_i) - beta (pi_0/pi - log(pi_0/pi) - 1) ]``
with ``rho_it = pi(y_it) / pi_old(y_it)``. It needs no teacher, and no transcript gives it: replies are the
student's own. Deviation: one update for each draw, so rho is 1 in value and the clip never binds; the term is kept since it
carries the gradient. Shapes: log-probabilities and counted [S, Q * K, R], rewards [S, Q * K].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stillwatch.lab.methods.base import Material, token_log_likelihood
from stillwatch.lab.model import Model, Sampling, generate, reply_logits
from stillwatch.lab.training import Fitted, Plan, fit, generators, picks, rows_of
from stillwatch.lab.world import PAD

LEAST_DEVIATION = 1e-4


def group_advantage(rewards: Tensor, group: int) -> Tensor:
    """Rewards standardised within their group; a group of equal rewards teaches nothing: [S, Q * K]."""
    grouped = rewards.view(len(rewards), -1, group)
    centred = grouped - grouped.mean(dim=2, keepdim=True)
    deviation = grouped.std(dim=2, correction=0, keepdim=True)
    return (centred / (deviation + LEAST_DEVIATION)).view_as(rewards)


def group_loss(
    logp: Tensor, old: Tensor, reference: Tensor, counted: Tensor, advantage: Tensor, clip: float, beta: float
) -> Tensor:
    """Clipped surrogate less the KL penalty, mean over tokens and then over replies: -> [S]."""
    ratio = (logp - old).exp()
    gain = advantage[..., None]
    surrogate = torch.minimum(ratio * gain, ratio.clamp(1 - clip, 1 + clip) * gain)
    apart = reference - logp
    penalty = apart.exp() - apart - 1
    each = ((surrogate - beta * penalty) * counted).sum(dim=2) / counted.sum(dim=2).clamp(min=1)
    return -each.mean(dim=1)


@dataclass(frozen=True, slots=True)
class VerifiableRewards:
    """Draw replies to the transcript's prompts, check them, and learn from what was right."""

    group: int = 8
    """Replies to each prompt and step."""
    clip: float = 0.2
    beta: float = 0.01
    name: str = "verifiable_rewards"
    paper: str = "Shao et al. 2024, DeepSeekMath: GRPO (arXiv:2402.03300)"
    needs: str = "nothing from the teacher: prompts, and a program that checks replies"

    def train(self, start: Model, material: Material, plan: Plan) -> Fitted:
        """Train on ``plan.rows`` own replies a step; the world verifies them."""
        reference = start.copy()
        sources = generators(material.seeds, 41)
        how = Sampling(material.world.reply_tokens)
        prompts = material.transcript.prompts

        def loss(model: Model, step: int) -> Tensor:
            del step
            chosen = picks(sources, prompts.shape[1], plan.rows // self.group)
            chosen = chosen.repeat_interleave(self.group, dim=1)
            asked = rows_of(prompts, chosen)
            replies = generate(model, asked, how, sources)
            rewards = torch.stack(
                [
                    torch.from_numpy(
                        material.world.verify(
                            material.transcript.prompts_of(seed).take(chosen[seed].numpy()),
                            replies[seed].numpy(),
                        )
                    )
                    for seed in range(model.seeds)
                ]
            )
            logp = token_log_likelihood(reply_logits(model, asked, replies), replies)
            with torch.no_grad():
                known = token_log_likelihood(reply_logits(reference, asked, replies), replies)
            counted = (replies != PAD).to(logp.dtype)
            advantage = group_advantage(rewards.to(logp.dtype), self.group)
            return group_loss(logp, logp.detach(), known, counted, advantage, self.clip, self.beta)

        return fit(start, loss, plan)


METHOD = VerifiableRewards()
