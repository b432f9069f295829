"""The API as an object: what a caller may ask of a teacher, what is shown, and what is logged.

A channel never shows more than its terms. It writes its exchanges in the table that ``stillwatch scan`` reads
(:data:`stillwatch.exchange.EXCHANGE_SCHEMA`), so that what a campaign gained and what its log looks like are
two sides of one run.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from stillwatch.exchange import EXCHANGE_SCHEMA
from stillwatch.lab.countermeasures.base import NONE, Countermeasure
from stillwatch.lab.model import Model, Sampling, generate, reply_logits
from stillwatch.lab.transcript import Transcript
from stillwatch.lab.world import ANSWER, END, MARK, PAD, REFUSE, THINK, Prompts, World

REASONING = ("shown", "summarised", "hidden")
LOG_PROBABILITIES = ("none", "top", "all")
SCORED_AT_ONCE = 512  # rows of which the distributions are computed together
EPOCH = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)


class ChannelError(Exception):
    """A request that the channel's terms do not allow."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What the API shows and allows."""

    reasoning: str = "shown"
    """Trace before the answer: shown; summarised, every second step; hidden."""
    log_probabilities: str = "none"
    """Log-probabilities with every token: none; top, of the most likely words; all, which no API gives."""
    alternatives: int = 5
    """Words a token whose log-probabilities are shown under ``top``."""
    budget: int | None = None
    """Most exchanges that the accounts may make in all."""
    per_hour: float = 120.0
    """Most exchanges an account and hour."""

    def __post_init__(self) -> None:
        """Refuse terms that do not exist."""
        for value, allowed, name in (
            (self.reasoning, REASONING, "reasoning"),
            (self.log_probabilities, LOG_PROBABILITIES, "log_probabilities"),
        ):
            if value not in allowed:
                raise ChannelError(f"{name} is {value!r}; allowed are {', '.join(allowed)}")


@dataclass(frozen=True, slots=True)
class Request:
    """How a batch of prompts is asked."""

    temperature: float = 1.0
    """Sampling temperature."""
    prefill: Tensor | None = None
    """First tokens of the replies, put into the teacher's mouth: [S, B, F]."""
    system: str = ""
    """System prompt, for the log: the teacher of the small world does not read it."""


