"""How often something may be tried that anybody may try: to log in, to object."""

from __future__ import annotations

from fastapi import Request
from limits import RateLimitItemPerHour, RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter

HOURLY, NOTES_A_MINUTE = 10, 10
"""Attempts for one user within an hour, in those of a minute: a hundred, where ten a minute are allowed; and how many
refusals of one user are noted in a minute."""


def in_time(request: Request, name: str) -> bool:
    """Whether neither this address nor this name was tried too often in the last minute, nor this name in the last hour;
    counts this attempt."""
    settings, limiter = request.app.state.settings, _limiter(request)
    most = RateLimitItemPerMinute(settings.logins_a_minute)
    an_hour = RateLimitItemPerHour(HOURLY * settings.logins_a_minute)
    address = request.client.host if request.client else ""
    tried = ((most, "address", address), (most, "user", name), (an_hour, "user", name))
    return all([limiter.hit(*one) for one in tried])


def worth_a_note(request: Request, name: str) -> bool:
    """Whether a refusal of this user is noted: the first few of a minute, or they could fill the log."""
    return _limiter(request).hit(RateLimitItemPerMinute(NOTES_A_MINUTE), "refused", name)


def _limiter(request: Request) -> MovingWindowRateLimiter:
    state = request.app.state
    if not hasattr(state, "attempts"):
        state.attempts = MovingWindowRateLimiter(MemoryStorage())
    limiter: MovingWindowRateLimiter = state.attempts
    return limiter
