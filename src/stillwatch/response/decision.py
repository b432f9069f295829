"""What a person asks for: checked before anybody is hit, and counted."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from stillwatch.response import ResponseError
from stillwatch.response.actions import WITHOUT_PROOF, Action, Finding, Scope, parameters_of

if TYPE_CHECKING:
    from stillwatch.response.policy import Policy

LONGEST_REASON = 4000
"""Characters of a reason at most."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """A decision as it is asked for."""

    case_id: str
    finding: Finding
    action: Action
    reason: str
    """Why, in the words of who decides; shown to colleagues and kept in the audit log."""
    scope: Scope = Scope.CAMPAIGN
    account_id: str | None = None
    """With the scope ``principal``."""
    end_user_id: str | None = None
    """With the scope ``principal``, where it is an end user."""
    family_id: str | None = None
    """With the scope ``family``."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    lasts: dt.timedelta | None = None
    """How long it holds; None: as the policy says."""
    spread: dt.timedelta | None = None
    """Enforcement begins for each principal at a moment drawn from this span; None: as the policy says."""
    follows: bool = False
    """It holds too for principals who join the case while it holds, up to a number that the policy sets."""


class Hit(NamedTuple):
    """A principal whom a decision would hit; a tuple, since there are tens of thousands of them in a preview."""

    account_id: str
    end_user_id: str | None
    probability: float
    """P(extraction) of the campaign through which it is hit."""
    exchanges: int
    """All its exchanges in the log."""
    extraction_exchanges: int
    """Those of them in the campaign."""


@dataclass(frozen=True, slots=True)
class Preview:
    """Exactly whom a decision hits, before it is made."""

    principals: int
    """How many it hits."""
    accounts: int
    """How many accounts they are of."""
    expected_innocent: float
    """How many of them are probably innocent: the sum of 1 - probability.

    Principals of one campaign stand and fall together, so it is rarely this number: mostly none of them, and now and
    then all.
    """
    exchanges: int
    """All their exchanges in the log."""
    extraction_exchanges: int
    """Those of them in the campaign."""
    cleared: int
    """Principals of the subject who are left out, since a person cleared them."""
    families: int
    """Families that narrow it: 1 with the scope ``family``, else 0."""
    approval: str
    """Why a second person must approve; empty where none must."""
    matched: int | None
    """With the scope ``family``: exchanges of the log that it would have hit."""
    hits: tuple[Hit, ...]
    """Whom it hits, as many of them as were asked for."""
    cleared_families: int = 0
    """Families of the case that were cleared while others of it accuse: an action on all requests hits those of them too."""

    @property
    def ordinary_exchanges(self) -> int:
        """Exchanges of theirs outside of the campaign, which an action on the whole principal hits too."""
        return self.exchanges - self.extraction_exchanges

    def as_json(self) -> dict[str, Any]:
        """The preview as pages and programs read it."""
        return {
            "principals": self.principals,
            "accounts": self.accounts,
            "expected_innocent": self.expected_innocent,
            "extraction_exchanges": self.extraction_exchanges,
            "ordinary_exchanges": 0 if self.families else self.ordinary_exchanges,
            "matched_exchanges": self.matched,
            "cleared_left_out": self.cleared,
            "cleared_families": self.cleared_families,
            "needs_approval": self.approval or None,
            "hits": [hit._asdict() for hit in self.hits],
        }


def check(wanted: Wanted, policy: Policy) -> Wanted:
    """The decision with what was left open filled in. Raises :class:`ResponseError` where it may not be made."""
    if not wanted.reason.strip():
        raise ResponseError("a decision without a reason is none; say why in a sentence")
    if len(wanted.reason) > LONGEST_REASON:
        raise ResponseError(
            f"the reason has {len(wanted.reason):,} characters and {LONGEST_REASON:,} are kept; shorten it"
        )
    _check_subject(wanted)
    if wanted.finding is not Finding.EXTRACTION and wanted.action not in WITHOUT_PROOF:
        raise ResponseError(
            f"{wanted.action} takes the finding extraction, and this one is {wanted.finding}; while one is unsure "
            f"there are {' and '.join(sorted(WITHOUT_PROOF))}"
        )
    if wanted.finding in {Finding.INNOCENT, Finding.LICENSED} and wanted.action is not Action.OBSERVE:
        raise ResponseError(f"who is found {wanted.finding} is let be; leave the action at observe")
    lasts = policy.lasts if wanted.lasts is None else wanted.lasts
    spread = policy.spread if wanted.spread is None else wanted.spread
    if not dt.timedelta(0) < lasts <= policy.longest:
        raise ResponseError(
            f"it would hold for {lasts}; the policy allows more than nothing and at most {policy.longest}"
        )
    if not dt.timedelta(0) <= spread < lasts:
        raise ResponseError(
            f"a delay of up to {spread} does not fit into the {lasts} for which it holds; give a shorter one"
        )
    return Wanted(
        wanted.case_id, wanted.finding, wanted.action, wanted.reason.strip(), wanted.scope, wanted.account_id,
        wanted.end_user_id, wanted.family_id, parameters_of(wanted.action, wanted.parameters), lasts, spread,
        wanted.follows,
    )  # fmt: skip


def _check_subject(wanted: Wanted) -> None:
    given = (wanted.account_id is not None, wanted.end_user_id is not None, wanted.family_id is not None)
    fits = {
        Scope.CAMPAIGN: given == (False, False, False),
        Scope.FAMILY: given == (False, False, True),
        Scope.PRINCIPAL: given in {(True, False, False), (True, True, False)},
    }[wanted.scope]
    if not fits:
        raise ResponseError(
            f"the scope {wanted.scope} takes "
            + {
                Scope.CAMPAIGN: "neither a principal nor a family",
                Scope.FAMILY: "a family and no principal",
                Scope.PRINCIPAL: "an account, with its end user or without, and no family",
            }[wanted.scope]
        )
    if wanted.follows and wanted.scope is Scope.PRINCIPAL:
        raise ResponseError("a decision on one principal follows nobody; leave that out")


def approval_of(action: Action, principals: int, innocent: float, policy: Policy) -> str:
    """Why a second person must approve what hits so many, of whom so many are innocent by expectation; or empty."""
    if action is Action.OBSERVE:
        return ""
    if principals >= policy.principals:
        return (
            f"it hits {principals:,} principals, and from {policy.principals:,} on a second person approves"
        )
    if innocent >= policy.innocent:
        return (
            f"of those whom it hits {innocent:.2g} are innocent by expectation, and from {policy.innocent:g} on a "
            "second person approves"
        )
    return ""
