"""The text of a campaign's examples: seen after a reason, and each view of it is in the audit log."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from stillwatch.response.decision import LONGEST_REASON
from stillwatch.review.access import Analyst, Opened, now
from stillwatch.review.answers import answer
from stillwatch.store.exemplars import reveal

router = APIRouter()


@router.post("/cases/{name}/text")
def show(
    request: Request,
    store: Opened,
    person: Analyst,
    name: str,
    campaign: Annotated[str, Form()],
    reason: Annotated[str, Form(max_length=LONGEST_REASON)],
) -> Response:
    """Show it. It is a form and no address: nobody comes upon text by a link."""
    turns = reveal(store, name, campaign, person.name, reason, now())
    return answer(request, "text.html", {"case_id": name, "campaign_id": campaign, "turns": turns})