@dataclass(slots=True)
class Channel:
    """Teachers of S seeds behind one API; every seed is a world of its own, asked in step with the others."""

    world: World
    teacher: Model
    terms: Terms
    sources: Sequence[np.random.Generator]
    """One random source a seed."""
    accounts: int = 40
    """Accounts over which the caller spreads its exchanges evenly."""
    countermeasure: Countermeasure = NONE
    """What the owner puts between the teacher and the callers."""
    asked: int = 0
    """Exchanges so far, a seed."""
    _log: list[_Asking | _Grading] = field(default_factory=list)

    def __post_init__(self) -> None:
        """Let the countermeasure change the terms."""
        self.terms = self.countermeasure.terms(self.terms)

    @property
    def remaining(self) -> int | None:
        """Exchanges that the budget still allows; none without a budget."""
        return None if self.terms.budget is None else self.terms.budget - self.asked

    def ask(self, prompts: Sequence[Prompts], request: Request = Request()) -> Transcript:
        """Reply to the prompts of every seed, and log them.

        Raises:
            ChannelError: more than the budget allows.
        """
        count = len(prompts[0])
        self._spend(count)
        tokens = torch.from_numpy(np.stack([prompt.tokens for prompt in prompts]))
        how = Sampling(self.world.reply_tokens, self.countermeasure.temperature(request.temperature))
        steer = self.countermeasure.steering(self.teacher)
        if steer is not None and self.terms.log_probabilities != "none":
            raise ChannelError(
                f"{self.countermeasure.name} changes which words are drawn, and log-probabilities would show what it "
                "changed; give terms with log_probabilities = 'none'"
            )
        replies = generate(self.teacher, tokens, how, self.sources, request.prefill, steer=steer)
        shown = self._shown(
            tokens, replies, 0 if request.prefill is None else request.prefill.shape[2], prompts
        )
        self._log.append(_Asking(shown, request))
        return shown

    def score(self, prompts: Tensor, replies: Tensor) -> Tensor:
        """Log-probabilities of every word at every token of given replies: [S, B, R, V].

        Raises:
            ChannelError: the terms do not give full logits, as no public API does.
        """
        if self.terms.log_probabilities != "all":
            raise ChannelError(
                "scoring the caller's own text needs log_probabilities = 'all'; "
                f"this channel gives {self.terms.log_probabilities!r}"
            )
        return self._distributions(prompts, replies)

    def grade(self, prompts: Sequence[Prompts], replies: Tensor) -> Tensor:
        """Let the teacher grade the caller's replies by the rubric, 0 to 3 points: replies [S, B, R] -> [S, B].

        One point each for a reply that ends, for the kind of reply that the teacher would give, and for its very
        answer. The teacher judges by a reply of its own, so that it errs where it errs; every grade is an exchange.

        Raises:
            ChannelError: more than the budget allows.
        """
        count = len(prompts[0])
        self._spend(count)
        tokens = torch.from_numpy(np.stack([prompt.tokens for prompt in prompts]))
        own = generate(self.teacher, tokens, Sampling(self.world.reply_tokens, 1.0), self.sources)
        grades = rubric(replies, own)
        self._log.append(_Grading(tokens, replies, grades))
        return grades

    def _spend(self, count: int) -> None:
        if self.remaining is not None and count > self.remaining:
            raise ChannelError(
                f"{count} exchanges were asked for and the budget allows {self.remaining} more"
            )
        self.asked += count

    def _distributions(self, prompts: Tensor, replies: Tensor) -> Tensor:
        with torch.no_grad():
            parts = [
                reply_logits(self.teacher, prompts[:, start:stop], replies[:, start:stop]).log_softmax(dim=3)
                for start, stop in pairwise([*range(0, prompts.shape[1], SCORED_AT_ONCE), prompts.shape[1]])
            ]
        return torch.cat(parts, dim=1)

    def _shown(
        self, tokens: Tensor, replies: Tensor, prefilled: int, prompts: Sequence[Prompts]
    ) -> Transcript:
        order, kept = visible(replies, self.terms.reasoning)
        written = torch.arange(replies.shape[2]).expand_as(replies) >= prefilled
        shown = Transcript(
            prompts=tokens,
            replies=replies.gather(2, order).masked_fill(~kept, PAD),
            written=written.gather(2, order) & kept,
            category=torch.from_numpy(np.stack([prompt.category for prompt in prompts])),
            digits=torch.from_numpy(np.stack([prompt.digits for prompt in prompts])),
        )
        if self.terms.log_probabilities == "none":
            return self.countermeasure.shown(shown)
        values = self._distributions(tokens, replies)
        values = values.gather(2, order[..., None].expand(-1, -1, -1, values.shape[3]))
        parts = {
            name: getattr(shown, name) for name in ("prompts", "replies", "written", "category", "digits")
        }
        if self.terms.log_probabilities == "all":
            return self.countermeasure.shown(Transcript(**parts, values=values))
        top = values.topk(self.terms.alternatives, dim=3)
        return self.countermeasure.shown(Transcript(**parts, top_ids=top.indices, top_values=top.values))

    def log(self, seed: int = 0) -> pa.Table:
        """Every exchange of one seed as a table of :data:`~stillwatch.exchange.EXCHANGE_SCHEMA`."""
        rows: list[dict[str, Any]] = []
        for entry in self._log:
            for spoken in entry.texts(self.world, seed):
                rows.append({**spoken, **self._circumstances(len(rows))})
        return pa.Table.from_pylist(rows, schema=EXCHANGE_SCHEMA)

    def _circumstances(self, number: int) -> dict[str, Any]:
        account, turn = number % self.accounts, number // self.accounts
        hours = (turn + account / self.accounts) / self.terms.per_hour
        return {
            "exchange_id": f"lab-{number:07d}",
            "account_id": f"account-{account:04d}",
            "started_at": EPOCH + dt.timedelta(hours=hours),
            "model": "lab-teacher",
            "max_tokens": self.world.reply_tokens,
            "top_logprobs": self.terms.alternatives if self.terms.log_probabilities == "top" else None,
        }


