"""The audit log: what was done, by whom, and the hash that seals it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from stillwatch.review.access import Approver, Opened
from stillwatch.review.answers import answer
from stillwatch.store.audit import entries
from stillwatch.store.cases import PAGE

router = APIRouter()
Words = Annotated[str, Query(max_length=512)]


@router.get("/audit")
def audit(
    request: Request,
    store: Opened,
    person: Approver,  # noqa: ARG001 (says who may)
    subject: Words = "",
    kind: Words = "",
    before: Annotated[int | None, Query(ge=1, le=2**31 - 1)] = None,
) -> Response:
    """The newest entries before a number; of one subject or kind, or all."""
    found = [
        asdict(entry)
        for entry in entries(
            store,
            subject.strip() or None,
            most=PAGE + 1,
            newest=True,
            before=before,
            kind=kind.strip() or None,
        )
    ]
    told = {
        "entries": found[:PAGE],
        "subject": subject,
        "kind": kind,
        "next": found[PAGE - 1]["number"] if len(found) > PAGE else None,
    }
    return answer(request, "audit.html", told)
