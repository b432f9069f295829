"""Replies with grades: what preference tuning and reward models learn from.

Shapes: S seeds, Q prompts, K replies to each, P and R tokens.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stillwatch.lab.methods.base import Material, MethodError
from stillwatch.lab.model import Model, Sampling, generate
from stillwatch.lab.training import generators


@dataclass(frozen=True, slots=True)
class Graded:
    """K graded replies to every prompt."""

    prompts: Tensor
    """[S, Q, P]."""
    replies: Tensor
    """[S, Q, K, R]."""
    grades: Tensor
    """Points of a rubric, more is better: [S, Q, K]."""

    def __len__(self) -> int:
        """Prompts a seed."""
        return len(self.prompts[0])

    def rows(self, chosen: Tensor) -> Graded:
        """Prompts by number, other ones for every seed: chosen [S, B]."""
        seed = torch.arange(len(chosen))[:, None]
        return Graded(self.prompts[seed, chosen], self.replies[seed, chosen], self.grades[seed, chosen])


def repeated(prompts: Tensor, times: int) -> Tensor:
    """Every prompt so many times in a row: [S, Q, P] -> [S, Q * times, P]."""
    return prompts.repeat_interleave(times, dim=1)


def grade_own(model: Model, material: Material, replies: int, purpose: int) -> Graded:
    """Let the teacher grade replies that the model draws to the prompts of the transcript; each grade is an exchange.

    Raises:
        MethodError: there is no channel to ask.
    """
    if material.channel is None:
        raise MethodError("grades come from the teacher; give the method a channel to ask")
    prompts = repeated(material.transcript.prompts, replies)
    how = Sampling(material.world.reply_tokens)
    drawn = generate(model, prompts, how, generators(material.seeds, purpose))
    asked = [
        material.transcript.prompts_of(seed).take(_each_again(material, replies))
        for seed in range(model.seeds)
    ]
    grades = material.channel.grade(asked, drawn)
    seeds, count = len(material.seeds), len(material.transcript)
    return Graded(
        material.transcript.prompts,
        drawn.view(seeds, count, replies, -1),
        grades.view(seeds, count, replies),
    )


def _each_again(material: Material, times: int) -> np.ndarray[tuple[int], np.dtype[np.intp]]:
    return np.repeat(np.arange(len(material.transcript)), times)
