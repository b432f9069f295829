"""An exchange as a log states it, before it is checked: what every line format reads its records into."""

from __future__ import annotations

from typing import Any, NamedTuple

import msgspec

Number = int | float | None
Identifier = str | int | None


class MalformedError(ValueError):
    """A record cannot be read; the text is the reason and never holds a value of the record."""


class NotAnExchangeError(Exception):
    """A well-formed record that is not an account's request for text; the text is the reason."""


def is_blank(value: object) -> bool:
    """Whether a value states nothing: it is null, or a text of spaces at most, as programs write for what is not set.

    >>> is_blank(""), is_blank(" "), is_blank(0)
    (True, True, False)
    """
    return value is None or (isinstance(value, str) and not value.strip())


def first_named(*values: object) -> Identifier:
    """The first of some values that can name something, a number or a text that is not blank; None where none can.

    >>> first_named(None, "", True, "team-1")
    'team-1'
    """
    for value in values:
        if isinstance(value, str | int) and not isinstance(value, bool) and not is_blank(value):
            return value
    return None


class StatedMessage(msgspec.Struct, gc=False):
    """One message as APIs write it: the content is text or a list of typed parts."""

    role: str
    content: str | list[Any] | None = None
    tool_calls: list[Any] | None = None
    function_call: dict[str, Any] | None = None


class StatedExchange(msgspec.Struct, kw_only=True, gc=False):
    """One exchange with the values that the log holds: field for field a column of the exchange table.

    Times are ISO 8601 text or a number since 1970; identifiers may be numbers; only the types are checked.
    """

    exchange_id: str | int
    account_id: Identifier
    started_at: str | int | float
    model: str
    messages: list[StatedMessage]
    completion: str | None = None
    reasoning: str | None = None
    tools: list[Any] | None = None
    organization_id: Identifier = None
    account_created_at: str | int | float | None = None
    end_user_id: Identifier = None
    conversation_id: Identifier = None
    input_tokens: Number = None
    output_tokens: Number = None
    max_tokens: Number = None
    temperature: Number = None
    sample_count: Number = None
    top_logprobs: Number = None
    ip: str | None = None
    asn: Number = None
    country: str | None = None
    user_agent: str | None = None
    tls_fingerprint: Identifier = None
    payment_fingerprint: Identifier = None
    status: Identifier = None


class Half(NamedTuple):
    """A record that is one half of an exchange, as the lines of a batch are."""

    key: str
    """What the two halves share."""
    is_reply: bool
    """Whether this is the half with the reply; the other one has the request."""


class Reading(NamedTuple):
    """What one record held; where one holds many, as a message of spans does, each has its own fate."""

    exchanges: list[StatedExchange]
    nulled: tuple[str, ...] = ()
    """Names of optional fields that could not be read."""
    half: Half | None = None
    """The record is no whole exchange: it waits for its other half."""
    rejected: tuple[str, ...] = ()
    """Reasons why parts of the record could not be read, each with the part's place in it."""
    skipped: tuple[str, ...] = ()
    """Reasons why parts of the record are no exchange."""
    places: tuple[str, ...] = ()
    """What a reject calls each exchange; empty where the record is the exchange."""
    calls: tuple[int, ...] = ()
    """Number of the call of each exchange, in [0, 2^64), where a log may tell of one call twice; else empty."""
