"""The actions that hold at a moment, as a gateway caches them: plain, immutable, free of text and evidence.

The JSON form is a contract with whoever enforces; :data:`VERSION` changes when a reader would have to. ::

    {"version": 1, "made_at": "2026-03-02T09:00:00+00:00", "actions": [
      {"scope": "campaign", "account_id": "acct-1", "end_user_id": null, "family_id": null,
       "action": "throttle", "parameters": {"requests_per_minute": 6}, "reason": "case c-5f0a, decision 12",
       "campaign_id": "c-5f0a", "from": "2026-03-02T11:13:20+00:00", "until": "2026-04-01T09:00:00+00:00"}],
     "templates": {}}

Every row names an account: a decision on a campaign or a family is one row for each principal that it hits.
``templates`` holds what a request must hold to belong to a family that a row names (:mod:`stillwatch.response.template`);
a reader that cannot tell leaves it aside.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from stillwatch.response import ResponseError
from stillwatch.response.actions import Action, Scope
from stillwatch.response.template import Template

VERSION = 1
_HARDNESS = {action: place for place, action in enumerate(Action)}
_KEYS = ("scope", "account_id", "end_user_id", "family_id", "action", "parameters", "reason", "campaign_id")


@dataclass(frozen=True, slots=True)
class HeldAction:
    """One action on one principal."""

    scope: Scope
    """What the decision was about: ``principal``, ``family`` or ``campaign``."""
    account_id: str
    """The account that is hit; every row names one."""
    end_user_id: str | None
    """The end user of the account that is hit; None: the whole account, whoever its end users are."""
    family_id: str | None
    """With the scope ``family``: only requests of this family are hit. None with any other."""
    action: Action
    """What is done."""
    parameters: Mapping[str, Any]
    """What the action was told, such as ``requests_per_minute``."""
    reason: str
    """The case and the number of the decision, for whoever asks; nothing of the evidence."""
    campaign_id: str
    """The campaign through which it is hit."""
    starts: dt.datetime
    """From when it holds; spread over a random delay, so that an operator cannot time the detector."""
    until: dt.datetime
    """When it ends by itself; every action does."""

    def holds(self, at: dt.datetime) -> bool:
        """Whether it holds at a moment: from its start, and no longer at its end."""
        return self.starts <= at < self.until

    def as_json(self) -> dict[str, Any]:
        """The row of the contract."""
        row = {key: getattr(self, key) for key in _KEYS}
        return {
            **row,
            "scope": str(self.scope),
            "action": str(self.action),
            "parameters": dict(self.parameters),
            "from": self.starts.isoformat(),
            "until": self.until.isoformat(),
        }


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All actions that hold or will hold, at the moment at which they were read."""

    made_at: dt.datetime
    actions: tuple[HeldAction, ...]
    templates: tuple[Template, ...] = ()
    """Of the families that the actions name, where the store has them."""
    _of_account: Mapping[str, tuple[HeldAction, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the actions by account, since a gateway asks for one at a time."""
        found: dict[str, list[HeldAction]] = {}
        for action in self.actions:
            found.setdefault(action.account_id, []).append(action)
        object.__setattr__(self, "_of_account", {name: tuple(rows) for name, rows in found.items()})

    def holding(
        self, account_id: str, end_user_id: str | None, at: dt.datetime, families: Iterable[str] = ()
    ) -> tuple[HeldAction, ...]:
        """Actions on one request, the hardest first.

        ``families``: ids of the families that the request belongs to, where whoever asks can tell; without them no
        action of the scope ``family`` is given.
        """
        inside = frozenset(families)
        found = [
            action
            for action in self._of_account.get(account_id, ())
            if action.holds(at)
            and action.end_user_id in {None, end_user_id}
            and (action.family_id is None or action.family_id in inside)
        ]
        if len(found) > 1:
            found.sort(key=lambda action: (-_HARDNESS[action.action], action.until))
        return tuple(found)

    def names_end_user(self, account_id: str, at: dt.datetime) -> bool:
        """Whether an action holds for some end user of an account."""
        return any(
            action.end_user_id is not None and action.holds(at)
            for action in self._of_account.get(account_id, ())
        )

    def as_json(self) -> dict[str, Any]:
        """The document of the contract."""
        return {
            "version": VERSION,
            "made_at": self.made_at.isoformat(),
            "actions": [action.as_json() for action in self.actions],
            "templates": {one.family_id: one.as_json() for one in self.templates},
        }

    @staticmethod
    def from_json(text: str | bytes) -> Snapshot:
        """The snapshot of a document. Raises :class:`ResponseError` where it is of another version or none at all."""
        try:
            told = json.loads(text)
            version = told["version"]
        except (ValueError, TypeError, KeyError) as error:
            raise ResponseError(
                "these are no actions: expected a JSON object with version, made_at, actions"
            ) from error
        if version != VERSION:
            raise ResponseError(
                f"these actions are of version {version!r} and {VERSION} is known; write them anew with this release"
            )
        try:
            templates = told.get("templates", {}).items()
            return Snapshot(
                _time(told["made_at"]),
                tuple(map(_action, told["actions"])),
                tuple(Template.from_json(family_id, one) for family_id, one in templates),
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ResponseError("these actions lack a field or hold a wrong one; write them anew") from error


def _action(row: Mapping[str, Any]) -> HeldAction:
    return HeldAction(
        Scope(row["scope"]),
        row["account_id"],
        row["end_user_id"],
        row["family_id"],
        Action(row["action"]),
        dict(row["parameters"]),
        row["reason"],
        row["campaign_id"],
        _time(row["from"]),
        _time(row["until"]),
    )


def _time(text: str) -> dt.datetime:
    at = dt.datetime.fromisoformat(text)
    if at.tzinfo is None:
        raise ValueError("a time without a zone")
    return at
