"""Set one's own password."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from stillwatch.review.access import PASSWORD_PAGE, AccessError, Opened, Viewer, now
from stillwatch.review.answers import answer
from stillwatch.review.pages.login import HOME, logged_in
from stillwatch.store import StoreError
from stillwatch.store.sessions import open_session
from stillwatch.store.users import LONGEST, SHORTEST, change_password

router = APIRouter()


@router.get(PASSWORD_PAGE)
def form(request: Request, person: Viewer) -> Response:
    """The form."""
    return _form(request, "", local=person.local)


@router.post(PASSWORD_PAGE)
def change(
    request: Request,
    store: Opened,
    person: Viewer,
    old: Annotated[str, Form(max_length=LONGEST)],
    new: Annotated[str, Form(max_length=LONGEST)],
    again: Annotated[str, Form(max_length=LONGEST)],
) -> Response:
    """Change it; every session of the user is closed, and this one is opened anew."""
    if not person.local:
        raise AccessError(403, "you log in elsewhere, and have no password here")
    if new != again:
        return _form(request, "the two new passwords differ; type it twice alike", local=True)
    try:
        change_password(store, person.name, old, new, now())
    except StoreError as error:
        return _form(request, str(error), local=True)
    return logged_in(request, open_session(store, person.name, now()), HOME)


def _form(request: Request, wrong: str, *, local: bool) -> Response:
    told = {"error": wrong or None, "local": local, "_shortest": SHORTEST}
    return answer(request, "password.html", told, 400 if wrong else 200)
