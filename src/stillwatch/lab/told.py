"""The matched control of the tool-use world: the same tasks, with what the tool would say told in the prompt.

``start, source, target, number, value of the source, task`` -> ``write target sum``, end: the same sum is written into the
same register with the same words, but nothing is called, nothing waited for, and no result read. What an agent's
student lacks and this one's has not is about the use of tools.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from stillwatch.lab.tools import FIRST_NUMBER, FIRST_REGISTER, LONGEST, WRITE, Tasks
from stillwatch.lab.transcript import Transcript
from stillwatch.lab.world import END, PAD

Tokens = npt.NDArray[np.int64]
REPLY_TOKENS = 4


def told_prompts(tasks: Tasks) -> Tokens:
    """Prompts that say what the source holds: [rows, 6]."""
    value = tasks.contents[np.arange(len(tasks.prompts)), tasks.prompts[:, 1] - FIRST_REGISTER] + FIRST_NUMBER
    return np.concatenate((tasks.prompts[:, :4], value[:, None], tasks.prompts[:, 4:]), axis=1)


def right_answers(tasks: Tasks) -> Tokens:
    """write, target, sum, end: [rows, REPLY_TOKENS]."""
    rows = len(tasks.prompts)
    columns = (np.full(rows, WRITE), tasks.prompts[:, 2], tasks.wanted() + FIRST_NUMBER, np.full(rows, END))
    return np.stack(columns, axis=1)


def verify_told(tasks: Tasks, replies: Tokens) -> npt.NDArray[np.bool_]:
    """Whether the right sum is written into the right register, and no more said: [rows]."""
    right: npt.NDArray[np.bool_] = (replies[:, :REPLY_TOKENS] == right_answers(tasks)).all(axis=1)
    return right


def told(tasks: Sequence[Tasks], replies: Tensor | None = None) -> Transcript:
    """The tasks of every seed with given replies, or with the right ones, as long as trajectories are."""
    prompts = torch.from_numpy(np.stack([told_prompts(each) for each in tasks]))
    said = torch.from_numpy(np.stack([right_answers(each) for each in tasks])) if replies is None else replies
    said = torch.nn.functional.pad(said, (0, LONGEST - said.shape[2]), value=PAD)
    kind = torch.ones(prompts.shape[:2], dtype=torch.int64)
    return Transcript(prompts, said, said != PAD, kind, prompts[:, :, 1:4])
