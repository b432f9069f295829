"""What the batches of all providers share: names that are unique in a batch alone, and lines without a time."""

from __future__ import annotations

from typing import Any

from stillwatch.formats._bodies import Envelope, envelope_of
from stillwatch.formats._stated import Identifier

WITHOUT_A_TIME = "a request of a batch without an answer or a time"
IDENTITY = (
    "files of a batch hold no account: it is account_id on either line, or comes from a mapping of identities "
    "of which the key is the end user"
)
BATCH_LOST = {
    "a reply without its request": "it holds no prompt; it is counted",
    "a request without its reply": "with started_at on its line it is an exchange without completion; "
    "without one it is counted",
    "lines of which the custom_id stands on two requests": "which reply is whose cannot be told: they are "
    "rejected. Two halves belong together if they share custom_id, and batch_id where the lines have one, in "
    "one folder, or over folders if nothing else has that name",
}


def key_of(custom_id: Identifier, batch_id: Identifier) -> str:
    """Return what two halves share; of a number or its text alike.

    >>> key_of(7, None) == key_of("7", "")
    True
    """
    return f"{batch_id or ''}\n{custom_id}"


def told_by(request: Envelope, reply: Envelope) -> dict[str, Any]:
    """Return what two lines say beside their bodies; the line of the request goes first."""
    first, second = envelope_of(request), envelope_of(reply)
    return {name: second[name] if first[name] in (None, "") else first[name] for name in first}
