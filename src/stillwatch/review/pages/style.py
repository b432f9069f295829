"""The style sheet of the report, which the pages share, and the sign that the server is up."""

from __future__ import annotations

from fastapi import APIRouter
from fastapi.responses import Response

from stillwatch.report.page import style_sheet
from stillwatch.review.access import Public

router = APIRouter()


@router.get("/report.css", dependencies=[Public], include_in_schema=False)
def style() -> Response:
    """The report's own style, so that a case looks the same in both."""
    return Response(style_sheet(), media_type="text/css")


@router.get("/health", dependencies=[Public])
def health() -> Response:
    """Whether the server answers; nothing of the store."""
    return Response("ok", media_type="text/plain")
