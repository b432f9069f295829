"""Hide the reasoning: the answer is shown, the trace before it is not.

As OpenAI did with its first reasoning models ("hiding the chains of thought", OpenAI 2024, Learning to reason with
LLMs). What a model writes after its answer because a caller asks for it is not a trace and is shown.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stillwatch.lab.countermeasures.base import Countermeasure

if TYPE_CHECKING:
    from stillwatch.lab.channel import Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Hiding(Countermeasure):
    """No trace is shown."""

    name: str = "hiding"
    paper: str = "OpenAI 2024, Learning to reason with LLMs"
    changes: str = "the trace before the answer is not shown"
    user_loses: str = "sight of the reasoning"

    def terms(self, terms: Terms) -> Terms:
        """The same terms without the trace."""
        return replace(terms, reasoning="hidden")


COUNTERMEASURE = Hiding()
