"""Search: cases, families and accounts by how their id begins."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from stillwatch.review.access import Opened, Viewer
from stillwatch.review.answers import answer
from stillwatch.store import cases

router = APIRouter()


@router.get("/search")
def search(
    request: Request,
    store: Opened,
    person: Viewer,  # noqa: ARG001 (says who may)
    words: Annotated[str, Query(max_length=512)] = "",
) -> Response:
    """What begins with these words."""
    return answer(request, "search.html", {**cases.search(store, words), "_most": cases.PAGE})
