"""Fine-tuning on reasoning traces: rationales become the steps before an answer (Ho et al. 2023).

Where the API shows its trace this is imitation. Where it hides the trace, a campaign asks for a rationale after
the answer, ``answer a because s_1 .. s_k``, and trains its student to think first: ``think s_1 .. s_k answer a``.
The loss is that of imitation, ``L = - mean_t log p(z_t | z_<t, x)``, over the rearranged reply z. Shapes: tokens
[S, N, R].
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from stillwatch.lab.methods.base import Material, fit_transcript
from stillwatch.lab.methods.imitation import imitation_loss
from stillwatch.lab.model import Model
from stillwatch.lab.training import Fitted, Plan
from stillwatch.lab.transcript import Transcript
from stillwatch.lab.world import ANSWER, ASK, BECAUSE, END, EXPLAIN, MARK, PAD, THINK


def thinking_first(transcript: Transcript) -> Transcript:
    """The transcript with every rationale moved before its answer; other replies stay as they are.

    The request for a rationale becomes an ordinary request, since the student shall always think.
    """
    replies = transcript.replies
    rationale = (replies == BECAUSE).cumsum(dim=2) > 0
    explained = rationale.any(dim=2, keepdim=True)
    # A trace that was shown too would be there twice.
    from_answer = (replies == ANSWER).cumsum(dim=2) > 0
    place = torch.arange(replies.shape[2]).expand_as(replies)
    last = replies.shape[2]
    key = torch.where(rationale & (replies != END) & (replies != PAD), place, place + last)
    key = torch.where(explained & ~from_answer, place + 3 * last, key)
    key = torch.where((replies == END) | (replies == PAD), place + 2 * last, key)
    key = torch.where(explained & (replies == MARK), place - last, key)
    order = key.argsort(dim=2)
    moved = replies.gather(2, order)
    moved = moved.masked_fill(explained & (key.gather(2, order) >= 3 * last), PAD)
    moved = torch.where(moved == BECAUSE, THINK, moved)
    prompts = torch.where(transcript.prompts == EXPLAIN, ASK, transcript.prompts)
    return replace(
        transcript,
        prompts=prompts,
        replies=moved,
        written=transcript.written.gather(2, order) & (moved != PAD),
    )


@dataclass(frozen=True, slots=True)
class Traces:
    """Fine-tune on replies whose rationale was moved before the answer."""

    name: str = "traces"
    paper: str = "Ho, Schmid & Yun 2023, Large Language Models Are Reasoning Teachers (ACL)"
    needs: str = "the text of replies, with the trace shown or a rationale elicited"

    def train(self, start: Model, material: Material, plan: Plan) -> Fitted:
        """Train on the rearranged transcript."""

        def loss(logits: Tensor, rows: Transcript) -> Tensor:
            return imitation_loss(logits, rows.replies, rows.written)

        moved = replace(material, transcript=thinking_first(material.transcript))
        return fit_transcript(start, moved, plan, loss, purpose=12)


METHOD = Traces()
