"""Antidistillation sampling (Savani et al. 2025, arXiv:2504.13146).

The next word is drawn from ``softmax( log p_T(. | x) / tau + lambda D(. | x) )``. D says how much a student would get
worse by learning a word: ``D(w | x) = < grad l(theta_P), grad log p(w | x; theta_P) >`` with a proxy student theta_P and
its loss l on right replies, since a step of learning w changes that loss by this product. It is found for all words
at once from two models, ``[ log p(w | x; theta_P + e g) - log p(w | x; theta_P - e g) ] / 2e`` with ``g = grad l``.
Deviations: e is a length in the space of parameters (g is scaled to length one, and D multiplied by g's
length), so that one e fits all seeds; the score is added before the division by the temperature. Shapes: scores [S, B, V].
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from stillwatch.lab.countermeasures.base import Countermeasure, CountermeasureError
from stillwatch.lab.methods.imitation import imitation_loss
from stillwatch.lab.model import Cache, Model, Steering, hidden, reply_logits, word_logits
from stillwatch.lab.transcript import Transcript

DISTANCE = (
    0.02  # length of the step to either side; the parameters of a small student have a length of about 20
)


@dataclass(frozen=True, slots=True)
class Proxies:
    """A proxy student moved along the gradient of its loss, to both sides."""

    worse: Model
    better: Model
    scale: Tensor
    """What a difference of log-probabilities is multiplied with to be D: [S]."""


def proxies_of(student: Model, right: Transcript, distance: float = DISTANCE) -> Proxies:
    """Move a proxy student up and down the gradient of its loss on right replies."""
    model = student.copy()
    leaves = list(model.parameters.values())
    for leaf in leaves:
        leaf.requires_grad_(True)
    loss = imitation_loss(reply_logits(model, right.prompts, right.replies), right.replies, right.written)
    loss.sum().backward()
    gradients = {name: value.grad for name, value in model.parameters.items() if value.grad is not None}
    length = (
        torch.stack([each.flatten(1).square().sum(dim=1) for each in gradients.values()]).sum(dim=0).sqrt()
    )

    def moved(sign: float) -> Model:
        step = sign * distance / length
        return Model(
            student.shape,
            {
                name: value.detach() + step.view(-1, *[1] * (value.dim() - 1)) * gradients[name]
                for name, value in student.parameters.items()
            },
        )

    return Proxies(moved(1.0), moved(-1.0), length / (2 * distance))


@dataclass(frozen=True, slots=True, kw_only=True)
class Antidistillation(Countermeasure):
    """Prefer words that a student gets worse by."""

    weight: float = 0.05
    """Lambda."""
    proxies: Proxies | None = None
    """From :func:`proxies_of`."""
    name: str = "antidistillation"
    paper: str = "Savani et al. 2025, Antidistillation Sampling (arXiv:2504.13146)"
    changes: str = "words are preferred that a proxy student would get worse by"

    def steering(self, teacher: Model) -> Steering:
        """Add lambda D to the scores.

        Raises:
            CountermeasureError: there are no proxies.
        """
        del teacher
        proxies = self.proxies
        if proxies is None:
            raise CountermeasureError("antidistillation needs proxy students; make them with proxies_of")
        caches: tuple[Cache, Cache] = ([], [])

        def steer(scored: Tensor, tokens: Tensor, known: Tensor) -> Tensor:
            worse, better = (
                word_logits(model, hidden(model, tokens, cache, known)[:, :, -1]).log_softmax(dim=2)
                for model, cache in zip((proxies.worse, proxies.better), caches, strict=True)
            )
            return scored + self.weight * proxies.scale[:, None, None] * (worse - better)

        return steer


COUNTERMEASURE = Antidistillation()
