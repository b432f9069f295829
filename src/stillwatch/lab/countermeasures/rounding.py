"""Round log-probabilities (Tramèr et al. 2016, section 7, where confidences are rounded against model extraction).

Each shown log-probability is rounded to a multiple of ``step`` nats.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from torch import Tensor

from stillwatch.lab.countermeasures.base import Countermeasure
from stillwatch.lab.transcript import Transcript


@dataclass(frozen=True, slots=True, kw_only=True)
class Rounding(Countermeasure):
    """Log-probabilities are shown coarsely."""

    step: float = 1.0
    """Distance between two values that can be shown, nats."""
    name: str = "rounding"
    paper: str = "Tramèr et al. 2016, Stealing Machine Learning Models via Prediction APIs (USENIX Security)"
    changes: str = "log-probabilities are rounded"
    user_loses: str = "exact log-probabilities"

    def shown(self, transcript: Transcript) -> Transcript:
        """The same transcript with rounded log-probabilities."""
        return replace(
            transcript,
            top_values=self._rounded(transcript.top_values),
            values=self._rounded(transcript.values),
        )

    def _rounded(self, values: Tensor | None) -> Tensor | None:
        return None if values is None else (values / self.step).round() * self.step


COUNTERMEASURE = Rounding()
