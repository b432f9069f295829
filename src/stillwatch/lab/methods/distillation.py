"""Knowledge distillation on full logits (Hinton, Vinyals & Dean 2015).

``L = a T^2 H(q_T, p_T) + (1 - a) H(y, p_1)`` with ``q_T = softmax(teacher / T)``, ``p_T = softmax(student / T)``
and y the shown token. The factor T^2 keeps the gradient's size when T changes (their section 2). Cross-entropy
instead of the divergence: they differ by the teacher's entropy, which has no gradient. Shapes: logits of student
and teacher [S, B, R, V], tokens and counted [S, B, R]. The teacher may be given as log-probabilities, since a
constant added to all logits changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from stillwatch.lab.methods.base import Material, MethodError, fit_transcript, token_mean
from stillwatch.lab.methods.imitation import imitation_loss
from stillwatch.lab.model import Model
from stillwatch.lab.training import Fitted, Plan
from stillwatch.lab.transcript import Transcript


def distillation_loss(
    student: Tensor, teacher: Tensor, tokens: Tensor, counted: Tensor, temperature: float, mixture: float
) -> Tensor:
    """Soft and hard cross-entropy, mixed: -> [S]."""
    soft = (teacher / temperature).softmax(dim=3)
    guessed = (student / temperature).log_softmax(dim=3)
    softened = temperature**2 * token_mean(-(soft * guessed).sum(dim=3), counted)
    if mixture == 1.0:
        return softened
    return mixture * softened + (1 - mixture) * imitation_loss(student, tokens, counted)


@dataclass(frozen=True, slots=True)
class Distillation:
    """Match the teacher's distribution at every token of its replies."""

    temperature: float = 1.0
    mixture: float = 1.0
    """Weight of the soft targets; the shown tokens have the rest."""
    name: str = "distillation"
    paper: str = (
        "Hinton, Vinyals & Dean 2015, Distilling the Knowledge in a Neural Network (arXiv:1503.02531)"
    )
    needs: str = "the log-probability of every word at every token, which no public API gives"

    def train(self, start: Model, material: Material, plan: Plan) -> Fitted:
        """Train on every exchange of a transcript with full log-probabilities.

        Raises:
            MethodError: the transcript has none.
        """
        if material.transcript.values is None:
            raise MethodError("distillation needs full log-probabilities; ask a channel that gives 'all'")

        def loss(logits: Tensor, rows: Transcript) -> Tensor:
            assert rows.values is not None
            return distillation_loss(
                logits, rows.values, rows.replies, rows.written, self.temperature, self.mixture
            )

        return fit_transcript(start, material, plan, loss, purpose=11)


METHOD = Distillation()
