"""Direct preference optimisation on the teacher's preferences (Rafailov et al. 2023, equation 7).

``L = - log sigmoid( beta [ (log pi(y_w|x) - log pi_0(y_w|x)) - (log pi(y_l|x) - log pi_0(y_l|x)) ] )`` for a pair of
the student's own replies of which the teacher grades y_w above y_l. The log-probabilities are sums over the reply's
tokens. Shapes: log-probabilities of replies, policy and reference [S, B].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from stillwatch.lab.methods.base import Material, MethodError, token_log_likelihood
from stillwatch.lab.methods.graded import Graded, grade_own
from stillwatch.lab.model import Model, reply_logits
from stillwatch.lab.training import Fitted, Plan, fit, generators
from stillwatch.lab.world import PAD


def preference_loss(
    better: Tensor, worse: Tensor, reference_better: Tensor, reference_worse: Tensor, beta: float
) -> Tensor:
    """Each pair's loss: -> [S, B]."""
    return -functional.logsigmoid(beta * ((better - reference_better) - (worse - reference_worse)))


def reply_log_likelihood(model: Model, prompts: Tensor, replies: Tensor) -> Tensor:
    """Log-probability of whole replies: [S, B]."""
    each = token_log_likelihood(reply_logits(model, prompts, replies), replies)
    return (each * (replies != PAD)).sum(dim=2)


@dataclass(frozen=True, slots=True)
class Pairs:
    """Prompts with a better and a worse reply; every seed has its own number of them."""

    prompts: list[Tensor]
    """One [pairs, P] a seed."""
    better: list[Tensor]
    """One [pairs, R] a seed."""
    worse: list[Tensor]


def pairs_of(graded: Graded) -> Pairs:
    """Each prompt's best and worst reply, where their grades differ.

    Raises:
        MethodError: a seed has no such prompt.
    """
    found = Pairs([], [], [])
    for prompts, replies, grades in zip(graded.prompts, graded.replies, graded.grades, strict=True):
        rows = torch.nonzero(grades.amax(dim=1) > grades.amin(dim=1)).squeeze(1)
        if len(rows) == 0:
            raise MethodError(
                "the teacher grades all replies to each prompt alike: there is no pair to prefer"
            )
        found.prompts.append(prompts[rows])
        found.better.append(replies[rows, grades[rows].argmax(dim=1)])
        found.worse.append(replies[rows, grades[rows].argmin(dim=1)])
    return found


@dataclass(frozen=True, slots=True)
class Preference:
    """Let the teacher grade pairs of the student's replies and prefer what it prefers."""

    replies: int = 4
    """Replies to each prompt that are graded; each is an exchange."""
    beta: float = 0.3
    name: str = "preference"
    paper: str = "Rafailov et al. 2023, Direct Preference Optimization (NeurIPS)"
    needs: str = "which of the student's own replies the teacher prefers"

    def train(self, start: Model, material: Material, plan: Plan) -> Fitted:
        """Grade once, then make all steps on the pairs.

        Raises:
            MethodError: there is no channel, or nothing to prefer.
        """
        pairs = pairs_of(grade_own(start, material, self.replies, purpose=23))
        reference = start.copy()
        sources = generators(material.seeds, 24)

        def loss(model: Model, step: int) -> Tensor:
            del step
            chosen = [
                torch.from_numpy(source.integers(0, len(rows), plan.rows))
                for source, rows in zip(sources, pairs.prompts, strict=True)
            ]
            prompts, better, worse = (
                torch.stack([rows[pick] for rows, pick in zip(kind, chosen, strict=True)])
                for kind in (pairs.prompts, pairs.better, pairs.worse)
            )
            with torch.no_grad():
                known_better = reply_log_likelihood(reference, prompts, better)
                known_worse = reply_log_likelihood(reference, prompts, worse)
            each = preference_loss(
                reply_log_likelihood(model, prompts, better),
                reply_log_likelihood(model, prompts, worse),
                known_better,
                known_worse,
                self.beta,
            )
            return each.mean(dim=1)

        return fit(start, loss, plan)


METHOD = Preference()
