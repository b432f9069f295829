"""What a gateway is to do with one request: the actions that hold, put together into one answer.

A pure look-up in a snapshot, and the counting of those who are throttled; nothing is detected here.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stillwatch.live.pace import Pace
from stillwatch.response.actions import Action
from stillwatch.response.template import Templates

if TYPE_CHECKING:
    from stillwatch.response.snapshot import HeldAction, Snapshot

CODES = {
    Action.SUSPEND: ("suspended", "this account gets no reply"),
    Action.STEP_UP: ("verification_required", "this account must be verified before it gets a reply"),
    Action.RESTRICT_TIER: ("model_not_available", "this model is not available to this account"),
    Action.THROTTLE: ("throttled", "this account has used what it may in a minute"),
}
"""By action that refuses: the code of the error, and what it says to the customer."""
PARTIAL = ("too_large", "not all of this request can be read: it is too large, nested too deeply or cut off")
"""Where an action hangs on what a body says, and not all of it could be read."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer for one request."""

    status: int = 200
    """HTTP status for the customer: 200 (goes on), 403 or 429."""
    code: str = ""
    """Why it does not go on, for programs."""
    message: str = ""
    """And for people: case and number of the decision, nothing of the evidence."""
    retry_after_s: int | None = None
    """With 429: seconds after which it may be tried again."""
    trace: str | None = None
    """What to do with the reply's trace of thought: None, ``strip`` or ``summarise``."""
    logprobs: int | None = None
    """Log-probabilities a token at most; None: as asked."""
    wants_request: bool = False
    """An action holds for some requests only: ask again with the request, or its fragments. Nothing was counted."""
    unenforced: tuple[Action, ...] = ()
    """Actions that could not be judged, since the asker told no model."""
    actions: tuple[HeldAction, ...] = ()
    """All that hold, the hardest first."""

    @property
    def allowed(self) -> bool:
        """Whether the request goes on."""
        return self.status == 200

    def as_json(self) -> dict[str, Any]:
        """The answer of the interface."""
        return {
            "allow": self.allowed,
            "status": self.status,
            "code": self.code,
            "message": self.message,
            "retry_after_s": self.retry_after_s,
            "trace": self.trace,
            "logprobs": self.logprobs,
            "wants_request": self.wants_request,
            "actions": [
                {
                    "action": str(one.action),
                    "parameters": dict(one.parameters),
                    "reason": one.reason,
                    "family_id": one.family_id,
                    "until": one.until.isoformat(),
                }
                for one in self.actions
            ],
        }


NOTHING = Decision()


@dataclass(frozen=True, slots=True)
class Held:
    """One snapshot, made ready to be asked."""

    snapshot: Snapshot
    templates: Templates
    """Of the families of which a request can be told."""
    families: frozenset[str]
    """Their ids."""
    accounts: frozenset[str]
    """Accounts that any action names."""
    blind: int
    """Families that actions name and of which no request can be told: no template, or one of another key."""

    @staticmethod
    def of(snapshot: Snapshot, key: str) -> Held:
        """``key``: public name of the key of the fragments that will be asked about."""
        own = [template for template in snapshot.templates if template.key == key]
        families = frozenset(template.family_id for template in own)
        named = {action.family_id for action in snapshot.actions if action.family_id is not None}
        accounts = frozenset(action.account_id for action in snapshot.actions)
        return Held(snapshot, Templates(own), families, accounts, len(named - families))


class Deciding:
    """Answers from one snapshot after the other; what was counted is kept from one to the next."""

    def __init__(self, snapshot: Snapshot, key: str) -> None:
        self.pace = Pace()
        self._key = key
        self.held = Held.of(snapshot, key)

    def use(self, snapshot: Snapshot) -> None:
        """Go on with another snapshot; one assignment, so it may be called from another thread."""
        self.held = Held.of(snapshot, self._key)

    def decide(
        self,
        account_id: str,
        end_user_id: str | None,
        model: str | None,
        at: dt.datetime,
        fragments: Iterable[int] | None = None,
    ) -> Decision:
        """What to do with a request. ``fragments``: of its sketch, where the asker gave them or the request."""
        known = self.held
        if account_id not in known.accounts:
            return NOTHING
        families = frozenset() if fragments is None else known.templates.match(fragments)
        held = known.snapshot.holding(account_id, end_user_id, at, families)
        if fragments is None and _narrowed(known, account_id, end_user_id, at):
            if held and held[0].action in {Action.SUSPEND, Action.STEP_UP}:
                return _refused(held[0], 403, held)
            return Decision(wants_request=True, actions=held)
        return self._combine(held, model, at)

    def of_partial(
        self, decision: Decision, account_id: str, end_user_id: str | None, at: dt.datetime
    ) -> Decision:
        """The decision on a request of which the server behind may read more than was told.

        It is refused where an action may hold by what was not told: the template, the model, or the end user where
        ``end_user_id`` is None.
        """
        hangs = decision.wants_request or bool(decision.unenforced)
        if not hangs and end_user_id is None and decision.allowed:
            hangs = self.held.snapshot.names_end_user(account_id, at)
        return Decision(413, *PARTIAL, actions=decision.actions) if hangs else decision

    def _combine(self, held: tuple[HeldAction, ...], model: str | None, at: dt.datetime) -> Decision:
        if not held:
            return NOTHING
        unenforced: set[Action] = set()
        limits = []
        for one in held:
            if one.action in {Action.SUSPEND, Action.STEP_UP}:
                return _refused(one, 403, held)
            if one.action is Action.RESTRICT_TIER:
                if model is None:
                    unenforced.add(one.action)
                elif model not in one.parameters["models"]:
                    return _refused(one, 403, held)
            if one.action is Action.THROTTLE:
                name = (one.account_id, one.end_user_id, one.family_id, one.reason)
                limits.append((name, int(one.parameters["requests_per_minute"])))
        if limits and (wait := self.pace.wait_s(limits, at.timestamp())):
            throttle = next(one for one in held if one.action is Action.THROTTLE)
            return _refused(throttle, 429, held, max(1, math.ceil(wait)))
        traces = [one.parameters["trace"] for one in held if one.action is Action.HIDE_REASONING]
        caps = [int(one.parameters["most"]) for one in held if one.action is Action.CAP_LOGPROBS]
        return Decision(
            trace="strip" if "strip" in traces else next(iter(traces), None),
            logprobs=min(caps, default=None),
            unenforced=tuple(sorted(unenforced)),
            actions=held,
        )


def _narrowed(known: Held, account_id: str, end_user_id: str | None, at: dt.datetime) -> bool:
    """Whether an action holds for this principal, for the requests of some family alone."""
    held = known.snapshot.holding(account_id, end_user_id, at, known.families)
    return any(action.family_id is not None for action in held)


def _refused(
    one: HeldAction, status: int, held: tuple[HeldAction, ...], retry_after_s: int | None = None
) -> Decision:
    code, message = CODES[one.action]
    return Decision(status, code, f"{message} ({one.reason})", retry_after_s, actions=held)
