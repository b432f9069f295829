"""A watermark in the text (Kirchenbauer et al. 2023, algorithm 2), its detection, and its trace in a student.

The word before seeds a generator that marks a share ``green`` of the vocabulary; ``delta`` is added to the scores of
green words. Detection counts green words: ``z = (G - g T) / sqrt(T g (1 - g))`` over T words (their equation 3), each
pair of words once. *Radioactivity* (Sander et al. 2024, arXiv:2402.14904): a student of marked text writes greener
than chance.

In a world of few words pairs repeat and most words are certain, so that equation 3 has neither its normal law nor
much power. The test used here counts green words beyond what the owner's own teacher, which has no watermark, would
write in the same places, ``sum_t ( 1[w_t green] - sum_w q(w | x_t) 1[w green] )``, and ranks the true key among many
others: without a watermark all keys are alike, so that the test is exact, as in Sander et al.'s permutation over
keys. Shapes: green lists [S, V, V] (word before, word), replies [S, N, R].
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import sqrt

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stillwatch.lab.countermeasures.base import Countermeasure, CountermeasureError
from stillwatch.lab.model import Model, Steering, reply_logits
from stillwatch.lab.world import PAD


def green_lists(key: int, words: int, green: float) -> npt.NDArray[np.bool_]:
    """Which words are green after each word: [V, V]."""
    ranks = np.random.default_rng([key, 87]).random((words, words)).argsort(axis=1).argsort(axis=1)
    lists: npt.NDArray[np.bool_] = ranks < round(green * words)
    return lists


@dataclass(frozen=True, slots=True, kw_only=True)
class Watermark(Countermeasure):
    """Green words are a little more likely."""

    keys: tuple[int, ...] = ()
    """One a teacher; secret."""
    delta: float = 1.0
    green: float = 0.5
    name: str = "watermark"
    paper: str = "Kirchenbauer et al. 2023, A Watermark for Large Language Models (ICML)"
    changes: str = "words of a secret list, another one after every word, are more likely"

    def steering(self, teacher: Model) -> Steering:
        """Add delta to the scores of green words.

        Raises:
            CountermeasureError: there is not one key for each teacher.
        """
        if len(self.keys) != teacher.seeds:
            raise CountermeasureError(
                f"{len(self.keys)} keys were given for {teacher.seeds} teachers; give one each"
            )
        words = teacher.shape.words
        lists = torch.from_numpy(np.stack([green_lists(key, words, self.green) for key in self.keys]))
        raised = self.delta * lists.to(torch.float32)
        seed = torch.arange(teacher.seeds)[:, None]

        def steer(scored: Tensor, tokens: Tensor, known: Tensor) -> Tensor:
            del known
            return scored + raised[seed, tokens[:, :, -1]]

        return steer


def z_score(text: Sequence[int], lists: npt.NDArray[np.bool_], green: float) -> float:
    """Kirchenbauer et al.'s equation 3 on one text, each pair of words counted once."""
    pairs = {(before, word) for before, word in pairwise(text) if PAD not in (before, word)}
    found = sum(bool(lists[before, word]) for before, word in pairs)
    return float((found - green * len(pairs)) / sqrt(max(1, len(pairs)) * green * (1 - green)))


def beyond_teacher(teacher: Model, prompts: Tensor, replies: Tensor) -> npt.NDArray[np.float64]:
    """How much more often each word follows each word in replies than the teacher would write it: [S, V, V]."""
    with torch.no_grad():
        expected = reply_logits(teacher, prompts, replies).softmax(dim=3).double()
    seeds, words = teacher.seeds, teacher.shape.words
    before = torch.cat((prompts[:, :, -1:], replies[:, :, :-1]), dim=2).reshape(seeds, -1)
    counted = (replies != PAD).reshape(seeds, -1)
    more = torch.nn.functional.one_hot(replies, words).double() - expected
    more = more.reshape(seeds, -1, words) * counted[..., None]
    found = torch.zeros(seeds, words, words, dtype=torch.float64)
    found.scatter_add_(1, before[..., None].expand(-1, -1, words), more)
    result: npt.NDArray[np.float64] = found.numpy()
    return result


def outranked(
    more: npt.NDArray[np.float64], keys: Sequence[int], others: Sequence[int], green: float
) -> npt.NDArray[np.bool_]:
    """Whether the true key of each seed scores above each other key: more [S, V, V] -> [S, others].

    The test's p-value is ``(1 + others that are not outranked) / (1 + others)``.
    """
    words = more.shape[1]
    own = np.array(
        [(one * green_lists(key, words, green)).sum() for one, key in zip(more, keys, strict=True)]
    )
    rest = np.stack([(more * green_lists(key, words, green)).sum(axis=(1, 2)) for key in others], axis=1)
    above: npt.NDArray[np.bool_] = own[:, None] > rest
    return above


COUNTERMEASURE = Watermark()
