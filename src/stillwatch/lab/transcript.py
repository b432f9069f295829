"""What a collector holds after asking: prompts, the replies that were shown, and what came with them.

Shapes: S seeds (each with a teacher and a transcript of its own), N exchanges, P and R tokens of a prompt and of a
reply, K alternatives of a token, V words.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from stillwatch.lab.world import PAD, Prompts


@dataclass(frozen=True, slots=True)
class Transcript:
    """Exchanges of all seeds, in the order in which they were asked: the first n of them are nested sets."""

    prompts: Tensor
    """[S, N, P], padded on the left."""
    replies: Tensor
    """What was shown, padded on the right: [S, N, R]."""
    written: Tensor
    """Whether a token of the reply is the teacher's own and not prefilled: [S, N, R]."""
    category: Tensor
    """[S, N]."""
    digits: Tensor
    """[S, N, digits of a task]."""
    top_ids: Tensor | None = None
    """Most likely words of every token, most likely first: [S, N, R, K]; none where the channel gives none."""
    top_values: Tensor | None = None
    """Their log-probabilities: [S, N, R, K]."""
    values: Tensor | None = None
    """Log-probabilities of all words: [S, N, R, V]; only where the channel gives full logits."""

    def __len__(self) -> int:
        """Exchanges a seed."""
        return len(self.prompts[0])

    def prompts_of(self, seed: int) -> Prompts:
        """The prompts of one seed."""
        return Prompts(self.prompts[seed].numpy(), self.digits[seed].numpy(), self.category[seed].numpy())

    def first(self, count: int) -> Transcript:
        """The first exchanges of every seed."""
        return self._each(lambda value: value[:, :count])

    def rows(self, chosen: Tensor) -> Transcript:
        """Exchanges by number, other ones for every seed: chosen [S, B]."""
        seed = torch.arange(len(chosen))[:, None]
        return self._each(lambda value: value[seed, chosen])

    def trimmed(self) -> Transcript:
        """Without the columns of replies that hold nothing but padding."""
        length = int((self.replies != PAD).sum(dim=2).max())
        kept = {
            field.name: value[:, :, :length] if field.name not in _OF_PROMPTS and value is not None else value
            for field in fields(self)
            for value in (getattr(self, field.name),)
        }
        return Transcript(**kept)

    def joined(self, later: Transcript) -> Transcript:
        """This transcript and another one after it."""
        pairs = {
            field.name: (getattr(self, field.name), getattr(later, field.name)) for field in fields(self)
        }
        return Transcript(
            **{
                name: None if first is None or second is None else torch.cat((first, second), dim=1)
                for name, (first, second) in pairs.items()
            }
        )

    def shuffled(self, sources: Sequence[np.random.Generator]) -> Transcript:
        """The same exchanges in another order: those which a method holds out come from the end."""
        return self.rows(torch.from_numpy(np.stack([source.permutation(len(self)) for source in sources])))

    def _each(self, change: Callable[[Tensor], Tensor]) -> Transcript:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return Transcript(
            **{name: None if value is None else change(value) for name, value in values.items()}
        )


_OF_PROMPTS = frozenset({"prompts", "category", "digits"})
