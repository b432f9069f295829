"""A compact causal transformer of which many copies, one a seed, are trained at once in one batched model.

Every parameter has the seeds as its first dimension and every operation keeps them apart, so a seed's numbers do
not depend on which others stand beside it. Learned positions counted from the start of a padded prompt, root-mean-square
norms without gains (Zhang & Sennrich 2019), rectified units, tied embeddings: on a CPU the small operations between the
products cost most. Shapes: S seeds, B rows, T tokens, V words, D width, H heads, L layers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from stillwatch.lab.world import END, PAD

Parameters = dict[str, Tensor]
NORM_EPSILON = 1e-6
LONGEST = 40  # tokens of a prompt with its reply
EMBEDDING_DEVIATION = 0.15


@dataclass(frozen=True, slots=True)
class Shape:
    """Size of a model."""

    words: int
    """Vocabulary."""
    width: int = 64
    layers: int = 2
    heads: int = 2
    scores: bool = False
    """Has a head that gives one number a position (a reward model) beside the one that gives words."""


@dataclass(frozen=True, slots=True)
class Model:
    """Parameters of S models of one shape; each tensor starts with the dimension of seeds."""

    shape: Shape
    parameters: Parameters

    @property
    def seeds(self) -> int:
        """How many models are stacked."""
        return len(self.parameters["embedding"])

    def copy(self) -> Model:
        """A model with the same numbers that no training of this one changes."""
        return Model(self.shape, {name: value.detach().clone() for name, value in self.parameters.items()})

    def only(self, seeds: Sequence[int]) -> Model:
        """Some of the stacked models."""
        return Model(self.shape, {name: value[list(seeds)] for name, value in self.parameters.items()})


def initial(shape: Shape, seeds: Sequence[int], dtype: torch.dtype = torch.float32) -> Model:
    """Models with random parameters; those of a seed depend on that seed alone."""
    drawn = [_draw(shape, np.random.default_rng([seed, 71])) for seed in seeds]
    stacked = {name: torch.from_numpy(np.stack([one[name] for one in drawn])).to(dtype) for name in drawn[0]}
    return Model(shape, stacked)


def _draw(
    shape: Shape, rng: np.random.Generator
) -> dict[str, np.ndarray[tuple[int, ...], np.dtype[np.float64]]]:
    width = shape.width
    deep = (
        2 * shape.layers * width
    ) ** -0.5  # what is added to the stream shrinks with depth (Radford et al. 2019)
    drawn = {"embedding": EMBEDDING_DEVIATION * rng.normal(size=(shape.words, width))}
    drawn["position"] = EMBEDDING_DEVIATION * rng.normal(size=(LONGEST, width))
    for layer in range(shape.layers):
        drawn[f"{layer}.read"] = rng.normal(size=(width, 3 * width)) * width**-0.5
        drawn[f"{layer}.write"] = rng.normal(size=(width, width)) * deep
        drawn[f"{layer}.expand"] = rng.normal(size=(width, 4 * width)) * width**-0.5
        drawn[f"{layer}.contract"] = rng.normal(size=(4 * width, width)) * deep / 2
    if shape.scores:
        drawn["score"] = np.zeros(width)
    return drawn


@contextmanager
def one_thread() -> Iterator[None]:
    """Use one thread within: two workers with one thread each beat one worker with two, and numbers repeat."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


Cache = list[tuple[Tensor, Tensor]]


def hidden(model: Model, tokens: Tensor, cache: Cache | None = None, known: Tensor | None = None) -> Tensor:
    """Last layer of the stream after its norm: tokens [S, B, T] -> [S, B, T, D].

    Args:
        model: S models.
        tokens: words; padding is attended by nobody.
        cache: keys and values of earlier tokens by layer; those of the new ones are added to it.
        known: which of all tokens so far, the new ones included, are no padding: [S, B, all tokens].
    """
    shape, parameters = model.shape, model.parameters
    seeds, rows, length = tokens.shape
    real = tokens != PAD if known is None else known
    before = real.shape[2] - length
    seen = _visible(real, before)
    flat = parameters["embedding"].reshape(-1, shape.width)
    offset = torch.arange(seeds).view(-1, 1, 1) * shape.words
    placed = parameters["position"][:, None, before : before + length]
    stream = (functional.embedding(tokens + offset, flat) + placed).view(seeds, rows * length, shape.width)
    for layer in range(shape.layers):
        mixed = torch.bmm(_normed(stream), parameters[f"{layer}.read"])
        query, key, value = mixed.view(seeds * rows, length, 3, shape.heads, -1).permute(2, 0, 3, 1, 4)
        if cache is not None:
            if len(cache) > layer:
                key = torch.cat((cache[layer][0], key), dim=2)
                value = torch.cat((cache[layer][1], value), dim=2)
                cache[layer] = (key, value)
            else:
                cache.append((key, value))
        attended = functional.scaled_dot_product_attention(query, key, value, attn_mask=seen)
        attended = attended.transpose(1, 2).reshape(seeds, rows * length, shape.width)
        stream = stream + torch.bmm(attended, parameters[f"{layer}.write"])
        wide = functional.relu(torch.bmm(_normed(stream), parameters[f"{layer}.expand"]))
        stream = stream + torch.bmm(wide, parameters[f"{layer}.contract"])
    return _normed(stream).view(seeds, rows, length, shape.width)


