"""An answer as a page or as JSON: the same content, under the same address."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from functools import cache
from typing import Any

from fastapi import Request
from fastapi.responses import RedirectResponse, Response
from jinja2 import Environment

from stillwatch.report.page import environment
from stillwatch.store.users import Role

PAGES = (
    ("/cases", "Queue", Role.VIEWER),
    ("/decisions", "Decisions", Role.VIEWER),
    ("/proposals", "Proposals", Role.VIEWER),
    ("/appeals", "Appeals", Role.VIEWER),
    ("/scans", "Scans", Role.VIEWER),
    ("/audit", "Audit log", Role.APPROVER),
    ("/users", "Users", Role.ADMIN),
)
"""What the head of each page leads to: address, name, and the role that it takes."""


def answer(request: Request, template: str, told: Mapping[str, Any], status: int = 200) -> Response:
    """The page of a template, or its content as JSON where that was asked for.

    What begins with an underscore is for the page alone, such as pictures and forms.
    """
    if wants_json(request):
        shown = {name: value for name, value in told.items() if not name.startswith("_")}
        return Response(as_json(shown), status, media_type="application/json")
    person = getattr(request.state, "person", None)
    page = _environment().get_template(template)
    text = page.render(
        **told,
        person=person,
        path=request.url.path,
        frame="fragment.html" if request.headers.get("hx-request") else "base.html",
        may=lambda role: person and person.role.covers(Role(role)),
    )
    return Response(text, status, {"vary": "accept, hx-request"}, media_type="text/html")


def done(request: Request, address: str, told: Mapping[str, Any]) -> Response:
    """What comes after a form: the page at the address; for programs the result."""
    if wants_json(request):
        return Response(as_json(told), media_type="application/json")
    if request.headers.get("hx-request"):
        return Response(status_code=204, headers={"hx-redirect": address})
    return RedirectResponse(address, 303)


def wants_json(request: Request) -> bool:
    """Whether the address ends with ``.json``, or the request prefers JSON to a page."""
    if request.state.as_json:
        return True
    first = request.headers.get("accept", "").split(",")[0].split(";")[0].strip()
    return first == "application/json"


def as_json(value: Any) -> bytes:
    """JSON as the command line prints it: times in ISO 8601."""
    return json.dumps(value, ensure_ascii=False, default=_plain).encode()


def _plain(value: Any) -> str:
    return value.isoformat() if isinstance(value, dt.datetime) else str(value)


@cache
def _environment() -> Environment:
    made = environment("stillwatch.review", "stillwatch.report")
    made.globals["pages"] = PAGES
    return made
