"""The actions of a response, from the mildest to the hardest, and what each may be told."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from stillwatch.response import ResponseError


class Action(StrEnum):
    """What is done with the requests that a decision hits."""

    OBSERVE = "observe"
    THROTTLE = "throttle"
    HIDE_REASONING = "hide_reasoning"
    CAP_LOGPROBS = "cap_logprobs"
    RESTRICT_TIER = "restrict_tier"
    STEP_UP = "step_up"
    SUSPEND = "suspend"


class Scope(StrEnum):
    """What a decision is about."""

    PRINCIPAL = "principal"
    """One account, or one end user of an account."""
    FAMILY = "family"
    """The campaign's principals, in the requests alone that belong to one family; their other traffic is let be."""
    CAMPAIGN = "campaign"
    """Every principal of a campaign, in all their requests."""


class Finding(StrEnum):
    """What a person holds to be true of the subject; the words of ``labels.parquet``."""

    EXTRACTION = "extraction"
    INNOCENT = "innocent"
    LICENSED = "licensed"
    UNSURE = "unsure"


MEANINGS: Mapping[Action, str] = {
    Action.OBSERVE: "nothing changes for the customer; the requests are marked",
    Action.THROTTLE: "at most so many requests a minute",
    Action.HIDE_REASONING: "replies without their trace of thought, or with a summary of it",
    Action.CAP_LOGPROBS: "at most so many log-probabilities a token",
    Action.RESTRICT_TIER: "the named models alone",
    Action.STEP_UP: "no reply before the customer has shown who they are",
    Action.SUSPEND: "no reply",
}

CLEARING = (Finding.INNOCENT, Finding.LICENSED)
"""Findings by which nobody is hit."""
WITHOUT_PROOF = frozenset({Action.OBSERVE, Action.STEP_UP})
"""Actions that may be taken while one is unsure; every other takes the finding of extraction."""

TRACES = ("strip", "summarise")
MOST_LOGPROBS = 20


def parameters_of(action: Action, given: Mapping[str, Any]) -> dict[str, Any]:
    """The parameters of an action, checked, with what was left out filled in.

    Raises :class:`ResponseError` for a name that the action does not have, or a value that it cannot take.

    >>> parameters_of(Action.THROTTLE, {})
    {'requests_per_minute': 6}
    """
    known = _DEFAULTS[action]
    if unknown := sorted(set(given) - set(known)):
        allowed = f"it takes {', '.join(known)}" if known else "it takes none"
        raise ResponseError(f"{action} has no parameter {', '.join(unknown)}; {allowed}")
    chosen = {**known, **given}
    for name, value in chosen.items():
        if not _fits(name, value):
            raise ResponseError(f"{action}: {name} must be {_ALLOWED[name]}")
    return chosen


def takes(action: Action) -> dict[str, str]:
    """The parameters of an action, and what each may be.

    >>> takes(Action.CAP_LOGPROBS)
    {'most': 'a whole number from 0 to 20'}
    """
    return {name: _ALLOWED[name] for name in _DEFAULTS[action]}


_DEFAULTS: Mapping[Action, dict[str, Any]] = {
    Action.OBSERVE: {},
    Action.THROTTLE: {"requests_per_minute": 6},
    Action.HIDE_REASONING: {"trace": "strip"},
    Action.CAP_LOGPROBS: {"most": 0},
    Action.RESTRICT_TIER: {"models": []},
    Action.STEP_UP: {},
    Action.SUSPEND: {},
}
_ALLOWED = {
    "requests_per_minute": "a whole number from 1 to 100000",
    "trace": " or ".join(TRACES),
    "most": f"a whole number from 0 to {MOST_LOGPROBS}",
    "models": "a list of one or more names of models",
}


def _fits(name: str, value: object) -> bool:
    if name == "trace":
        return value in TRACES
    if name == "models":
        return isinstance(value, list) and bool(value) and all(isinstance(one, str) and one for one in value)
    low, high = (1, 100_000) if name == "requests_per_minute" else (0, MOST_LOGPROBS)
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high
