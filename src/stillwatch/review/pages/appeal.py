"""The page of the accused, by their link: what was decided, why in plain words, and how to object.

For everybody who has the link, and for nobody else. There is nothing on it but the text of
:mod:`stillwatch.response.appeal`.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from stillwatch.response.appeal import LONGEST_OBJECTION
from stillwatch.review.access import AccessError, Opened, Public, now
from stillwatch.review.answers import answer, done
from stillwatch.review.attempts import in_time
from stillwatch.store import StoreError
from stillwatch.store.appeals import look, object_to

router = APIRouter()


@router.get("/appeal/{token}", dependencies=[Public])
def page(request: Request, store: Opened, token: str) -> Response:
    """The text, the form where nobody has objected yet, and the answer where there is one."""
    try:
        shown = look(store, token, now())
    except StoreError as error:
        return answer(request, "appeal.html", {"error": str(error)}, 404)
    told = {"error": None, **asdict(shown), "_token": token, "_longest": LONGEST_OBJECTION}
    return answer(request, "appeal.html", told)


@router.post("/appeal/{token}", dependencies=[Public])
def object_(
    request: Request,
    store: Opened,
    token: str,
    objection: Annotated[str, Form(max_length=LONGEST_OBJECTION)],
) -> Response:
    """Take the objection; the link is what a form of ours would have to carry."""
    if not in_time(request, token):
        raise AccessError(429, "too many attempts; wait a minute")
    object_to(store, token, objection, now())
    return done(request, f"/appeal/{token}", {"state": "received"})
