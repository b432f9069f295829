"""Cap log-probabilities: fewer alternatives a token, or none.

As an owner answers Carlini et al. 2024 (ICML, Stealing Part of a Production Language Model, section 8), whose attack
needs logits; here the question is what a student loses that learns from them.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from stillwatch.lab.countermeasures.base import Countermeasure

if TYPE_CHECKING:
    from stillwatch.lab.channel import Terms


@dataclass(frozen=True, slots=True, kw_only=True)
class Capping(Countermeasure):
    """At most so many alternatives are shown."""

    alternatives: int = 1
    """Words a token whose log-probabilities are shown at most; with 0 none are."""
    name: str = "capping"
    paper: str = "Carlini et al. 2024, Stealing Part of a Production Language Model (ICML)"
    changes: str = "log-probabilities are shown of fewer words a token"
    user_loses: str = "log-probabilities of the other words"

    def terms(self, terms: Terms) -> Terms:
        """The same terms with fewer alternatives; nothing where no log-probabilities are shown anyway."""
        if terms.log_probabilities == "none":
            return terms
        if self.alternatives == 0:
            return replace(terms, log_probabilities="none")
        shown = (
            self.alternatives
            if terms.log_probabilities == "all"
            else min(self.alternatives, terms.alternatives)
        )
        return replace(terms, log_probabilities="top", alternatives=shown)


COUNTERMEASURE = Capping()
