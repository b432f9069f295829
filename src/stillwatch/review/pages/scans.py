"""The scans that were loaded, and what changed between two of them."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from stillwatch.review.access import Opened, Viewer
from stillwatch.review.answers import answer
from stillwatch.review.pages.queue import Start
from stillwatch.store import scans

router = APIRouter()
Change = Literal[scans.CHANGES]  # type: ignore[valid-type]
Number = Annotated[int, Query(ge=1, le=2**31 - 1)]


@router.get("/scans")
def all_scans(request: Request, store: Opened, person: Viewer) -> Response:  # noqa: ARG001 (says who may)
    """The list."""
    return answer(request, "scans.html", {"scans": scans.all_scans(store)})


@router.get("/scans/compare")
def compare(
    request: Request,
    store: Opened,
    person: Viewer,  # noqa: ARG001 (says who may)
    first: Number,
    second: Number,
    change: Change = "new",
    start: Start = 0,
) -> Response:
    """The cases that the second has and the first has not, those that are gone, and how the others changed."""
    found = scans.differences(store, first, second, change, start)
    return answer(request, "compare.html", {**found, "_changes": scans.CHANGES})
