"""The application as a server sees it: what is asked all the time goes straight to its handler, the rest by Starlette.

Half of what an answer cost went into finding its route and into layers around it that have nothing to do there. Handlers are
the same either way, and so are their answers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from typing import TYPE_CHECKING

from starlette.requests import Request
from starlette.responses import Response

if TYPE_CHECKING:
    from starlette.routing import Route
    from starlette.types import ASGIApp, Receive, Scope, Send

Handler = Callable[[Request], Awaitable[Response]]
_ANY_BELOW = "{path:path}"


class Front:
    """``rest`` answers whatever is no POST to one of ``routes``, or wrong."""

    def __init__(self, routes: Iterable[Route], rest: ASGIApp) -> None:
        self._rest = rest
        self._at: dict[str, Handler] = {}
        self._below: list[tuple[str, Handler]] = []
        for route in routes:
            if "POST" not in (route.methods or ()):
                continue
            if route.path.endswith(_ANY_BELOW):
                self._below.append((route.path.removesuffix(_ANY_BELOW), route.endpoint))
            else:
                self._at[route.path] = route.endpoint

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        handler = (
            self._handler(scope["path"]) if scope["type"] == "http" and scope["method"] == "POST" else None
        )
        if handler is None:
            await self._rest(scope, receive, send)
            return
        response = await handler(Request(scope, receive))
        await response(scope, receive, send)

    def _handler(self, path: str) -> Handler | None:
        found = self._at.get(path)
        if found is None:
            found = next((handler for begin, handler in self._below if path.startswith(begin)), None)
        return found
