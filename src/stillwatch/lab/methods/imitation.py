"""Supervised fine-tuning on sampled completions: all that a text API allows (Kim & Rush 2016, sequence-level KD).

Kim & Rush replace the teacher's distribution over whole sequences, q(y | x), by its mode, found by beam search:
``L = - sum_t log p(y_t | y_<t, x)`` with ``y ~ argmax q``. An API samples, so y is a draw (or, at temperature 0,
the greedy approximation of the mode). The loss here is the mean over tokens instead of their sum, so that the
learning rate does not depend on lengths. Shapes: logits [S, B, R, V], tokens and counted [S, B, R].
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from stillwatch.lab.methods.base import Material, fit_transcript, token_log_likelihood, token_mean
from stillwatch.lab.model import Model
from stillwatch.lab.training import Fitted, Plan
from stillwatch.lab.transcript import Transcript


def imitation_loss(logits: Tensor, tokens: Tensor, counted: Tensor) -> Tensor:
    """Mean negative log-likelihood of the counted tokens: -> [S]."""
    return token_mean(-token_log_likelihood(logits, tokens), counted)


@dataclass(frozen=True, slots=True)
class Imitation:
    """Fine-tune on the replies as they were shown."""

    name: str = "imitation"
    paper: str = "Kim & Rush 2016, Sequence-Level Knowledge Distillation (EMNLP)"
    needs: str = "the text of replies"

    def train(self, start: Model, material: Material, plan: Plan) -> Fitted:
        """Train on every exchange of the transcript."""

        def loss(logits: Tensor, rows: Transcript) -> Tensor:
            return imitation_loss(logits, rows.replies, rows.written)

        return fit_transcript(start, material, plan, loss, purpose=11)


METHOD = Imitation()
