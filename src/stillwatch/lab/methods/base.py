"""What every training method promises, and the loop over the rows of a transcript that several share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from stillwatch.lab.channel import Channel
from stillwatch.lab.model import Model, reply_logits
from stillwatch.lab.training import Fitted, Plan, fit, generators, picks
from stillwatch.lab.transcript import Transcript
from stillwatch.lab.world import World

HELD_OUT = 10  # one exchange in so many is kept to choose the best state
LEAST_HELD_OUT = 4


@dataclass(frozen=True, slots=True)
class Material:
    """What a student may learn from; a method that needs more than there is says so."""

    world: World
    seeds: Sequence[int]
    """One a stacked model; every draw of a method comes from them."""
    transcript: Transcript
    """Exchanges that were collected; also the prompts of methods that draw replies of their own."""
    channel: Channel | None = None
    """The teacher's API, for methods that go on asking while they train."""


class Method(Protocol):
    """One way to train a student."""

    name: str
    paper: str
    """Citation."""
    needs: str
    """What it takes from the teacher, in one sentence."""

    def train(self, start: Model, material: Material, plan: Plan) -> Fitted:
        """Train a copy of ``start``."""


class MethodError(Exception):
    """A method was given less than it needs."""


RowLoss = Callable[[Tensor, Transcript], Tensor]
"""Student's logits [S, B, R, V] and the rows that they belong to -> loss of each seed [S]."""


def fit_transcript(start: Model, material: Material, plan: Plan, loss: RowLoss, purpose: int) -> Fitted:
    """Minimise a loss over the exchanges; each seed ends where its loss on held-out exchanges was lowest."""
    transcript = material.transcript.trimmed()
    kept_back = max(LEAST_HELD_OUT, len(transcript) // HELD_OUT)
    count = len(transcript) - kept_back
    if count < 1:
        raise MethodError(f"{len(transcript)} exchanges were given; at least {LEAST_HELD_OUT + 1} are needed")
    everyone = torch.arange(count, len(transcript)).expand(len(material.seeds), -1)
    held_out = transcript.rows(everyone)
    sources = generators(material.seeds, purpose)

    def of_batch(model: Model, step: int) -> Tensor:
        del step
        rows = transcript.rows(picks(sources, count, min(plan.rows, count)))
        return loss(reply_logits(model, rows.prompts, rows.replies), rows)

    def of_held_out(model: Model) -> Tensor:
        return loss(reply_logits(model, held_out.prompts, held_out.replies), held_out)

    return fit(start, of_batch, plan, of_held_out)


def token_mean(values: Tensor, counted: Tensor) -> Tensor:
    """Mean over the counted tokens of each seed: values and counted [S, B, R] -> [S]."""
    return (values * counted).sum(dim=(1, 2)) / counted.sum(dim=(1, 2)).clamp(min=1)


def token_log_likelihood(logits: Tensor, tokens: Tensor) -> Tensor:
    """Log-probability of every token: logits [S, B, R, V], tokens [S, B, R] -> [S, B, R]."""
    return logits.log_softmax(dim=3).gather(3, tokens[..., None]).squeeze(3)
