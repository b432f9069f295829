"""An account: its verdict by every scan, the cases that it is in, and what hits it or did."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from stillwatch.review.access import Opened, Viewer
from stillwatch.review.answers import answer
from stillwatch.store import cases

router = APIRouter()


@router.get("/account")
def account(
    request: Request,
    store: Opened,
    person: Viewer,  # noqa: ARG001 (says who may)
    name: Annotated[str, Query(alias="id", min_length=1, max_length=512)],
) -> Response:
    """The page. The name is no part of the path, since it may hold any character."""
    return answer(request, "account.html", cases.account(store, name))
