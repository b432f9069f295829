"""Fine-tuning on agentic traces: the agent's words are learned, the tools' results are only read.

``L = - (1 / sum_t m_t) sum_t m_t log p(w_t | w_<t, task)`` over a whole trajectory w of calls and results, with
m_t = 1 where the agent speaks (Chen et al. 2023, FireAct; Zeng et al. 2024, AgentTuning, equation 2). A loss on
results would teach the student to make them up. Shapes: logits [S, B, R, V], tokens and own [S, B, R].
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from stillwatch.lab.methods.base import Material, fit_transcript
from stillwatch.lab.methods.imitation import imitation_loss
from stillwatch.lab.model import Model
from stillwatch.lab.training import Fitted, Plan
from stillwatch.lab.transcript import Transcript


@dataclass(frozen=True, slots=True)
class Trajectories:
    """Fine-tune on what the teacher's agent did, as :func:`stillwatch.lab.tools.act` records it."""

    name: str = "trajectories"
    paper: str = "Zeng et al. 2024, AgentTuning (ACL Findings); Chen et al. 2023, FireAct (arXiv:2310.05915)"
    needs: str = "the text of whole trajectories, with the results of the tools"

    def train(self, start: Model, material: Material, plan: Plan) -> Fitted:
        """Train on every trajectory of the transcript."""

        def loss(logits: Tensor, rows: Transcript) -> Tensor:
            return imitation_loss(logits, rows.replies, rows.written)

        return fit_transcript(start, material, plan, loss, purpose=13)


METHOD = Trajectories()
