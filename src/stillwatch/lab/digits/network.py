"""Networks of rectified units and how they learn: dropout, jitter, hard and soft targets; one model at a time.

Matrices are so large here that a stack of models is no faster than one after another, so every model is trained by
itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import cos, pi

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stillwatch.lab.digits.images import SIDE
from stillwatch.lab.methods.distillation import distillation_loss

Weights = list[tuple[Tensor, Tensor]]
"""Matrix [I, O] and bias [O] of each layer."""

RowLoss = Callable[[Tensor, Tensor], Tensor]
"""Logits of a batch [B, O] and the numbers of its rows [B] -> their mean loss."""

LEVELS = 256  # dropout draws bytes


@dataclass(frozen=True, slots=True)
class Course:
    """How a network learns."""

    epochs: int
    rate: float = 0.1
    """Largest learning rate."""
    constant: bool = False
    """Keep the rate; otherwise it rises over the first twentieth and falls as a cosine to nothing."""
    rows: int = 256
    """Images of a batch."""
    adam: bool = False
    """Adam (Kingma & Ba 2015) instead of descent with Nesterov's momentum of 0.9."""
    hide_input: float = 0.0
    """Share of pixels that dropout hides (Srivastava et al. 2014)."""
    hide_units: float = 0.0
    """Share of hidden units that dropout hides."""
    jitter: int = 0
    """Most pixels by which an image is moved, in either direction."""


def initial(widths: tuple[int, ...], rng: np.random.Generator) -> Weights:
    """Normal weights with a variance of one over the inputs, biases of zero."""
    made = []
    for fan_in, fan_out in pairwise(widths):
        drawn = rng.normal(size=(fan_in, fan_out)) * fan_in**-0.5
        made.append((torch.from_numpy(drawn).float(), torch.zeros(fan_out)))
    return made


def logits(weights: Weights, images: Tensor, masks: Sequence[Tensor | None] = ()) -> Tensor:
    """Images [B, I] -> [B, O]; masks hide a part of each layer's input."""
    stream = images
    for place, (matrix, bias) in enumerate(weights):
        mask = masks[place] if masks else None
        if mask is not None:
            stream = stream * mask
        stream = torch.addmm(bias, stream, matrix)
        if place < len(weights) - 1:
            stream = functional.relu(stream)
    return stream


def from_labels(labels: Tensor) -> RowLoss:
    """Cross-entropy with labels [N]."""

    def loss(found: Tensor, rows: Tensor) -> Tensor:
        return functional.cross_entropy(found, labels[rows])

    return loss


def from_teacher(targets: Tensor, labels: Tensor, temperature: float, mixture: float) -> RowLoss:
    """Hinton's loss with a teacher's logits for every image [N, O]; labels [N] have what the mixture leaves."""

    def loss(found: Tensor, rows: Tensor) -> Tensor:
        student, teacher = (each[None, :, None] for each in (found, targets[rows]))
        hard = labels[rows][None, :, None]
        return distillation_loss(student, teacher, hard, torch.ones_like(hard), temperature, mixture).sum()

    return loss


def fit(start: Weights, images: Tensor, course: Course, rng: np.random.Generator, loss: RowLoss) -> Weights:
    """Train a copy on images [N, I]."""
    weights = [(matrix.clone().requires_grad_(), bias.clone().requires_grad_()) for matrix, bias in start]
    leaves = [leaf for layer in weights for leaf in layer]
    optimiser = _optimiser(leaves, course)
    batches = len(images) // course.rows
    shown = _Jittered(images, course.jitter)
    for step in range(course.epochs * batches):
        if step % batches == 0:
            order = torch.from_numpy(rng.permutation(len(images)))
        rows = order[step % batches * course.rows :][: course.rows]
        for group in optimiser.param_groups:
            group["lr"] = course.rate * (
                1.0 if course.constant else _share_of_rate(step, course.epochs * batches)
            )
        found = logits(weights, shown.rows(rows, rng), _masks(weights, course, rng))
        for leaf, gradient in zip(leaves, torch.autograd.grad(loss(found, rows), leaves), strict=True):
            leaf.grad = gradient
        optimiser.step()
    return [(matrix.detach(), bias.detach()) for matrix, bias in weights]


def _optimiser(leaves: list[Tensor], course: Course) -> torch.optim.Optimizer:
    if course.adam:
        return torch.optim.Adam(leaves, lr=course.rate, fused=True)
    return torch.optim.SGD(leaves, lr=course.rate, momentum=0.9, nesterov=True, fused=True)


def _share_of_rate(step: int, steps: int) -> float:
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.5 * (1 + cos(pi * (step - warm) / max(1, steps - warm)))


def _masks(weights: Weights, course: Course, rng: np.random.Generator) -> list[Tensor | None]:
    """What dropout keeps of each layer's input, scaled so that its mean stays: [B, I] each."""
    made: list[Tensor | None] = []
    for place, (matrix, _) in enumerate(weights):
        hidden = round(LEVELS * (course.hide_units if place else course.hide_input))
        if hidden == 0:
            made.append(None)
            continue
        drawn = np.frombuffer(rng.bytes(course.rows * len(matrix)), np.uint8).reshape(course.rows, -1)
        kept = (drawn >= hidden).astype(np.float32) * np.float32(LEVELS / (LEVELS - hidden))
        made.append(torch.from_numpy(kept))
    return made


class _Jittered:
    """Images of which every view is moved by a few pixels at random."""

    def __init__(self, images: Tensor, most: int) -> None:
        self.images, self.most = images, most
        if most:
            padded = functional.pad(images.view(-1, SIDE, SIDE), (most,) * 4)
            self.views = padded.unfold(1, SIDE, 1).unfold(
                2, SIDE, 1
            )  # [N, moves, moves, SIDE, SIDE], no copy

    def rows(self, rows: Tensor, rng: np.random.Generator) -> Tensor:
        if not self.most:
            return self.images[rows]
        down, right = torch.from_numpy(rng.integers(0, 2 * self.most + 1, (2, len(rows))))
        return self.views[rows, down, right].reshape(len(rows), -1)
