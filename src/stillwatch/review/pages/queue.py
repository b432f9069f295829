"""The queue: cases by state, in order of certainty, size or age; each with whoever is at work on it."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Form, Query, Request
from fastapi.responses import Response

from stillwatch.review.access import Analyst, Opened, Viewer, now
from stillwatch.review.answers import answer, done
from stillwatch.store import cases

router = APIRouter()
State = Literal[(*cases.STATES, cases.APPEALED)]  # type: ignore[valid-type]
ORDERS = tuple(cases.ORDERS)
Order = Literal[ORDERS]  # type: ignore[valid-type]
Start = Annotated[int, Query(ge=0, le=10_000_000)]


@router.get("/cases")
def queue(
    request: Request,
    store: Opened,
    person: Viewer,
    state: State | None = None,
    order: Order = "certainty",
    start: Start = 0,
    mine: bool = False,
) -> Response:
    """The list."""
    found = cases.queue(store, state, order, start, assignee=person.name if mine else None)
    told = {
        **found,
        "mine": mine,
        "page": cases.PAGE,
        "_states": cases.STATES,
        "_orders": ORDERS,
    }
    return answer(request, "queue.html", told)


@router.post("/cases/{name}/take")
def take(
    request: Request, store: Opened, person: Analyst, name: str, over: Annotated[bool, Form()] = False
) -> Response:
    """Take a case, so that nobody else works on it; ``over``: from whoever has it."""
    case_id = cases.take(store, name, person.name, now(), over=over)
    return done(request, f"/cases/{case_id}", {"case_id": case_id, "assignee": person.name})


@router.post("/cases/{name}/release")
def release(request: Request, store: Opened, person: Analyst, name: str) -> Response:
    """Give a case back."""
    case_id = cases.release(store, name, person.name, now())
    return done(request, f"/cases/{case_id}", {"case_id": case_id, "assignee": None})
