"""The interface as an OpenAPI 3.1 document: every page in its form as JSON, for programs and for what tests them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import APIRouter, Request
from fastapi.openapi.utils import get_openapi
from fastapi.responses import Response

from stillwatch import __version__
from stillwatch.review.access import CSRF_HEADER, Viewer, needed_role
from stillwatch.review.answers import as_json
from stillwatch.review.protection import JSON_SUFFIX

if TYPE_CHECKING:
    from collections.abc import Sequence

    from fastapi.routing import APIRoute

router = APIRouter()
WITHOUT_JSON = frozenset({"/health", "/oidc/login", "/oidc/callback"})
"""Routes that are no page: a sign of life, and the way to the provider and back."""
ERROR = {
    "type": "object",
    "properties": {"status": {"type": "integer"}, "error": {"type": ["string", "null"]}},
    "required": ["error"],
}
REFUSALS = {
    "400": "it cannot be done",
    "401": "nobody is logged in",
    "403": "the role does not suffice, or the token of the form is missing",
    "404": "there is no such thing",
    "409": "somebody was quicker",
    "413": "more was sent than is taken",
    "422": "what was sent is missing or cannot be meant",
    "429": "too many attempts",
    "502": "the provider of log-ins cannot be reached",
}


@router.get("/openapi")
def interface(request: Request, person: Viewer) -> Response:  # noqa: ARG001 (says who may)
    """Every page, what it takes and what it answers; always JSON."""
    state = request.app.state
    if not hasattr(state, "interface"):  # the same for everybody, and a while in the making
        state.interface = as_json(document(state.routes, state.settings.cookie))
    return Response(state.interface, media_type="application/json")


def document(routes: Sequence[APIRoute], cookie: str) -> dict[str, Any]:
    """The document of some routes; ``cookie``: what the cookie of a session is called."""
    told = get_openapi(
        title="stillwatch review", version=__version__, openapi_version="3.1.0", routes=list(routes)
    )
    needed = {
        (route.path, method.lower()): needed_role(route) for route in routes for method in route.methods or ()
    }
    paths: dict[str, Any] = {}
    for path, operations in told["paths"].items():
        if path in WITHOUT_JSON:
            continue
        for method, operation in operations.items():
            operation["responses"] = {"200": _as_json("done, or what was asked for", {"type": "object"})} | {
                status: _as_json(text, ERROR) for status, text in REFUSALS.items()
            }
            if needed[path, method] is not None:
                operation["security"] = [{"session": [], "form": []} if method == "post" else {"session": []}]
        paths[path + JSON_SUFFIX] = operations
    told["paths"] = paths
    told.setdefault("components", {})["securitySchemes"] = {
        "session": {"type": "apiKey", "in": "cookie", "name": cookie},
        "form": {"type": "apiKey", "in": "header", "name": CSRF_HEADER},
    }
    return told


def _as_json(text: str, kind: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": kind}}}