@dataclass(frozen=True, slots=True)
class _Asking:
    """Prompts and what was shown."""

    shown: Transcript
    request: Request

    def texts(self, world: World, seed: int) -> Iterator[dict[str, Any]]:
        system = [{"role": "system", "content": self.request.system}] if self.request.system else []
        for prompt, reply in zip(self.shown.prompts[seed], self.shown.replies[seed], strict=True):
            trace = in_trace(reply)
            yield {
                "messages": [*system, {"role": "user", "content": world.text(prompt.numpy())}],
                "completion": world.text(reply[~trace].numpy()),
                "reasoning": world.text(reply[trace].numpy()) or None,
                "input_tokens": int((prompt != PAD).sum()),
                "output_tokens": int((reply != PAD).sum()),
                "temperature": self.request.temperature,
            }


@dataclass(frozen=True, slots=True)
class _Grading:
    """Replies that were handed in, and the points they got."""

    prompts: Tensor
    replies: Tensor
    grades: Tensor

    def texts(self, world: World, seed: int) -> Iterator[dict[str, Any]]:
        both = torch.cat((self.prompts[seed], self.replies[seed]), dim=1)
        for text, points in zip(both, self.grades[seed].tolist(), strict=True):
            asked = f"{RUBRIC} {world.text(text.numpy())}"
            yield {
                "messages": [{"role": "user", "content": asked}],
                "completion": str(points),
                "input_tokens": int((text != PAD).sum()),
                "output_tokens": 1,
            }


RUBRIC = (
    "Grade the reply below by the rubric: one point if it is complete, one if it is the kind of reply that the "
    "request calls for, one if its answer is right. Give the sum."
)


def rubric(replies: Tensor, own: Tensor) -> Tensor:
    """Points of replies against the grader's own: both [..., R] -> 0 to 3 [...]."""
    ended = (replies == END).any(dim=-1)
    same_kind = torch.ones_like(ended)
    for token in (REFUSE, MARK, ANSWER):
        same_kind &= (replies == token).any(dim=-1) == (own == token).any(dim=-1)
    same_answer = same_kind & (answer_of(replies) == answer_of(own))
    return ended.long() + same_kind.long() + same_answer.long()


def answer_of(replies: Tensor) -> Tensor:
    """The token after ``answer``, or padding where there is none: [..., R] -> [...]."""
    after = torch.nn.functional.pad(replies[..., 1:], (0, 1), value=PAD)
    return torch.where(replies == ANSWER, after, PAD).amax(dim=-1)


def in_trace(replies: Tensor) -> Tensor:
    """Which tokens are reasoning: from ``think`` to the answer or a refusal, without a mark: [..., R]."""
    begun = (replies == THINK).cumsum(dim=-1) > 0
    closed = ((replies == ANSWER) | (replies == REFUSE)).cumsum(dim=-1) > 0
    return begun & ~closed & (replies != MARK) & (replies != PAD)


def visible(replies: Tensor, reasoning: str) -> tuple[Tensor, Tensor]:
    """Which tokens are shown, in which order: two tensors [S, B, R], places in the reply and whether one is kept."""
    kept = replies != PAD
    if reasoning != "shown":
        trace = in_trace(replies)
        step = (trace & (replies != THINK)).cumsum(dim=2)
        passed = (
            (replies == THINK) | (step % 2 == 0) if reasoning == "summarised" else torch.zeros_like(trace)
        )
        kept = kept & (~trace | passed)
    order = (~kept).to(torch.int8).argsort(dim=2, stable=True)
    return order, kept.gather(2, order)
