"""Decide: first whom it would hit, then the decision."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response
from pydantic import BaseModel, Field

from stillwatch.report.wording import duration
from stillwatch.response.actions import MEANINGS, TRACES, Action, Finding, Scope, parameters_of, takes
from stillwatch.response.decision import LONGEST_REASON, Wanted
from stillwatch.response.policy import Policy, span
from stillwatch.review.access import Analyst, Opened, now
from stillwatch.review.answers import answer, done
from stillwatch.store import cases, decisions

router = APIRouter()
SHOWN = 50
"""Principals of a preview at once, those of the whole decision being counted."""
UNNAMED = "a preview takes no reason"
Line = Annotated[str, Field(max_length=512)]


class Asked(BaseModel):
    """What the form asks for; empty where nothing was chosen."""

    action: Action = Action.OBSERVE
    finding: Finding = Finding.EXTRACTION
    account: Line = ""
    end_user: Line = ""
    family: Line = ""
    requests_per_minute: Line = ""
    trace: Line = ""
    most: Line = ""
    models: Line = ""
    lasts: Line = ""
    spread: Line = ""
    follows: bool = False

    def wanted(self, name: str, reason: str) -> Wanted:
        """The decision as the store takes it; parameters of another action are left out, since one form has them all."""
        scope = Scope.PRINCIPAL if self.account else Scope.FAMILY if self.family else Scope.CAMPAIGN
        given = {key: getattr(self, key).strip() for key in takes(self.action)}
        return Wanted(
            name,
            self.finding,
            self.action,
            reason,
            scope,
            self.account or None,
            self.end_user or None,
            self.family or None,
            {key: _value(key, text) for key, text in given.items() if text},
            span(self.lasts) if self.lasts.strip() else None,
            span(self.spread) if self.spread.strip() else None,
            self.follows,
        )


class Previewed(Asked):
    """What a preview is asked for."""

    start: Annotated[int, Field(ge=0, le=10_000_000)] = 0
    """Where the list of whom it hits begins."""


class Decided(Asked):
    """The form that confirms a preview."""

    reason: Annotated[str, Field(max_length=LONGEST_REASON)]
    version: int
    """Of the case, as whoever decides has seen it."""


@router.get("/cases/{name}/preview")
def preview(
    request: Request, store: Opened, person: Analyst, name: str, asked: Annotated[Previewed, Query()]
) -> Response:
    """Exactly whom it would hit; nothing is changed."""
    policy = _policy(request)
    wanted = asked.wanted(name, UNNAMED)
    version, assignee = cases.version_of(store, name)
    shown = decisions.preview(store, wanted, policy, asked.start, SHOWN, (person.name, now()))
    told = {
        "case_id": name,
        "version": version,
        "action": wanted.action,
        "finding": wanted.finding,
        "scope": wanted.scope,
        "family_id": wanted.family_id,
        "parameters": parameters_of(wanted.action, wanted.parameters),
        **shown.as_json(),
        "start": asked.start,
        "more": asked.start + SHOWN < shown.principals,
        "_fields": {
            key: value for key, value in asked.model_dump(mode="json", exclude={"start"}).items() if value
        },
        "_other": assignee if assignee != person.name else None,
        "_shown": SHOWN,
        "_meaning": MEANINGS[wanted.action],
        "_lasts": _in_words(wanted.lasts or policy.lasts),
        "_spread": _in_words(policy.spread if wanted.spread is None else wanted.spread),
        "_longest_reason": LONGEST_REASON,
    }
    return answer(request, "preview.html", told)


@router.post("/cases/{name}/decide")
def decide(
    request: Request, store: Opened, person: Analyst, name: str, decided: Annotated[Decided, Form()]
) -> Response:
    """Make the decision, or propose it where a second person must approve."""
    wanted = decided.wanted(name, decided.reason)
    number = decisions.decide(store, wanted, person.name, _policy(request), now(), decided.version)
    return done(request, f"/decisions/{number}", {"decision": number})


def choices(campaign: Mapping[str, Any]) -> dict[str, Any]:
    """What the form offers for a campaign."""
    return {
        "actions": [(action, MEANINGS[action]) for action in Action],
        "findings": [*Finding],
        "traces": TRACES,
        "families": [one["family_id"] for one in campaign["families"]],
    }


def _policy(request: Request) -> Policy:
    policy: Policy = request.app.state.settings.policy
    return policy


def _in_words(span_of_time: dt.timedelta) -> str:
    """A span as people say it; empty where there is none."""
    seconds = int(span_of_time.total_seconds())
    text = duration(seconds) if seconds else ""
    return f"one {text}" if text.isalpha() else text


def _value(name: str, text: str) -> Any:
    if name == "models":
        return [one.strip() for one in text.split(",") if one.strip()]
    return int(text) if text.isdecimal() else text
