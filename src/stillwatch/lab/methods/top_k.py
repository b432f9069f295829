"""Distillation on the most likely words alone, with the rest as one bucket.

An API shows log q of K words a token. The divergence over those K alone is none: it can be negative, and it rewards a
student for what it puts elsewhere. So the words that are not shown become one event with the mass that is left:
``L = sum_k q_k (log q_k - log p_k) + q_r (log q_r - log p_r)``, ``q_r = 1 - sum_k q_k``, ``p_r = 1 - sum_k p_k``.
It is a divergence of two distributions over K + 1 events, so never negative, zero where they agree, and at most the
full divergence (data processing inequality). After Hinton, Vinyals & Dean 2015; the tail is what differs from
distillation on truncated logits as in Anshumann et al. 2025. Shapes: student [S, B, R, V], top_ids and top_values
[S, B, R, K], counted [S, B, R].
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from stillwatch.lab.methods.base import Material, MethodError, fit_transcript, token_mean
from stillwatch.lab.model import Model
from stillwatch.lab.training import Fitted, Plan
from stillwatch.lab.transcript import Transcript

LEAST_TAIL = 1e-6  # rounding leaves no less; keeps the logarithm of the bucket finite


def top_k_loss(student: Tensor, top_ids: Tensor, top_values: Tensor, counted: Tensor) -> Tensor:
    """Divergence over the shown words and the bucket of the rest: -> [S]."""
    shown = student.log_softmax(dim=3).gather(3, top_ids)
    given = top_values.exp()
    rest_given = (1 - given.sum(dim=3)).clamp(min=LEAST_TAIL)
    rest_shown = (1 - shown.exp().sum(dim=3)).clamp(min=LEAST_TAIL)
    each = (given * (top_values - shown)).sum(dim=3) + rest_given * (rest_given.log() - rest_shown.log())
    return token_mean(each, counted)


@dataclass(frozen=True, slots=True)
class TopK:
    """Match the log-probabilities that an API shows."""

    name: str = "top_k"
    paper: str = "Hinton, Vinyals & Dean 2015 (arXiv:1503.02531), on K words and a bucket for the rest"
    needs: str = "log-probabilities of the K most likely words at every token"

    def train(self, start: Model, material: Material, plan: Plan) -> Fitted:
        """Train on every exchange of a transcript with the top log-probabilities.

        Raises:
            MethodError: the transcript has none.
        """
        if material.transcript.top_values is None:
            raise MethodError("top_k needs top log-probabilities; ask a channel that gives 'top'")

        def loss(logits: Tensor, rows: Transcript) -> Tensor:
            assert rows.top_ids is not None
            assert rows.top_values is not None
            return top_k_loss(logits, rows.top_ids, rows.top_values, rows.written)

        return fit_transcript(start, material, plan, loss, purpose=11)


METHOD = TopK()
