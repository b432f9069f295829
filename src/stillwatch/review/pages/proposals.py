"""What the rules propose: taken up or turned down by a person; and what each came to, those in the shadow too."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from stillwatch.response.decision import LONGEST_REASON
from stillwatch.review.access import Analyst, Opened, Viewer, now
from stillwatch.review.answers import answer, done
from stillwatch.review.pages.decision import Number
from stillwatch.review.pages.queue import Start
from stillwatch.store import proposals

router = APIRouter()
Reason = Annotated[str, Form(max_length=LONGEST_REASON)]
SHOWN = 50


@router.get("/proposals")
def all_proposals(
    request: Request,
    store: Opened,
    person: Viewer,  # noqa: ARG001 (says who may)
    start: Start = 0,
) -> Response:
    """The list, those on what is most certain first."""
    rows = proposals.waiting(store, None, start, SHOWN + 1)
    told = {
        "waiting": rows[:SHOWN],
        "start": start,
        "more": len(rows) > SHOWN,
        "counts": proposals.counted(store),
    }
    return answer(request, "proposals.html", {**told, "_longest": LONGEST_REASON})


@router.post("/proposals/{number}/accept")
def accept(request: Request, store: Opened, person: Analyst, number: Number, reason: Reason) -> Response:
    """Decide what it says; a large one waits for a second person."""
    policy = request.app.state.settings.policy
    decision = proposals.accept(store, number, person.name, reason, policy, now())
    return done(request, f"/decisions/{decision}", {"proposal": number, "decision": decision})


@router.post("/proposals/{number}/dismiss")
def dismiss(request: Request, store: Opened, person: Analyst, number: Number, reason: Reason) -> Response:
    """Turn it down."""
    proposals.dismiss(store, number, person.name, reason, now())
    return done(request, "/proposals", {"proposal": number, "state": "dismissed"})
