"""OpenAI request and response bodies: chat completions, Responses and completions, in an envelope or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from stillwatch.formats import About
from stillwatch.formats._bodies import (
    OUTSIDE_COLUMNS,
    PROMPTS,
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

_DECODER = msgspec.json.Decoder(BodiesLine)
# What a body says, by column; the batch files hold the same bodies.
BODY_FIELDS = {
    "model": "request.model",
    "messages": "request.instructions, then request.messages, .input (messages, calls and their outputs) or "
    ".prompt",
    "completion": "response: content, refusals and tool calls",
    "reasoning": "response: reasoning_content, reasoning summaries",
    "tools": "request.tools",
    "input_tokens": "response.usage.prompt_tokens, .input_tokens",
    "output_tokens": "response.usage.completion_tokens, .output_tokens",
    "max_tokens": "request.max_completion_tokens, .max_output_tokens, .max_tokens",
    "temperature": "request.temperature",
    "sample_count": "request.n",
    "top_logprobs": "request.top_logprobs, .logprobs",
}
BODY_LOST = {
    "prompt_cache_key": "it follows user as a hint for the cache alone: one key serves many users, or one "
    "conversation, as the customer likes",
    "metadata": "names are the customer's own",
    "previous_response_id": "the earlier turns are not in the request; conversation_id joins them",
    "reasoning items of the request": "they were the model's; encrypted ones hold no text",
    "item_reference, compaction, mcp_list_tools, mcp_approval_response": "items without text of anyone",
    "embeddings": "they ask for no text; they are counted where the response shows them",
}


class OpenAI:
    """``{"request": {...}, "response": {...}}`` a line, with what else is known, or a request body alone."""

    name = "openai"
    about = About(
        title="OpenAI request and response bodies",
        needs="one JSON object an exchange: request and response, and beside them any of the identity, "
        "network and time columns by their own names; or the request body with time (and response) added",
        fields={
            "exchange_id": "exchange_id, else response.id, else a hash of the record",
            "account_id": "account_id, else the mapping of identities by end user",
            "started_at": "started_at or time (ISO 8601, or a number), else response.created, .created_at",
            **BODY_FIELDS,
            "end_user_id": "end_user_id, else request.safety_identifier, else request.user",
            "conversation_id": "conversation_id, else request.conversation",
            "status": "status, else failure where the response is an error, else success where there is one",
            **{name: name for name in OUTSIDE_COLUMNS},
        },
        lost=BODY_LOST,
        identity="bodies hold no account: it is the envelope's account_id, or comes from a mapping of "
        "identities of which the key is the end user (safety_identifier or user).",
    )

    def recognises(self, record: Mapping[str, Any]) -> bool:
        """Say whether the object is an envelope with a request, or a request body."""
        if "account_id" in record and "request" not in record:
            return False
        body = record.get("request", record)
        if not isinstance(body, Mapping) or "call_type" in record or "traceId" in record:
            return False
        if is_anthropic(body, record.get("response")):
            return False
        return "model" in body and any(name in body for name in PROMPTS)

    def read(self, text: bytes) -> Reading:
        """Read one envelope or body."""
        line, nulled = decode(_DECODER, text)
        request = line.request if line.request is not None else decoded(text)
        bodies = columns_of(request, line.response)
        bodies.columns.setdefault("exchange_id", hash_of(text))
        return exchange_of(
            bodies,
            envelope_of(line),
            nulled,
            no_time="neither time nor response.created says when it was",
        )


FORMAT = OpenAI()