def _visible(real: Tensor, before: int) -> Tensor:
    """What each new token may attend: earlier ones that are no padding, and itself: [S*B, 1, T, all tokens]."""
    total = real.shape[2]
    past = torch.ones(total, total, dtype=torch.bool).tril()[before:]
    itself = torch.eye(total, dtype=torch.bool)[before:]
    return (past & real.reshape(-1, 1, 1, total)) | itself


def _normed(stream: Tensor) -> Tensor:
    return functional.rms_norm(stream, (stream.shape[-1],), eps=NORM_EPSILON)


def word_logits(model: Model, states: Tensor) -> Tensor:
    """States [S, ..., D] -> a number for every word [S, ..., V]."""
    seeds, width = states.shape[0], states.shape[-1]
    embedding = model.parameters["embedding"]
    flat = torch.bmm(states.reshape(seeds, -1, width), embedding.transpose(1, 2))
    return flat.view(*states.shape[:-1], model.shape.words)


def logits(model: Model, tokens: Tensor) -> Tensor:
    """Tokens [S, B, T] -> logits of the token that follows each: [S, B, T, V]."""
    return word_logits(model, hidden(model, tokens))


def reply_logits(model: Model, prompts: Tensor, replies: Tensor) -> Tensor:
    """Logits of every token of the replies: prompts [S, B, P], replies [S, B, R] -> [S, B, R, V]."""
    states = hidden(model, torch.cat((prompts, replies), dim=2)[:, :, :-1])
    return word_logits(model, states[:, :, prompts.shape[2] - 1 :])


def scores(model: Model, prompts: Tensor, replies: Tensor) -> Tensor:
    """A reward model's number for each reply, read at its last token: -> [S, B]."""
    states = hidden(model, torch.cat((prompts, replies), dim=2))
    last = prompts.shape[2] - 1 + (replies != PAD).sum(dim=2)
    picked = states.gather(2, last[:, :, None, None].expand(-1, -1, 1, states.shape[3])).squeeze(2)
    return (picked * model.parameters["score"][:, None, :]).sum(dim=2)


@dataclass(frozen=True, slots=True)
class Sampling:
    """How replies are drawn."""

    length: int
    """Longest reply, tokens."""
    temperature: float = 1.0
    """0 takes the most likely token."""


Steering = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Scores of the next word [S, B, V], the words that were read last [S, B, T] and which of all words so far are no padding
[S, B, all] -> changed scores."""


def generate(
    model: Model,
    prompts: Tensor,
    how: Sampling,
    sources: Sequence[np.random.Generator],
    prefill: Tensor | None = None,
    interject: Callable[[Tensor], Tensor] | None = None,
    steer: Steering | None = None,
) -> Tensor:
    """Replies, padded after their end: prompts [S, B, P] -> [S, B, length].

    Args:
        model: S models.
        prompts: padded on the left.
        how: length and temperature.
        sources: one random source a seed.
        prefill: first tokens of each reply, put into the model's mouth: [S, B, F].
        interject: given what each model would write next [S, B], returns what stands there: tools speak here.
        steer: changes the scores of every next word before one is drawn.
    """
    seeds, rows, _ = prompts.shape
    given = prompts if prefill is None else torch.cat((prompts, prefill), dim=2)
    written = [] if prefill is None else [prefill]
    known, tokens = given != PAD, given
    cache: Cache = []
    over = torch.zeros(seeds, rows, dtype=torch.bool)
    with torch.no_grad():
        for _ in range(how.length - (0 if prefill is None else prefill.shape[2])):
            state = hidden(model, tokens, cache, known)[:, :, -1]
            scored = word_logits(model, state)
            scored = scored if steer is None else steer(scored, tokens, known)
            drawn = draw(scored, how.temperature, sources).masked_fill(over, PAD)
            drawn = drawn if interject is None else interject(drawn)
            over = over | (drawn == END)
            tokens = drawn[:, :, None]
            written.append(tokens)
            if over.all():
                break
            known = torch.cat((known, tokens != PAD), dim=2)
    reply = torch.cat(written, dim=2)
    return functional.pad(reply, (0, how.length - reply.shape[2]), value=PAD)


def draw(scored: Tensor, temperature: float, sources: Sequence[np.random.Generator]) -> Tensor:
    """One token a row by inverting the distribution function: [S, B, V] -> [S, B]."""
    if temperature == 0:
        return scored.argmax(dim=2)
    reached = torch.softmax(scored.double() / temperature, dim=2).cumsum(dim=2)
    uniform = torch.from_numpy(np.stack([source.random(scored.shape[1]) for source in sources]))
    found = (reached < uniform[:, :, None] * reached[:, :, -1:]).sum(dim=2)
    return found.clamp(max=scored.shape[2] - 1)
