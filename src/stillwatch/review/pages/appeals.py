"""Appeals for those who answer them: what waits, and one with its decision."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from stillwatch.review.access import Approver, Opened, Viewer, now
from stillwatch.review.answers import answer, done
from stillwatch.review.pages.decision import Number
from stillwatch.review.pages.queue import Start
from stillwatch.store import appeals

router = APIRouter()
State = Literal[appeals.STATES]  # type: ignore[valid-type]
Outcome = Literal[appeals.OUTCOMES]  # type: ignore[valid-type]
Text = Annotated[str, Form(max_length=appeals.LONGEST_ANSWER)]


@router.get("/appeals")
def all_appeals(
    request: Request,
    store: Opened,
    person: Viewer,  # noqa: ARG001 (says who may)
    state: State = appeals.RECEIVED,
    start: Start = 0,
) -> Response:
    """The list, those that wait longest first."""
    found = appeals.all_appeals(store, state, start)
    return answer(request, "appeals.html", {**found, "_states": appeals.STATES})


@router.get("/appeals/{number}")
def appeal(request: Request, store: Opened, person: Viewer, number: Number) -> Response:
    """One of them."""
    found = appeals.appeal(store, number)
    own = person.name in {found["decision"]["asked_by"], found["decision"]["approved_by"]}
    told = {**found, "_own": own, "_outcomes": appeals.OUTCOMES, "_longest": appeals.LONGEST_ANSWER}
    return answer(request, "appeal_answer.html", told)


@router.post("/appeals/{number}/answer")
def answer_appeal(
    request: Request,
    store: Opened,
    person: Approver,
    number: Number,
    outcome: Annotated[Outcome, Form()],
    text: Text,
) -> Response:
    """Uphold or reverse."""
    appeals.answer_appeal(store, number, person.name, outcome, text, now())
    return done(request, f"/appeals/{number}", {"appeal": number, "state": outcome})


@router.post("/appeals/{number}/reopen")
def reopen(request: Request, store: Opened, person: Approver, number: Number, reason: Text) -> Response:
    """Take an answer back."""
    appeals.reopen(store, number, person.name, reason, now())
    return done(request, f"/appeals/{number}", {"appeal": number, "state": appeals.RECEIVED})


@router.post("/appeals/{number}/revoke")
def revoke(request: Request, store: Opened, person: Approver, number: Number, reason: Text) -> Response:
    """Make a link useless by which nobody has objected."""
    appeals.revoke(store, number, person.name, reason, now())
    return done(request, f"/appeals/{number}", {"appeal": number, "state": appeals.REVOKED})
