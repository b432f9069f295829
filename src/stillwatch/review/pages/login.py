"""Log in and out."""

from __future__ import annotations

import hmac
import secrets
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import APIRouter, Form, Request
from fastapi.responses import RedirectResponse, Response

from stillwatch.review.access import AccessError, Opened, Public, Viewer, now
from stillwatch.review.answers import answer, done
from stillwatch.review.attempts import in_time
from stillwatch.review.settings import Settings
from stillwatch.store import StoreError, audit
from stillwatch.store.sessions import close_others, close_session, failed, open_session, sessions_of
from stillwatch.store.users import LONGEST, knows

router = APIRouter()
FORM_COOKIE = "stillwatch-form"
HOME, SESSION = "/cases", "/session"
CHANGES = 20
"""Entries of the audit log on one's own log-in that are shown."""


@router.get("/", dependencies=[Public], include_in_schema=False)
def home() -> Response:
    """The queue is the first page."""
    return RedirectResponse(HOME, 303)


@router.get("/login", dependencies=[Public])
def form(request: Request, next: str = HOME) -> Response:
    """The form, with a token that the cookie repeats: a stranger's page cannot log anybody in."""
    return _form(request, next, "")


@router.post("/login", dependencies=[Public])
def log_in(
    request: Request,
    store: Opened,
    name: Annotated[str, Form(max_length=64)],
    password: Annotated[str, Form(max_length=LONGEST)],
    form_token: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = HOME,
) -> Response:
    """Open a session."""
    expected = request.cookies.get(FORM_COOKIE, "")
    if not expected or not hmac.compare_digest(form_token.encode(), expected.encode()):
        raise AccessError(403, "this form is old or not ours; load the page again, then send it")
    if not in_time(request, name):
        raise AccessError(429, "too many attempts; wait a minute")
    at = now()
    if not knows(store, name, password, at):
        failed(store, name, at)
        return _form(request, next, "There is no user with this name and password.")
    return logged_in(request, open_session(store, name, at), next)


@router.post("/logout")
def log_out(request: Request, store: Opened, person: Viewer) -> Response:  # noqa: ARG001 (says who may)
    """Close the session."""
    settings: Settings = request.app.state.settings
    close_session(store, _token(request), now())
    response = done(request, "/login", {"closed": True})
    response.delete_cookie(settings.cookie)
    return response


@router.get(SESSION)
def session(request: Request, store: Opened, person: Viewer) -> Response:
    """Who is logged in, where else they are, and what became of their log-in; for programs, with the token that a form
    must carry."""
    told = {
        "name": person.name,
        "role": person.role,
        "csrf": person.csrf,
        "sessions": sessions_of(store, person.name, _token(request), now()),
        "changes": [
            {"at": one.at, "by": one.actor, "kind": one.kind}
            for one in audit.entries(store, subject=f"user {person.name}", newest=True, most=CHANGES)
        ],
    }
    return answer(request, "session.html", told)


@router.post("/session/others")
def close_other_sessions(
    request: Request,
    store: Opened,
    person: Viewer,
    password: Annotated[str, Form(max_length=LONGEST)] = "",
) -> Response:
    """Close every session of one's own but this one; who has a password here gives it again."""
    if person.local:
        if not in_time(request, person.name):
            raise AccessError(429, "too many attempts; wait a minute")
        if not knows(store, person.name, password, now()):
            failed(store, person.name, now())
            raise StoreError("the password is not that; no session was closed")
    return done(request, SESSION, {"closed": close_others(store, person.name, _token(request), now())})


def _token(request: Request) -> str:
    settings: Settings = request.app.state.settings
    return request.cookies.get(settings.cookie, "")


def logged_in(request: Request, token: str, address: str) -> Response:
    """The answer that hands the session to the browser, whatever they logged in with."""
    settings: Settings = request.app.state.settings
    response = done(request, _own(address), {"logged_in": True})
    secure = settings.behind_proxy
    response.set_cookie(settings.cookie, token, path="/", httponly=True, samesite="lax", secure=secure)
    response.delete_cookie(FORM_COOKIE)
    return response


def _form(request: Request, address: str, wrong: str) -> Response:
    token = request.cookies.get(FORM_COOKIE) or secrets.token_urlsafe(24)
    provider = request.app.state.settings.provider
    outside = urlsplit(provider.issuer).netloc if provider else None
    told = {"error": wrong or None, "form_token": token, "_next": _own(address), "_outside": outside}
    response = answer(request, "login.html", told, 401 if wrong else 200)
    secure = request.app.state.settings.behind_proxy
    response.set_cookie(FORM_COOKIE, token, httponly=True, samesite="strict", secure=secure)
    return response


def _own(address: str) -> str:
    """An address of ours: a path, and no other host."""
    inside = address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if inside and address.isprintable() else HOME
