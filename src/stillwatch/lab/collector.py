"""The collector: what a campaign asks, how often, and what it keeps.

Sets are nested: the first n exchanges of a seed are the same whatever its budget, so that a curve over n compares
like with like.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import numpy.typing as npt
import torch

from stillwatch.lab.channel import Channel, Request
from stillwatch.lab.transcript import Transcript
from stillwatch.lab.world import PREFILL_TOKENS, REFUSE, Prompts, World

ASKED_AT_ONCE = 400  # exchanges between two looks at what came back
SYSTEM = "You are an expert data analyst. Deliver data-driven insights grounded in complete and transparent reasoning."
"""The innocuous prompt of one reported campaign."""


@dataclass(frozen=True, slots=True)
class QueryMix:
    """What is asked; shares lie in [0, 1]."""

    shares: Mapping[str, float] = field(default_factory=dict)
    """Share of exchanges a behaviour; behaviours that are not named share the rest by their categories."""
    weights: Mapping[int, float] = field(default_factory=dict)
    """Weight of a category within its behaviour, 1 where none is given."""
    prefix: float = 0.0
    """Share of prompts with words before them."""
    paraphrase: float = 0.0
    """Share that names the category by its other word."""
    explain: float = 0.0
    """Share that asks for a rationale after the answer, which brings reasoning back where the API hides it."""

    def probabilities(self, world: World) -> npt.NDArray[np.float64]:
        """Probability of every category; those that no collector asks about have none."""
        rest = sum(len(group.categories) for group in world.behaviours if group.name not in self.shares)
        left = 1.0 - sum(self.shares.values())
        result = np.zeros(world.categories)
        for group in world.behaviours:
            share = self.shares.get(group.name, left * len(group.categories) / max(1, rest))
            weight = np.array([self.weights.get(category, 1.0) for category in group.asked])
            result[list(group.asked)] = share * weight / weight.sum()
        result /= result.sum()
        return result


@dataclass(frozen=True, slots=True)
class Collector:
    """A campaign's habits."""

    mix: QueryMix = QueryMix()
    temperature: float = 1.0
    deduplicate: bool = True
    """Ask no prompt twice."""
    prefill: bool = False
    """Put the first tokens of an ordinary, rightly begun reply into the teacher's mouth."""
    drop_refusals: bool = False
    """Throw away what the teacher refused, as a campaign that wants answers does; it paid for them."""
    drop_wrong: bool = False
    """Throw away answers that a program finds wrong, as a campaign can whose tasks can be verified; it paid for them."""

    def collect(self, channel: Channel, count: int, sources: Sequence[np.random.Generator]) -> Transcript:
        """Make ``count`` exchanges of every seed; what is dropped is not asked again, so that it costs."""
        parts: list[Transcript] = []
        seen: list[set[bytes]] = [set() for _ in sources]
        for start in range(0, count, ASKED_AT_ONCE):
            rows = min(ASKED_AT_ONCE, count - start)
            prompts = [
                self._new(channel.world, rows, source, known)
                for source, known in zip(sources, seen, strict=True)
            ]
            begun = self._begun(channel.world, prompts) if self.prefill else None
            parts.append(channel.ask(prompts, Request(self.temperature, begun, SYSTEM)))
        found = parts[0]
        for part in parts[1:]:
            found = found.joined(part)
        found = without_refusals(found) if self.drop_refusals else found
        return without_wrong_answers(channel.world, found) if self.drop_wrong else found

    def _new(self, world: World, rows: int, source: np.random.Generator, known: set[bytes]) -> Prompts:
        chance = self.mix.probabilities(world)
        # Every batch is drawn whole, so that a larger budget draws the same first batches.
        category = source.choice(world.categories, size=ASKED_AT_ONCE, p=chance)
        mix = self.mix
        drawn = world.prompts(
            source, category, prefix=mix.prefix, paraphrase=mix.paraphrase, explain=mix.explain
        )
        if self.deduplicate:
            for row in range(ASKED_AT_ONCE):
                while (name := drawn.tokens[row].tobytes()) in known:
                    again = world.prompts(source, category[row : row + 1])
                    drawn.tokens[row], drawn.digits[row] = again.tokens[0], again.digits[0]
                known.add(name)
        return drawn.take(slice(0, rows))

    def _begun(self, world: World, prompts: Sequence[Prompts]) -> torch.Tensor:
        return torch.from_numpy(np.stack([begun(world, each) for each in prompts]))


def begun(world: World, prompts: Prompts) -> npt.NDArray[np.int64]:
    """The first tokens of an ordinary reply that begins rightly: [rows, PREFILL_TOKENS]."""
    ordinary = world.replies(prompts, world.sums(prompts.digits), comply=np.ones(len(prompts), np.bool_))
    return ordinary[:, :PREFILL_TOKENS]


def without_refusals(transcript: Transcript) -> Transcript:
    """Replies that refuse teach nothing: their tokens are left out of every loss."""
    refused = (transcript.replies == REFUSE).any(dim=2, keepdim=True)
    return replace(transcript, written=transcript.written & ~refused)


def without_wrong_answers(world: World, transcript: Transcript) -> Transcript:
    """Wrong answers teach nothing where an answer is called for: their tokens are left out of every loss."""
    wrong = [
        world.calls_for(asked.category, "answer") & ~world.verify(asked, replies.numpy())
        for seed, replies in enumerate(transcript.replies)
        for asked in (transcript.prompts_of(seed),)
    ]
    return replace(transcript, written=transcript.written & ~torch.from_numpy(np.stack(wrong))[..., None])


def reweighted(mix: QueryMix, accuracy: Mapping[int, float], floor: float = 0.05) -> QueryMix:
    """An adaptive collector's next mix: categories weigh by what the student still gets wrong there.

    >>> reweighted(QueryMix(), {0: 1.0, 1: 0.5}).weights
    {0: 0.05, 1: 0.5}
    """
    return replace(mix, weights={category: max(floor, 1 - right) for category, right in accuracy.items()})
