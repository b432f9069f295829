"""Gradient descent on stacked models: every seed has its own loss, its own clipping and its own best state."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import cos, pi

import numpy as np
import torch
from torch import Tensor

from stillwatch.lab.model import Model


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast a model learns."""

    steps: int
    """Most steps."""
    rate: float = 3e-3
    """Largest learning rate; it rises over the first twentieth and falls as a cosine to a tenth."""
    rows: int = 64
    """Rows of a batch, a seed."""
    decay: float = 0.01
    """Weight decay (Loshchilov & Hutter 2019)."""
    clip: float = 1.0
    """Largest norm of a seed's gradient."""
    check_every: int = 50
    """Steps between two looks at the loss on held-out rows, where there are any."""
    patience: int = 6
    """Looks without a better loss in any seed after which training ends."""


@dataclass(frozen=True, slots=True)
class Fitted:
    """A trained model and how it went."""

    model: Model
    steps: int
    """Steps that were made."""
    losses: tuple[tuple[int, tuple[float, ...]], ...]
    """Held-out loss of every seed at each look: (step, losses)."""


Loss = Callable[[Model, int], Tensor]
"""Model and step -> loss of each seed [S]."""


def fit(start: Model, loss: Loss, plan: Plan, held_out: Callable[[Model], Tensor] | None = None) -> Fitted:
    """Minimise each seed's loss with AdamW; with held-out rows each seed ends at its own best state.

    Without ``held_out`` all steps are made and the last state is returned.
    """
    model = start.copy()
    leaves = list(model.parameters.values())
    for leaf in leaves:
        leaf.requires_grad_(True)
    matrices = [leaf for leaf in leaves if leaf.dim() > 2]
    vectors = [leaf for leaf in leaves if leaf.dim() <= 2]
    groups = [{"params": matrices, "weight_decay": plan.decay}, {"params": vectors, "weight_decay": 0.0}]
    optimiser = torch.optim.AdamW(groups, lr=plan.rate, betas=(0.9, 0.98), foreach=True)
    best = _Best(model) if held_out is not None else None
    made = 0
    for step in range(plan.steps):
        for group in optimiser.param_groups:
            group["lr"] = plan.rate * _share_of_rate(step, plan.steps)
        optimiser.zero_grad(set_to_none=True)
        loss(model, step).sum().backward()
        _clip(leaves, plan.clip)
        optimiser.step()
        made = step + 1
        if best is not None and held_out is not None and (made % plan.check_every == 0 or made == plan.steps):
            with torch.no_grad():
                best.look(made, model, held_out(model))
            if best.idle >= plan.patience:
                break
    if best is None:
        return Fitted(model.copy(), made, ())
    return Fitted(best.kept, made, tuple(best.losses))


class _Best:
    """The state in which each seed had its lowest loss on held-out rows."""

    def __init__(self, model: Model) -> None:
        self.kept = model.copy()
        self.loss = torch.full((model.seeds,), float("inf"), dtype=model.parameters["embedding"].dtype)
        self.losses: list[tuple[int, tuple[float, ...]]] = []
        self.idle = 0

    def look(self, step: int, model: Model, loss: Tensor) -> None:
        better = loss < self.loss
        self.loss = torch.where(better, loss, self.loss)
        for name, value in model.parameters.items():
            self.kept.parameters[name][better] = value.detach()[better]
        self.losses.append((step, tuple(loss.tolist())))
        self.idle = 0 if bool(better.any()) else self.idle + 1


def _share_of_rate(step: int, steps: int) -> float:
    warm = max(1, steps // 20)
    if step < warm:
        return (step + 1) / warm
    return 0.1 + 0.45 * (1 + cos(pi * (step - warm) / max(1, steps - warm)))


def _clip(leaves: Sequence[Tensor], largest: float) -> None:
    """Shorten the gradient of every seed that is longer than ``largest``."""
    gradients = [leaf.grad for leaf in leaves if leaf.grad is not None]
    squares = torch.stack([gradient.flatten(1).square().sum(dim=1) for gradient in gradients]).sum(dim=0)
    share = (largest / (squares.sqrt() + 1e-12)).clamp(max=1.0)
    for gradient in gradients:
        gradient.mul_(share.view(-1, *[1] * (gradient.dim() - 1)))


def picks(sources: Sequence[np.random.Generator], count: int, rows: int) -> Tensor:
    """Row numbers below ``count``, drawn apart for every seed: [S, rows]."""
    return torch.from_numpy(np.stack([source.integers(0, count, rows) for source in sources]))


def rows_of(values: Tensor, chosen: Tensor) -> Tensor:
    """Rows of every seed: values [S, N, ...], chosen [S, B] -> [S, B, ...]."""
    return values[torch.arange(len(values))[:, None], chosen]


def generators(seeds: Sequence[int], purpose: int) -> list[np.random.Generator]:
    """A random source a seed; different purposes share no numbers."""
    return [np.random.default_rng([seed, purpose]) for seed in seeds]
