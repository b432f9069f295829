"""Anthropic's Messages: a request body and its message, in an envelope or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from stillwatch.formats import About
from stillwatch.formats._bodies import (
    OUTSIDE_COLUMNS,
    BodiesLine,
    columns_of,
    decoded,
    envelope_of,
    exchange_of,
    hash_of,
    is_anthropic,
)
from stillwatch.formats._decode import decode
from stillwatch.formats._stated import Reading

NO_TIME = "started_at or time is missing beside the bodies: Anthropic's hold none"


_DECODER = msgspec.json.Decoder(BodiesLine)
# What a body says, by column; the batch files hold the same bodies.
BODY_FIELDS = {
    "model": "request.model",
    "messages": "request.system (text or blocks), then request.messages; tool_use and tool_result blocks, and an "
    "assistant's opening at the end, are kept",
    "completion": "response.content: text and tool_use blocks",
    "reasoning": "response.content: thinking blocks",
    "tools": "request.tools",
    "input_tokens": "response.usage.input_tokens and the two counts of cached tokens, together",
    "output_tokens": "response.usage.output_tokens",
    "max_tokens": "request.max_tokens",
    "temperature": "request.temperature",
}
BODY_LOST = {
    "thinking blocks of the request": "they were the model's",
    "redacted_thinking": "it is encrypted; a reply with nothing else has no reasoning",
    "cache_control, citations, container, service_tier": "they say nothing of what was asked",
}


class Anthropic:
    """``{"request": {...}, "response": {...}}`` a line, with what else is known, or a request body alone."""

    name = "anthropic"
    about = About(
        title="Anthropic Messages request and response bodies",
        needs="one JSON object an exchange: request and response, and beside them started_at and any of the "
        "identity and network columns by their own names; or the request body with time (and response) added",
        fields={
            "exchange_id": "exchange_id, else response.id, else a hash of the record",
            "account_id": "account_id, else the mapping of identities by end user",
            "started_at": "started_at or time (ISO 8601, or a number)",
            **BODY_FIELDS,
            "end_user_id": "end_user_id, else request.metadata.user_id",
            "conversation_id": "conversation_id",
            "status": "status, else failure where the response is an error, else success where there is one",
            **{name: name for name in OUTSIDE_COLUMNS},
        },
        lost=BODY_LOST,
        identity="bodies hold no account: it is the envelope's account_id, or comes from a mapping of "
        "identities of which the key is the end user (metadata.user_id).",
    )

    def recognises(self, record: Mapping[str, Any]) -> bool:
        """Say whether the object is an envelope with a request for a message, or such a request."""
        if ("account_id" in record and "request" not in record) or "call_type" in record:
            return False
        body = record.get("request", record)
        if not isinstance(body, Mapping) or "model" not in body or "messages" not in body:
            return False
        return is_anthropic(body, record.get("response"))

    def read(self, text: bytes) -> Reading:
        """Read one envelope or body."""
        line, nulled = decode(_DECODER, text)
        request = line.request if line.request is not None else decoded(text)
        bodies = columns_of(request, line.response)
        bodies.columns.setdefault("exchange_id", hash_of(text))
        return exchange_of(bodies, envelope_of(line), nulled, no_time=NO_TIME)


FORMAT = Anthropic()
