"""The application over a store: its pages in one list, what protects them, and how an error looks."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlencode

from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import RedirectResponse, Response
from fastapi.routing import APIRoute
from fastapi.staticfiles import StaticFiles
from starlette.exceptions import HTTPException
from starlette.middleware.sessions import SessionMiddleware

from stillwatch.response import ResponseError
from stillwatch.review.access import PASSWORD_PAGE, AccessError, needed_role
from stillwatch.review.answers import answer, wants_json
from stillwatch.review.outside import COOKIE, MINUTES, PATH
from stillwatch.review.pages import (
    account,
    appeal,
    appeals,
    audit,
    case,
    decide,
    decision,
    interface,
    login,
    oidc,
    password,
    proposals,
    queue,
    scans,
    search,
    style,
    text,
    users,
)
from stillwatch.review.protection import HEADERS, Protection
from stillwatch.review.settings import Settings
from stillwatch.store import ConflictError, StoreError
from stillwatch.store.database import key_of

if TYPE_CHECKING:
    from stillwatch.store.database import Store

ROUTERS: tuple[APIRouter, ...] = (
    style.router,
    interface.router,
    login.router,
    password.router,
    queue.router,
    case.router,
    text.router,
    decide.router,
    decision.router,
    proposals.router,
    appeal.router,
    appeals.router,
    account.router,
    search.router,
    scans.router,
    audit.router,
    oidc.router,
    users.router,
)
"""Every page; a new one is added here."""

TITLES = {
    400: "That cannot be done",
    401: "Log in",
    403: "Not yours to do",
    404: "Not found",
    405: "Not found",
    409: "Somebody was quicker",
    413: "Too much",
    422: "That cannot be meant",
    429: "Too often",
    502: "Not reached",
    500: "That did not work",
}


def create_app(store: Store, settings: Settings | None = None) -> FastAPI:
    """The application. Raises :class:`LookupError` where a route does not say who may use it."""
    chosen = settings or Settings()
    app = FastAPI(title="stillwatch review", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.store, app.state.settings = store, chosen
    for router in ROUTERS:
        app.include_router(router)
    app.state.routes = shown_routes()
    app.mount("/static", StaticFiles(directory=Path(__file__).parent / "static"), name="static")
    for kind in (AccessError, StoreError, ResponseError, HTTPException, RequestValidationError):
        app.add_exception_handler(kind, _refuse)
    app.add_exception_handler(Exception, _fail)
    if chosen.provider is not None:
        with store.reading() as connection:
            key = hashlib.sha256(b"outside" + key_of(connection)).hexdigest()
        app.add_middleware(
            SessionMiddleware,
            secret_key=key,
            session_cookie=COOKIE,
            max_age=MINUTES * 60,
            path=PATH,
            same_site="lax",
            https_only=chosen.behind_proxy,
        )
    app.add_middleware(Protection, settings=chosen)
    return app


def shown_routes() -> list[APIRoute]:
    """Every page. Raises :class:`LookupError` where one does not say who may use it."""
    found = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    for route in found:
        needed_role(route)
    return [route for route in found if route.include_in_schema]


def _refuse(request: Request, error: Exception) -> Response:
    """The page of an error: what was given, what is allowed, what to do."""
    status, text = _told(request, error)
    if status == 401 and not wants_json(request):
        return _to_log_in(request, text)
    told = {"status": status, "error": text, "_title": TITLES.get(status, TITLES[500])}
    return answer(request, "error.html", told, status)


def _fail(request: Request, error: Exception) -> Response:  # noqa: ARG001 (it goes to the log of the server, not here)
    """The page of an error of ours; it is sent past the protection, so it brings the headers itself."""
    told = {
        "status": 500,
        "error": "this is an error of the program; its log says more",
        "_title": TITLES[500],
    }
    response = answer(request, "error.html", told, 500)
    response.headers.update({**HEADERS, "cache-control": "no-store"})
    return response


def _told(request: Request, error: Exception) -> tuple[int, str]:
    match error:
        case AccessError():
            return error.status, str(error)
        case ConflictError():
            return 409, str(error)
        case StoreError():
            return (404 if request.method == "GET" else 400), str(error)
        case ResponseError():
            return 422, str(error)
        case HTTPException():
            unknown = error.status_code in {404, 405}
            return error.status_code, "there is no such page" if unknown else str(error.detail)
        case RequestValidationError():
            # What was given is not repeated: it may be a password.
            names = sorted({str(one["loc"][-1]) for one in error.errors()})
            return 422, f"what was sent for {', '.join(names)} is missing or cannot be meant"
    raise error


def _to_log_in(request: Request, text: str) -> Response:
    if "password" in text:
        address = PASSWORD_PAGE
    elif request.method == "GET":
        here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        address = "/login?" + urlencode({"next": here})
    else:
        address = "/login"
    if request.headers.get("hx-request"):
        return Response(status_code=204, headers={"hx-redirect": address})
    return RedirectResponse(address, 303)
