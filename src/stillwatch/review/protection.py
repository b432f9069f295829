"""What every request passes: the host it names, where it comes from, how much it sends; and what every answer says.

Follows OWASP ASVS 4.0.3, chapters 13 and 14: a content security policy without inline script or style, no framing, no
guessing of types, no referrer, nothing kept by a cache.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.exceptions import HTTPException
from starlette.responses import PlainTextResponse

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from stillwatch.review.settings import Settings

SAFE = frozenset({"GET", "HEAD", "OPTIONS"})
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=()",
}
JSON_SUFFIX = ".json"


class TooLarge(HTTPException):
    """A body that is longer than is taken."""


class Protection:
    """ASGI middleware around the whole application; also turns ``/page.json`` into ``/page`` that answers in JSON."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.settings = settings

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or hand on."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":
                await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                self._say(MutableHeaders(scope=message), scope)
            await send(message)

        refused = self._refused(scope, headers)
        if refused:
            status, text = refused
            await PlainTextResponse(text, status)(scope, receive, answer)
            return
        state = scope.setdefault("state", {})
        state["as_json"] = scope["path"].endswith(JSON_SUFFIX)
        if state["as_json"]:
            path = scope["path"].removesuffix(JSON_SUFFIX)
            scope = {**scope, "path": path, "raw_path": path.encode()}
        await self.app(scope, self._counted(receive), answer)

    def _refused(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        host = headers.get("host", "")
        name = host if host.endswith("]") else host.rpartition(":")[0] or host
        if name not in self.settings.names:
            return 400, "this host name is not served; start with --name for the name that people type"
        if scope["method"] in SAFE:
            return None
        # The form's token is checked too; this refuses what a browser itself says comes from elsewhere.
        if headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            return 403, "a form of another site may not be sent here"
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            return 403, "a form of another site may not be sent here"
        length = headers.get("content-length", "0")
        if not length.isdecimal() or int(length) > self.settings.body_bytes:
            return 413, f"a request holds at most {self.settings.body_bytes:,} bytes"
        return None

    def _counted(self, receive: Receive) -> Receive:
        """The body, refused where it goes on for longer than it said."""
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > self.settings.body_bytes:
                raise TooLarge(413, f"a request holds at most {self.settings.body_bytes:,} bytes")
            return message

        return counted

    def _say(self, headers: MutableHeaders, scope: Scope) -> None:
        for name, value in HEADERS.items():
            headers.setdefault(name, value)
        if self.settings.behind_proxy:
            headers["strict-transport-security"] = "max-age=31536000"
        if not scope["path"].startswith("/static/"):
            headers["cache-control"] = "no-store"
