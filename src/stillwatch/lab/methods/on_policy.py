"""On-policy distillation: GKD (Agarwal et al. 2024, equations 2 and 3, algorithm 1).

The generalised Jensen-Shannon divergence of teacher p and student q at every token,
``D_b(p || q) = b KL(p || b p + (1 - b) q) + (1 - b) KL(q || b p + (1 - b) q)``, on replies that with probability
lambda the student drew itself, and else on those of the transcript. No gradient flows through the drawing. Needs
the teacher's distribution on text of the caller's own, which an API for text does not give. Shapes: logits [S, B,
R, V], counted [S, B, R].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stillwatch.lab.methods.base import Material, MethodError, token_mean
from stillwatch.lab.model import Model, Sampling, generate, reply_logits
from stillwatch.lab.training import Fitted, Plan, fit, generators, picks
from stillwatch.lab.world import PAD


def jensen_shannon_loss(student: Tensor, teacher: Tensor, counted: Tensor, beta: float) -> Tensor:
    """Generalised Jensen-Shannon divergence, mean over the counted tokens, 0 < beta < 1: -> [S]."""
    log_q, log_p = student.log_softmax(dim=3), teacher.log_softmax(dim=3)
    weights = torch.tensor([beta, 1 - beta], dtype=log_q.dtype)
    log_m = torch.logsumexp(torch.stack((log_p, log_q), dim=-1) + weights.log(), dim=-1)
    of_teacher = (log_p.exp() * (log_p - log_m)).sum(dim=3)
    of_student = (log_q.exp() * (log_q - log_m)).sum(dim=3)
    return token_mean(beta * of_teacher + (1 - beta) * of_student, counted)


@dataclass(frozen=True, slots=True)
class OnPolicy:
    """Match the teacher on replies that the student draws."""

    beta: float = 0.5
    """Near 0 it acts like the forward divergence, near 1 like the reverse one (their section 3.1)."""
    on_policy: float = 0.75
    """Lambda: share of steps on the student's own replies."""
    name: str = "on_policy"
    paper: str = "Agarwal et al. 2024, On-Policy Distillation of Language Models: GKD (ICLR)"
    needs: str = "the log-probability of every word at every token of text that the caller wrote"

    def train(self, start: Model, material: Material, plan: Plan) -> Fitted:
        """Draw, let the teacher score, and match; the last state is returned.

        Raises:
            MethodError: there is no channel to ask.
        """
        channel = material.channel
        if channel is None:
            raise MethodError("on_policy asks the teacher about the student's replies; give it a channel")
        transcript = material.transcript
        sources = generators(material.seeds, 25)
        how = Sampling(material.world.reply_tokens)

        def loss(model: Model, step: int) -> Tensor:
            rows = transcript.rows(picks(sources, len(transcript), min(plan.rows, len(transcript))))
            # Own steps are spread evenly instead of drawn, so that all seeds share a batch's kind.
            own = int((step + 1) * self.on_policy) > int(step * self.on_policy)
            replies = generate(model, rows.prompts, how, sources) if own else rows.replies
            counted = (replies != PAD) if own else rows.written
            teacher = channel.score(rows.prompts, replies)
            return jensen_shannon_loss(
                reply_logits(model, rows.prompts, replies), teacher, counted, self.beta
            )

        return fit(start, loss, plan)


METHOD = OnPolicy()
