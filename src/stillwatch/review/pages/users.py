"""Users and their roles."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Request
from fastapi.responses import Response

from stillwatch.review.access import Admin, Opened, now
from stillwatch.review.answers import answer, done
from stillwatch.store.database import Store
from stillwatch.store.users import (
    ONE_TIME_DAYS,
    ROLES,
    Role,
    add_user,
    all_users,
    reset_password,
    set_disabled,
    set_role,
)

router = APIRouter()
PAGE = "/users"
Name = Annotated[str, Form(max_length=64)]


@router.get(PAGE)
def users(request: Request, store: Opened, person: Admin) -> Response:  # noqa: ARG001 (says who may)
    """Everybody who may log in."""
    return answer(request, "users.html", _told(store))


@router.post(PAGE)
def add(
    request: Request, store: Opened, person: Admin, name: Name, role: Annotated[Role, Form()]
) -> Response:
    """Add one; the password is shown once."""
    password = add_user(store, name, role, person.name, now())
    return answer(request, "users.html", _told(store, name, password))


@router.post("/users/role")
def give_role(
    request: Request, store: Opened, person: Admin, name: Name, role: Annotated[Role, Form()]
) -> Response:
    """Give one another role."""
    set_role(store, name, role, person.name, now())
    return done(request, PAGE, {"name": name, "role": role})


@router.post("/users/disabled")
def disable(
    request: Request, store: Opened, person: Admin, name: Name, disabled: Annotated[bool, Form()]
) -> Response:
    """Shut one out, or let them in again."""
    set_disabled(store, name, disabled, person.name, now())
    return done(request, PAGE, {"name": name, "disabled": disabled})


@router.post("/users/password")
def reset(request: Request, store: Opened, person: Admin, name: Name) -> Response:
    """Give one a new password that is good once; it is shown once."""
    password = reset_password(store, name, person.name, now())
    return answer(request, "users.html", _told(store, name, password))


def _told(store: Store, name: str = "", password: str = "") -> dict[str, Any]:
    given = {"name": name, "password": password, "days": ONE_TIME_DAYS} if password else None
    return {"users": all_users(store), "given": given, "_roles": ROLES}
