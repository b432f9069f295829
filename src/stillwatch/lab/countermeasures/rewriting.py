"""Rewrite the trace: its steps are shown with the conclusion first, and the answer stays as it is.

After Ding et al. 2025 (arXiv:2510.11545), who reorder the sub-conclusions of a trace so that a reader loses nothing while
a student that learns from left to right has to guess what comes later; Ma et al. 2026 (ACL, arXiv:2602.15143) let a
model rewrite traces to the same end. Deviation: no model rewrites here; the steps s_1 .. s_k are shown as s_k .. s_1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch

from stillwatch.lab.channel import in_trace
from stillwatch.lab.countermeasures.base import Countermeasure
from stillwatch.lab.transcript import Transcript
from stillwatch.lab.world import THINK


@dataclass(frozen=True, slots=True, kw_only=True)
class Rewriting(Countermeasure):
    """The trace is shown backwards."""

    name: str = "rewriting"
    paper: str = "Ding et al. 2025 (arXiv:2510.11545); Ma et al. 2026, Trace Rewriting (ACL)"
    changes: str = "the steps of the trace are shown with the conclusion first"
    user_loses: str = "the order of the steps"

    def shown(self, transcript: Transcript) -> Transcript:
        """The same transcript with each trace turned round, and what belongs to its words with it."""
        replies = transcript.replies
        step = in_trace(replies) & (replies != THINK)
        place = torch.arange(replies.shape[2]).expand_as(replies)
        first = torch.where(step, place, replies.shape[2]).amin(dim=2, keepdim=True)
        last = torch.where(step, place, -1).amax(dim=2, keepdim=True)
        order = torch.where(step, first + last - place, place)
        changed = {"replies": replies.gather(2, order), "written": transcript.written.gather(2, order)}
        for name in ("top_ids", "top_values", "values"):
            if (held := getattr(transcript, name)) is not None:
                changed[name] = held.gather(2, order[..., None].expand(-1, -1, -1, held.shape[3]))
        return replace(transcript, **changed)


COUNTERMEASURE = Rewriting()
