"""What the rules of a policy would have done over logs that happened: whom they stop, how soon, and who is innocent.

Each log is replayed with nothing known of the future. From the look at which a rule first fits a flagged campaign, its
principals are hit after the time that people take and a moment drawn from the spread; those who are flagged later are
hit from then on. What it cannot know: the operator would have done something else once it was stopped, and throttled
requests are not all refused. So the leak fraction is what it got *before it was answered*, and no forecast.
"""

from __future__ import annotations

import datetime as dt
import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stillwatch.calibration.labels import CLEARED, Standing
from stillwatch.evidence import posterior
from stillwatch.response.decision import approval_of
from stillwatch.response.rules import Facts, Mode, Rule, first_that_fits, fits

if TYPE_CHECKING:
    from stillwatch.calibration.labels import Labels
    from stillwatch.live.past import Past, Principal, Sent
    from stillwatch.response.policy import Policy

SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class Stopped:
    """A principal that would have been hit."""

    campaign_id: str
    from_us: int
    until_us: int
    probability: float


@dataclass(frozen=True, slots=True)
class Tested:
    """What came of one rule, or of all that propose together."""

    rule: str
    """Its name; empty: all rules that propose, the first that fits each campaign."""
    mode: str
    campaigns: int
    """Campaigns that were flagged in the logs."""
    answered: int
    """Campaigns of which it proposes something."""
    approvals: int
    """Proposals that a second person would have to approve."""
    principals: int
    """Principals whom it hits."""
    expected_innocent: float
    """Of those, by expectation: the sum of 1 - probability."""
    innocent: int | None
    """Of those, innocent by the truth or by labels; None where nothing is known."""
    unknown: int | None
    """Of those, the ones of whom truth and labels say nothing."""
    leak: float | None
    """Share of the flagged campaigns' exchanges that came before they were answered; None without any."""
    leak_by: str
    """`truth`: of all the operators' extraction exchanges, those of missed operators included; `looks`: of what was
    seen of the campaigns, to the first moment at which somebody is hit."""
    operators: int | None
    """Operators of the truth."""
    operators_stopped: int | None
    """Operators of whom at least one principal is hit."""
    ordinary: int | None
    """With a truth: exchanges that are no extraction and are hit, of whomever; the whole principal is hit."""


def backtest(
    past: Sequence[Past],
    policy: Policy,
    decided_within: dt.timedelta,
    labels: Labels | None = None,
    seed: int = 0,
) -> list[Tested]:
    """Every rule by itself, shadow or not, and first all that propose together."""
    speaking = tuple(rule for rule in policy.rules if rule.mode is not Mode.SHADOW)
    runs: list[tuple[str, str, tuple[Rule, ...]]] = [("", "", speaking)] if speaking else []
    runs += [(rule.name, str(rule.mode), (rule,)) for rule in policy.rules]
    return [
        _tested(name, mode, rules, past, policy, decided_within, labels, seed) for name, mode, rules in runs
    ]


def _tested(
    name: str, mode: str, rules: Sequence[Rule], past: Sequence[Past], policy: Policy,
    decided_within: dt.timedelta, labels: Labels | None, seed: int,
) -> Tested:  # fmt: skip
    whole = _Sum()
    for place, one in enumerate(past):
        draw = random.Random(f"{seed} {place} {name}")
        fired = _fired(one, rules, by_itself=bool(name))
        hits, approvals = _hits(one, fired, policy, decided_within, draw)
        whole.add(one, fired, hits, approvals, labels)
    return whole.told(name, mode)


def _fired(past: Past, rules: Sequence[Rule], *, by_itself: bool) -> dict[str, tuple[Rule, int]]:
    """For each campaign the rule that fits it first, and the look at which it does."""
    found: dict[str, tuple[Rule, int]] = {}
    opened: dict[str, int] = {}
    for look in past.looks:
        name = look["campaign_id"]
        if not look["flagged"] or name in found:
            continue
        at = look["at_us"]
        opened.setdefault(name, at)
        probability = posterior(look["evidence_bits"], past.prior)
        facts = Facts(
            "extraction", past.calibrated, probability, look["exchanges"], look["principals"],
            look["principals"] * (1 - probability), dt.timedelta(microseconds=at - opened[name]),
        )  # fmt: skip
        rule = (
            next((one for one in rules if fits(one.when, facts)), None)
            if by_itself
            else first_that_fits(rules, facts)
        )
        if rule is not None:
            found[name] = rule, at
    return found


def _hits(
    past: Past, fired: Mapping[str, tuple[Rule, int]], policy: Policy, decided_within: dt.timedelta,
    draw: random.Random,
) -> tuple[dict[Principal, Stopped], int]:  # fmt: skip
    """Whom the proposals hit, each principal by the first that does, and how many take a second person."""
    hits: dict[Principal, Stopped] = {}
    people: dict[str, list[float]] = defaultdict(list)
    waits = int(decided_within.total_seconds() * SECOND_US)
    for flag in past.flags:
        if flag["campaign_id"] not in fired:
            continue
        rule, at = fired[flag["campaign_id"]]
        lasts, spread = rule.lasts or policy.lasts, rule.spread if rule.spread is not None else policy.spread
        decided = max(at, flag["at_us"]) + (0 if rule.mode is Mode.ACT else waits)
        begins = decided + int(draw.random() * spread.total_seconds() * SECOND_US)
        until = decided + int(lasts.total_seconds() * SECOND_US)
        principal = flag["account_id"], flag["end_user_id"]
        if flag["at_us"] <= at:
            people[flag["campaign_id"]].append(flag["probability"])
        if principal not in hits or begins < hits[principal].from_us:
            hits[principal] = Stopped(flag["campaign_id"], begins, until, flag["probability"])
    approvals = sum(
        bool(approval_of(fired[name][0].action, len(chances), sum(1 - one for one in chances), policy))
        for name, chances in people.items()
    )
    return hits, approvals


