"""A small tool-use world: calls, results, and an end state that a program verifies.

The task is to read one register, add a number and write the sum (modulo five) into another. What a register holds is
known only through the tool, which is busy now and then, so that an agent must look at results and try again:
``read a -> busy``, ``read a -> 3``, ``write b 4 -> done``, end.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stillwatch.lab.model import Model, Sampling, generate
from stillwatch.lab.transcript import Transcript
from stillwatch.lab.world import END, PAD, START

TASK, READ, WRITE, RESULT, DONE, BUSY = 2, 3, 4, 5, 6, 7
FIRST_REGISTER = 10
REGISTERS = 6
FIRST_NUMBER = FIRST_REGISTER + REGISTERS
NUMBERS = 5
WORDS = FIRST_NUMBER + NUMBERS
LONGEST = 24  # tokens of a trajectory: three busy reads still fit
PROMPT_TOKENS = 6  # the control's prompt also says what the source holds
ARGUMENTS = {READ: 1, WRITE: 2}

Tokens = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Tasks:
    """What agents are asked to do; one row a task."""

    prompts: Tokens
    """start, source, target, number, task: [rows, 5]."""
    contents: Tokens
    """What every register holds at the start: [rows, REGISTERS]."""

    def wanted(self) -> Tokens:
        """What the target must hold in the end: [rows]."""
        rows = np.arange(len(self.prompts))
        source = self.contents[rows, self.prompts[:, 1] - FIRST_REGISTER]
        result: Tokens = (source + self.prompts[:, 3] - FIRST_NUMBER) % NUMBERS
        return result


APART = tuple(range(1, REGISTERS))
"""How far the target may lie behind the source."""


def new_tasks(rng: np.random.Generator, rows: int, apart: Sequence[int] = APART) -> Tasks:
    """Tasks with two different registers, so far apart as given."""
    source = rng.integers(0, REGISTERS, rows)
    target = (source + rng.choice(apart, rows)) % REGISTERS
    number = rng.integers(0, NUMBERS, rows)
    columns = (
        np.full(rows, START),
        source + FIRST_REGISTER,
        target + FIRST_REGISTER,
        number + FIRST_NUMBER,
        np.full(rows, TASK),
    )
    return Tasks(np.stack(columns, axis=1), rng.integers(0, NUMBERS, (rows, REGISTERS)))


@dataclass(slots=True)
class Desk:
    """The registers of one trajectory, and the tool that speaks between an agent's words."""

    contents: list[int]
    busy: float
    rng: np.random.Generator
    due: list[int] = field(default_factory=list)
    """Words of the tool that must come next."""
    call: list[int] = field(default_factory=list)
    """Words of the agent since the last result."""
    own: list[bool] = field(default_factory=list)
    """Whether each word so far is the agent's."""

    def next(self, word: int) -> int:
        """What stands next where the agent would write ``word``."""
        if self.due:
            self.own.append(False)
            return self.due.pop(0)
        self.own.append(True)
        self.call.append(word)
        verb = next((place for place, said in enumerate(self.call) if said in ARGUMENTS), None)
        if verb is not None and len(self.call) - verb > ARGUMENTS[self.call[verb]]:
            self.due = self._serve(self.call[verb], self.call[verb + 1 :])
            self.call = []
        return word

    def _serve(self, verb: int, arguments: list[int]) -> list[int]:
        place = arguments[0] - FIRST_REGISTER
        number = arguments[-1] - FIRST_NUMBER
        if not 0 <= place < REGISTERS or self.rng.random() < self.busy:
            return [RESULT, BUSY]
        if verb == READ:
            return [RESULT, self.contents[place] + FIRST_NUMBER]
        if 0 <= number < NUMBERS:
            self.contents[place] = number
            return [RESULT, DONE]
        return [RESULT, BUSY]


