"""How a request is refused, in the words of the interface that it came by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from stillwatch.gateway.asking import Answer

_ANTHROPIC = {403: "permission_error", 413: "request_too_large", 429: "rate_limit_error"}


def error_body(path: str, status: int, code: str, message: str) -> Mapping[str, Any]:
    """The body of an error, as the clients of the interface at ``path`` read it.

    >>> error_body("/v1/messages", 429, "throttled", "later")["error"]["type"]
    'rate_limit_error'
    """
    if path.rstrip("/").endswith("/messages"):
        kind = _ANTHROPIC.get(status, "api_error")
        return {"type": "error", "error": {"type": kind, "message": message}}
    return {"error": {"message": message, "type": code, "param": None, "code": code}}


def error_headers(answer: Answer) -> dict[str, str]:
    """Headers of an error: when it may be tried again."""
    return {} if answer.retry_after_s is None else {"retry-after": str(answer.retry_after_s)}
