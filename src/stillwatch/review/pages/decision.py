"""Decisions: what waits for a second person, and one with whom it hits; approved, refused, or taken back."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Path, Request
from fastapi.responses import Response

from stillwatch.response.decision import LONGEST_REASON
from stillwatch.review.access import AccessError, Analyst, Approver, Opened, Viewer, now
from stillwatch.review.answers import answer, done
from stillwatch.review.pages.queue import Start
from stillwatch.store import decided, decisions
from stillwatch.store.users import Role

router = APIRouter()
State = Literal[decided.STATES]  # type: ignore[valid-type]
Number = Annotated[int, Path(ge=1, le=2**31 - 1)]
Reason = Annotated[str, Form(max_length=LONGEST_REASON)]


@router.get("/decisions")
def all_decisions(
    request: Request,
    store: Opened,
    person: Viewer,  # noqa: ARG001 (says who may)
    state: State | None = None,
    start: Start = 0,
) -> Response:
    """The list."""
    found = decided.all_decisions(store, state, start)
    return answer(request, "decisions.html", {**found, "_states": decided.STATES})


@router.get("/decisions/{number}")
def decision(request: Request, store: Opened, person: Viewer, number: Number, start: Start = 0) -> Response:
    """One of them."""
    found = decided.decision(store, number, start)
    return answer(request, "decision.html", {**found, "_own": found["asked_by"] == person.name})


@router.post("/decisions/{number}/approve")
def approve(request: Request, store: Opened, person: Approver, number: Number) -> Response:
    """Let it stand, as a second person."""
    decisions.approve(store, number, person.name, now())
    return done(request, f"/decisions/{number}", {"decision": number, "state": "standing"})


@router.post("/decisions/{number}/refuse")
def refuse(request: Request, store: Opened, person: Analyst, number: Number, reason: Reason) -> Response:
    """Turn it down, which takes an approver, or withdraw one's own."""
    own = decided.decision(store, number, most=1)["asked_by"] == person.name
    if not own and not person.role.covers(Role.APPROVER):
        raise AccessError(403, "to turn down what another proposed takes the role approver; ask one")
    decisions.refuse(store, number, person.name, reason, now())
    return done(request, f"/decisions/{number}", {"decision": number, "state": "refused"})


@router.post("/decisions/{number}/undo")
def undo(request: Request, store: Opened, person: Analyst, number: Number, reason: Reason) -> Response:
    """Take it back; what it had ended stands again."""
    decisions.undo(store, number, person.name, reason, now())
    return done(request, f"/decisions/{number}", {"decision": number, "state": "undone"})
