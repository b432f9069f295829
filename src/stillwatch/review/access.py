"""Who makes a request, whether their role suffices, and whether it comes from a form of ours.

A route takes one of the annotated types (``person: Analyst``). What it needs is thereby written in the route itself, and
:func:`needed_role` reads it back: a route that says nothing keeps the application from starting.
"""

from __future__ import annotations

import datetime as dt
import hmac
from typing import Annotated

from fastapi import Depends, Request
from fastapi.routing import APIRoute
from starlette.concurrency import run_in_threadpool

from stillwatch.review.attempts import worth_a_note
from stillwatch.review.protection import SAFE
from stillwatch.review.settings import Settings
from stillwatch.store.database import Store
from stillwatch.store.sessions import Person, find_session, refused
from stillwatch.store.users import Role

CSRF_FIELD, CSRF_HEADER = "csrf", "x-csrf-token"
PASSWORD_PAGE = "/password"  # noqa: S105 (a path)


class AccessError(Exception):
    """A request that is not answered; ``status`` says how."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status


class Needs:
    """A dependency that lets through whoever is logged in with a role that covers ``role``."""

    def __init__(self, role: Role) -> None:
        self.role = role

    async def __call__(self, request: Request) -> Person:
        """The person. Raises :class:`AccessError`."""
        settings: Settings = request.app.state.settings
        token = request.cookies.get(settings.cookie, "")
        found = (
            await run_in_threadpool(find_session, request.app.state.store, token, now()) if token else None
        )
        if found is None:
            raise AccessError(401, "log in first")
        if found.one_time and request.url.path != PASSWORD_PAGE:
            raise AccessError(401, "set a password of your own first")
        if not found.role.covers(self.role):
            if worth_a_note(request, found.name):
                route: APIRoute = request.scope["route"]
                store = request.app.state.store
                await run_in_threadpool(refused, store, found, route.path, self.role, now())
            raise AccessError(403, f"this takes the role {self.role}, and you are {found.role}; ask an admin")
        if request.method not in SAFE:
            await _check_form(request, found.csrf)
        request.state.person = found
        return found


class Everybody:
    """A dependency that says that a route is for everybody, logged in or not."""

    def __call__(self) -> None:
        """Let through."""


async def _check_form(request: Request, expected: str) -> None:
    given = request.headers.get(CSRF_HEADER)
    if given is None:
        value = (await request.form()).get(CSRF_FIELD)
        given = value if isinstance(value, str) else ""
    if not hmac.compare_digest(given.encode(), expected.encode()):
        raise AccessError(403, "this form is old or not ours; load the page again, then send it")


Viewer = Annotated[Person, Depends(Needs(Role.VIEWER))]
Analyst = Annotated[Person, Depends(Needs(Role.ANALYST))]
Approver = Annotated[Person, Depends(Needs(Role.APPROVER))]
Admin = Annotated[Person, Depends(Needs(Role.ADMIN))]
Public = Depends(Everybody())


def needed_role(route: APIRoute) -> Role | None:
    """The role that a route takes; None where it is for everybody. Raises :class:`LookupError` where it says neither."""
    for dependant in route.dependant.dependencies:
        if isinstance(dependant.call, Needs):
            return dependant.call.role
        if isinstance(dependant.call, Everybody):
            return None
    raise LookupError(f"{route.path} says neither which role it takes nor that it is for everybody")


def store_of(request: Request) -> Store:
    """The store of the application."""
    store: Store = request.app.state.store
    return store


def now() -> dt.datetime:
    """The present moment, UTC."""
    return dt.datetime.now(dt.UTC)


Opened = Annotated[Store, Depends(store_of)]
