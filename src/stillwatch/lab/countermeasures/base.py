"""What every countermeasure may change: the terms, the temperature, the choice of each word, and what is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from stillwatch.lab.model import Model, Steering
from stillwatch.lab.transcript import Transcript

if TYPE_CHECKING:
    from stillwatch.lab.channel import Terms


class CountermeasureError(Exception):
    """A countermeasure lacks something that it needs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Countermeasure:
    """By itself it changes nothing; each one overrides what it changes."""

    name: str = "none"
    paper: str = ""
    """Citation."""
    changes: str = "nothing"
    """What it changes, in one sentence."""
    user_loses: str = "nothing"
    """What an honest user loses beside right answers, which are measured."""

    def terms(self, terms: Terms) -> Terms:
        """The terms of the API with this countermeasure."""
        return terms

    def temperature(self, asked: float) -> float:
        """The temperature at which is sampled where a caller asks for ``asked``."""
        return asked

    def steering(self, teacher: Model) -> Steering | None:
        """What is done to the scores of each next word before one is drawn; none where nothing is."""
        del teacher
        return None

    def shown(self, transcript: Transcript) -> Transcript:
        """What callers see of the exchanges that the terms would show."""
        return transcript


NONE = Countermeasure()
