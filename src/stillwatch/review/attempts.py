"""How often something may be tried that anybody may try: to log in, to object."""

from __future__ import annotations

from fastapi import Request
from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter


def in_time(request: Request, name: str) -> bool:
    """Whether neither this address nor this name was tried too often in the last minute; counts this attempt."""
    app, settings = request.app, request.app.state.settings
    if not hasattr(app.state, "attempts"):
        app.state.attempts = MovingWindowRateLimiter(MemoryStorage())
    most = RateLimitItemPerMinute(settings.logins_a_minute)
    address = request.client.host if request.client else ""
    return all(
        [app.state.attempts.hit(most, kind, key) for kind, key in (("address", address), ("user", name))]
    )