def act(
    model: Model,
    tasks: Sequence[Tasks],
    sources: Sequence[np.random.Generator],
    *,
    temperature: float = 1.0,
    busy: float = 0.25,
) -> tuple[Transcript, npt.NDArray[np.bool_]]:
    """Let agents of every seed work: their trajectories, and whether each end state is as asked [S, rows].

    The transcript's ``written`` marks the agent's own words; results of the tool are in it and are not its own.
    """
    desks = [
        [Desk(row.tolist(), busy, source) for row in each.contents]
        for each, source in zip(tasks, sources, strict=True)
    ]

    def interject(drawn: Tensor) -> Tensor:
        spoken = [
            [desk.next(word) if word != PAD else PAD for desk, word in zip(at, words, strict=True)]
            for at, words in zip(desks, drawn.tolist(), strict=True)
        ]
        return torch.tensor(spoken)

    prompts = _prompts(tasks)
    replies = generate(model, prompts, Sampling(LONGEST, temperature), sources, interject=interject)
    own = [[[*desk.own, *[False] * (LONGEST - len(desk.own))] for desk in at] for at in desks]
    reached = np.stack([_reached(each, at) for each, at in zip(tasks, desks, strict=True)])
    ended = (replies == END).any(dim=2).numpy()
    transcript = Transcript(
        prompts=prompts,
        replies=replies,
        written=torch.tensor(own) & (replies != PAD),
        category=torch.zeros(prompts.shape[:2], dtype=torch.int64),
        digits=prompts[:, :, 2:5],
    )
    return transcript, reached & ended


def _prompts(tasks: Sequence[Tasks]) -> Tensor:
    """Prompts of every seed, as long as those of the control: [S, rows, PROMPT_TOKENS]."""
    prompts = torch.from_numpy(np.stack([each.prompts for each in tasks]))
    return torch.nn.functional.pad(prompts, (PROMPT_TOKENS - prompts.shape[2], 0), value=PAD)


def _reached(tasks: Tasks, desks: Sequence[Desk]) -> npt.NDArray[np.bool_]:
    target = tasks.prompts[:, 2] - FIRST_REGISTER
    held = np.array([desk.contents[place] for desk, place in zip(desks, target, strict=True)])
    result: npt.NDArray[np.bool_] = held == tasks.wanted()
    return result


def expert(tasks: Sequence[Tasks], sources: Sequence[np.random.Generator], busy: float = 0.25) -> Transcript:
    """Right trajectories, from which a teacher of this world learns."""
    replies, own = [], []
    for each, source in zip(tasks, sources, strict=True):
        rows = [
            _trajectory(prompt, held, source, busy)
            for prompt, held in zip(each.prompts, each.contents, strict=True)
        ]
        replies.append([[*words, *[PAD] * (LONGEST - len(words))] for words, _ in rows])
        own.append([[*mine, *[False] * (LONGEST - len(mine))] for _, mine in rows])
    prompts = _prompts(tasks)
    kind = torch.zeros(prompts.shape[:2], dtype=torch.int64)
    return Transcript(prompts, torch.tensor(replies), torch.tensor(own), kind, prompts[:, :, 2:5])


def _trajectory(
    prompt: Tokens, held: Tokens, source: np.random.Generator, busy: float
) -> tuple[list[int], list[bool]]:
    desk = Desk(held.tolist(), busy, source)
    words: list[int] = []

    def say(*said: int) -> int:
        words.extend(desk.next(word) for word in said)
        while desk.due:
            words.append(desk.next(PAD))
        return words[-1]

    reads = 1
    while (seen := say(READ, int(prompt[1]))) == BUSY and reads < 3:
        reads += 1
    number = (seen - FIRST_NUMBER + int(prompt[3]) - FIRST_NUMBER) % NUMBERS + FIRST_NUMBER
    if seen != BUSY:
        writes = 1
        while say(WRITE, int(prompt[2]), number) == BUSY and writes < 2:
            writes += 1
    say(END)
    return words, list(desk.own)