class _Sum:
    """Counts over the logs."""

    def __init__(self) -> None:
        self.campaigns = self.answered = self.approvals = self.principals = 0
        self.expected = 0.0
        self.innocent = self.unknown = 0
        self.known = False
        self.before = self.all = 0
        self.by_truth = False
        self.operators = self.stopped = self.ordinary = 0

    def add(
        self, past: Past, fired: Mapping[str, tuple[Rule, int]], hits: Mapping[Principal, Stopped],
        approvals: int, labels: Labels | None,
    ) -> None:  # fmt: skip
        self.campaigns += len({flag["campaign_id"] for flag in past.flags})
        self.answered += len(fired)
        self.approvals += approvals
        self.principals += len(hits)
        self.expected += sum(1 - one.probability for one in hits.values())
        if past.sent is not None:
            self.known = self.by_truth = True
            self._by_truth(past.sent, hits)
            return
        if labels is not None:
            self.known = True
            self._by_labels(labels, hits)
        self._by_looks(past, hits)

    def _by_truth(self, sent: Sent, hits: Mapping[Principal, Stopped]) -> None:
        guilty = {row.principal for row in sent.rows if row.extraction}
        guilty |= {(account, None) for account, _ in guilty}
        self.innocent += sum(principal not in guilty for principal in hits)
        stopped: dict[str, bool] = {}
        for row in sent.rows:
            hit = hits.get(row.principal) or hits.get((row.principal[0], None))
            inside = hit is not None and hit.from_us <= row.at_us < hit.until_us
            if not row.extraction:
                self.ordinary += inside
                continue
            self.all += 1
            self.before += not inside
            stopped[row.operator] = stopped.get(row.operator, False) or hit is not None
        self.operators += len(stopped)
        self.stopped += sum(stopped.values())

    def _by_labels(self, labels: Labels, hits: Mapping[Principal, Stopped]) -> None:
        whole = {label.subject[0]: label.standing for label in labels.about_groups()}
        own = {label.subject[2:]: label.standing for label in labels.about_principals()}
        for principal, hit in hits.items():
            standing = own.get(principal, whole.get(hit.campaign_id))
            self.innocent += standing in CLEARED
            self.unknown += standing not in {*CLEARED, Standing.EXTRACTION}

    def _by_looks(self, past: Past, hits: Mapping[Principal, Stopped]) -> None:
        begins: dict[str, int] = {}
        for hit in hits.values():
            begins[hit.campaign_id] = min(hit.from_us, begins.get(hit.campaign_id, hit.from_us))
        for name in {flag["campaign_id"] for flag in past.flags}:
            seen = [look for look in past.looks if look["campaign_id"] == name]
            most = max((look["exchanges"] for look in seen), default=0)
            first = begins.get(name)
            early = (look["exchanges"] for look in seen if first is None or look["at_us"] <= first)
            self.all += most
            self.before += min(most, max(early, default=0))

    def told(self, name: str, mode: str) -> Tested:
        return Tested(
            name, mode, self.campaigns, self.answered, self.approvals, self.principals, self.expected,
            self.innocent if self.known else None, self.unknown if self.known else None,
            self.before / self.all if self.all else None, "truth" if self.by_truth else "looks",
            self.operators if self.by_truth else None, self.stopped if self.by_truth else None,
            self.ordinary if self.by_truth else None,
        )  # fmt: skip


def lines(tested: Sequence[Tested]) -> list[str]:
    """The result for a terminal, one paragraph a rule."""
    return [line for one in tested for line in _paragraph(one)]


def _paragraph(one: Tested) -> list[str]:
    named = f"rule {one.rule} ({one.mode})" if one.rule else "all rules that propose"
    told = [
        f"{named}: answers {one.answered} of {one.campaigns} flagged campaigns, {one.approvals} with a second person"
    ]
    innocent = f"{one.expected_innocent:.2g} innocent by expectation"
    if one.innocent is not None:
        innocent += f", {one.innocent:,} innocent in truth" if one.operators is not None else (
            f", {one.innocent:,} innocent by labels, {one.unknown:,} without a label"
        )  # fmt: skip
    told.append(f"  hits {one.principals:,} principals: {innocent}")
    if one.operators is not None:
        told.append(
            f"  {one.operators_stopped} of {one.operators} operators hit; {one.ordinary:,} ordinary exchanges hit"
        )
    leak = "nothing to leak" if one.leak is None else f"leak fraction {one.leak:.1%}, by {one.leak_by}"
    return [*told, f"  {leak}"]


def as_json(tested: Sequence[Tested]) -> list[dict[str, Any]]:
    """The result for programs."""
    return [{name: getattr(one, name) for name in Tested.__slots__} for one in tested]
