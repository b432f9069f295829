"""What the accused are told, and the link by which they object.

The link is a capability: sixteen random bytes that name the appeal, the end of its life, and a seal over both
(HMAC-SHA-256, cut to 128 bits, NIST SP 800-107). No account is in it and none can be guessed from it; a link that was
made up is refused before anything is looked up.

The text says what was decided, why in plain words, and how to object. It says nothing of how it was found: no number, no
signal, no template, nobody else. Whoever runs accounts reads it too.
"""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from stillwatch.response.actions import Action, Finding, Scope

SERIAL_BYTES, SEAL_BYTES, TIME_BYTES = 16, 16, 5
LONGEST_OBJECTION = 4000
"""Characters of an objection at most."""


@dataclass(frozen=True, slots=True)
class Link:
    """What a token says."""

    serial: str
    """Name of the appeal, at random."""
    until: dt.datetime
    """When the link ends."""


def new_serial() -> str:
    """A name that nobody can guess."""
    return secrets.token_hex(SERIAL_BYTES)


def token_of(key: bytes, link: Link) -> str:
    """The token of a link.

    >>> at = dt.datetime(2026, 3, 10, tzinfo=dt.UTC)
    >>> read_token(b"key", token_of(b"key", Link("00" * 16, at))).until == at
    True
    """
    told = bytes.fromhex(link.serial) + int(link.until.timestamp()).to_bytes(TIME_BYTES, "big")
    return base64.urlsafe_b64encode(told + _seal(key, told)).decode().rstrip("=")


def read_token(key: bytes, token: str) -> Link | None:
    """What a token says, whether it has ended or not; None where it is not ours."""
    whole = SERIAL_BYTES + TIME_BYTES + SEAL_BYTES
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (ValueError, binascii.Error):
        return None
    if len(data) != whole:
        return None
    told, seal = data[:-SEAL_BYTES], data[-SEAL_BYTES:]
    if not hmac.compare_digest(seal, _seal(key, told)):
        return None
    try:
        until = dt.datetime.fromtimestamp(int.from_bytes(told[SERIAL_BYTES:], "big"), dt.UTC)
    except (OverflowError, ValueError, OSError):
        return None
    return Link(told[:SERIAL_BYTES].hex(), until)


def _seal(key: bytes, told: bytes) -> bytes:
    return hmac.new(key, b"appeal" + told, hashlib.sha256).digest()[:SEAL_BYTES]


@dataclass(frozen=True, slots=True)
class Notice:
    """The text for the accused, in paragraphs."""

    decided: str
    """What was decided, and from when to when."""
    why: str
    people: str
    """Who decided, without a name."""
    objecting: tuple[str, ...]
    """How to object, and what comes of it."""


def notice(
    action: Action, finding: Finding, scope: Scope, parameters: Mapping[str, Any], starts: dt.datetime,
    until: dt.datetime, second_person: bool, answered_within: dt.timedelta,
) -> Notice:  # fmt: skip
    """What is told about one decision."""
    whole = "requests" if scope is not Scope.FAMILY else "some requests, which we take to belong together,"
    did = _DID[action].format(**{name: _spoken(value) for name, value in parameters.items()})
    decided = (
        f"Since {starts:%d %B %Y}, {whole} from this account {did}. "
        f"This ends by itself on {until:%d %B %Y} at the latest."
    )
    people = "A person decided this" + (", and a second person approved it." if second_person else ".")
    return Notice(decided, _WHY[finding], people, _objecting(answered_within))


def _spoken(value: object) -> str:
    return " and ".join(map(str, value)) if isinstance(value, list) else str(value)


_DID: Mapping[Action, str] = {
    Action.THROTTLE: "are limited to {requests_per_minute} a minute",
    Action.HIDE_REASONING: "get replies without the model's full trace of thought",
    Action.CAP_LOGPROBS: "get replies with fewer log-probabilities (at most {most} for each token)",
    Action.RESTRICT_TIER: "are answered by these models alone: {models}",
    Action.STEP_UP: "are not answered until you have shown who you are",
    Action.SUSPEND: "are not answered",
}
_WHY: Mapping[Finding, str] = {
    Finding.EXTRACTION: (
        "We believe that these requests are part of a coordinated effort to collect a model's replies in large numbers in "
        "order to train another model, which our terms do not allow without an agreement. This is a judgement about "
        "how requests were made together, and not about what you think, publish or study. It may be wrong, and that is "
        "what this page is for."
    ),
    Finding.UNSURE: (
        "We are not sure whether these requests are part of a coordinated effort to collect a model's replies in order to "
        "train another model. You are not accused of it. We ask for a little more before we go on."
    ),
}


def _objecting(answered_within: dt.timedelta) -> tuple[str, ...]:
    days = max(1, round(answered_within / dt.timedelta(days=1)))
    return (
        "Write below, in your own words and language, what you use the service for. It helps to know whether others use the "
        "same program, prompt or course material as you; whether you evaluate or audit models, or have an agreement with "
        "us; and whether somebody else may have used your account.",
        "You need not send any prompt or reply, and please send none of anybody else's.",
        f"Another person than the one who decided reads it and answers within {days} days. If the decision does not hold, "
        "it ends at once for this account, and the same grounds are not held against you again.",
        "To object does not make anything worse.",
    )
