"""Rules of a policy: from what is known of a case to an action that is proposed, and never more than that.

A rule begins in the shadow: it records what it would have proposed, and nobody sees it in their queue. Of those that
propose, the first that fits a case does. One may act by itself if its action is ``observe``, which changes nothing for
anybody; every other takes a person.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any

from stillwatch.response import ResponseError
from stillwatch.response.actions import WITHOUT_PROOF, Action, Finding, Scope, parameters_of


class Mode(StrEnum):
    """What comes of a rule that fits."""

    SHADOW = "shadow"
    """It is recorded and counted, and nobody is asked."""
    PROPOSE = "propose"
    """A person is asked."""
    ACT = "act"
    """It is done at once; for ``observe`` alone."""


VERDICTS = ("extraction", "undetermined")
"""Verdicts of a campaign that opens a case."""


@dataclass(frozen=True, slots=True)
class When:
    """What a case must be for a rule to fit; all that is given must hold."""

    verdict: tuple[str, ...] = ("extraction",)
    """Verdict of its largest campaign, one of these: `extraction`, `undetermined`."""
    calibrated: bool | None = None
    """`true`: the scan states an alpha; `false`: it states none; left out: either."""
    least_probability: float | None = None
    """P(extraction) at least."""
    least_exchanges: int | None = None
    """Exchanges of the campaign in the log at least."""
    least_principals: int | None = None
    """Principals who take part at least."""
    most_principals: int | None = None
    """Principals who take part at most."""
    most_innocent: float | None = None
    """Innocents by expectation among them at most."""
    least_age: dt.timedelta | None = None
    """How long ago the case was opened at least."""


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule."""

    name: str
    """What it is called in proposals, counts and the audit log."""
    action: Action
    """What it proposes."""
    mode: Mode = Mode.SHADOW
    """`shadow`, `propose` or, with `observe`, `act`."""
    when: When = field(default_factory=When)
    """What a case must be."""
    finding: Finding = Finding.EXTRACTION
    """What it proposes to hold true: `extraction` or `unsure`."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """What the action is told."""
    scope: Scope = Scope.CAMPAIGN
    """`campaign`, or `family`: only requests of the campaign's largest family."""
    lasts: dt.timedelta | None = None
    """How long it is to hold; left out: as the policy says."""
    spread: dt.timedelta | None = None
    """Span from which its beginning is drawn; left out: as the policy says."""
    follows: bool = False
    """Whether it is to hit principals who join later, up to what the policy allows."""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a rule is told of a case."""

    verdict: str
    calibrated: bool
    probability: float
    exchanges: int
    principals: int
    innocent: float
    """By expectation: the sum of 1 - probability over the principals."""
    age: dt.timedelta


def fits(when: When, facts: Facts) -> bool:
    """Whether a case is what a rule asks for.

    >>> case = Facts("extraction", False, 0.999, 5000, 12, 0.012, dt.timedelta(hours=3))
    >>> fits(When(least_probability=0.99, most_principals=20), case)
    True
    >>> fits(When(calibrated=True), case)
    False
    """
    return (
        facts.verdict in when.verdict
        and when.calibrated in {None, facts.calibrated}
        and _at_least(facts.probability, when.least_probability)
        and _at_least(facts.exchanges, when.least_exchanges)
        and _at_least(facts.principals, when.least_principals)
        and (when.most_principals is None or facts.principals <= when.most_principals)
        and (when.most_innocent is None or facts.innocent <= when.most_innocent)
        and (when.least_age is None or facts.age >= when.least_age)
    )


def first_that_fits(rules: Iterable[Rule], facts: Facts) -> Rule | None:
    """The rule that decides what is proposed: of those that are not in the shadow, the first that fits."""
    return next((rule for rule in rules if rule.mode is not Mode.SHADOW and fits(rule.when, facts)), None)


def _at_least(value: float, least: float | None) -> bool:
    return least is None or value >= least


def checked(rules: Sequence[Rule], lasts: dt.timedelta, longest: dt.timedelta, spread: dt.timedelta) -> None:
    """Refuse rules of which a proposal could never be taken. Raises :class:`ResponseError` with the rule at fault."""
    names = [rule.name for rule in rules]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ResponseError(f"two rules are called {', '.join(twice)}; give each a name of its own")
    for rule in rules:
        _check(rule)
        holds, drawn = rule.lasts or lasts, rule.spread if rule.spread is not None else spread
        if not drawn < holds <= longest:
            raise ResponseError(
                f"rule {rule.name}: its spread ({drawn}) must be shorter than it lasts ({holds}), and that no "
                f"longer than the policy allows ({longest})"
            )


def _check(rule: Rule) -> None:
    if rule.mode is Mode.ACT and rule.action is not Action.OBSERVE:
        raise ResponseError(
            f"rule {rule.name}: only observe may act by itself; let {rule.action} propose, and a person decide"
        )
    if rule.mode is Mode.ACT and rule.finding is not Finding.UNSURE:
        raise ResponseError(
            f'rule {rule.name}: what acts by itself finds nothing; write finding = "unsure", and let people find more'
        )
    if rule.finding not in {Finding.EXTRACTION, Finding.UNSURE}:
        raise ResponseError(
            f"rule {rule.name}: a rule finds extraction or unsure; whoever is {rule.finding} is found so by people"
        )
    if rule.finding is Finding.UNSURE and rule.action not in WITHOUT_PROOF:
        raise ResponseError(
            f"rule {rule.name}: {rule.action} takes the finding extraction; while one is unsure there are "
            f"{' and '.join(sorted(WITHOUT_PROOF))}"
        )
    for key in (
        "least_probability",
        "least_exchanges",
        "least_principals",
        "most_principals",
        "most_innocent",
    ):
        value = getattr(rule.when, key)
        most = 1.0 if key == "least_probability" else math.inf
        if value is not None and not (0 <= value <= most and math.isfinite(value)):
            raise ResponseError(
                f"rule {rule.name}: {key} is {value:g}; it must be a number from 0 {'to 1' if most == 1 else 'on'}"
            )
    if rule.scope is Scope.PRINCIPAL:
        raise ResponseError(f"rule {rule.name}: a rule is about a campaign or its largest family")
    try:
        parameters_of(rule.action, rule.parameters)
    except ResponseError as error:
        raise ResponseError(f"rule {rule.name}: {error}") from error
