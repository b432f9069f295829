"""Summarise the reasoning: of the trace every second step is shown.

As reasoning summaries of public APIs do (OpenAI 2024 shows "a model-generated summary of the chain of thought"). Here
a summary is exact and keeps half of the steps: what a summary loses is the distance between two steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stillwatch.lab.countermeasures.base import Countermeasure

if TYPE_CHECKING:
    from stillwatch.lab.channel import Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary(Countermeasure):
    """Half of the trace is shown."""

    name: str = "summary"
    paper: str = "OpenAI 2024, Learning to reason with LLMs"
    changes: str = "every second step of the trace is shown"
    user_loses: str = "half of the steps"

    def terms(self, terms: Terms) -> Terms:
        """The same terms with a summary for the trace."""
        return replace(terms, reasoning="summarised")


COUNTERMEASURE = Summary()
