"""Helicone's requests, as its export tool and its query API write them, or as rows of its ClickHouse table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from stillwatch.formats import About
from stillwatch.formats._bodies import NO_TEXT, body_of, columns_of, exchange_of
from stillwatch.formats._decode import decode
from stillwatch.formats._stated import (
    Identifier,
    MalformedError,
    NotAnExchangeError,
    Number,
    Reading,
    first_named,
)

SESSION = "helicone-session-id"
# Paths of the provider that ask for no text.
OTHER_PATHS = ("/embeddings", "/images/", "/audio/", "/moderations", "/rerank")


class _Request(msgspec.Struct, gc=False):
    request_id: str | int
    request_created_at: str | int | float
    request_body: Any = None
    response_body: Any = None
    response_status: int | None = None
    status: int | None = None
    request_model: str | None = None
    model_override: str | None = None
    model: str | None = None
    response_model: str | None = None
    request_path: str | None = None
    target_url: str | None = None
    proxy_key_id: Identifier = None
    helicone_user: Identifier = None
    organization_id: Identifier = None
    request_user_id: Identifier = None
    user_id: Identifier = None
    request_properties: dict[str, Any] | None = None
    properties: dict[str, Any] | None = None
    country_code: str | None = None
    prompt_tokens: Number = None
    completion_tokens: Number = None


_DECODER = msgspec.json.Decoder(_Request)


class Helicone:
    """One request with its bodies; both spellings of its columns are known."""

    name = "helicone"
    about = About(
        title="Helicone requests",
        needs="npx @helicone/export --format jsonl --include-body, or POST /v1/request/query-clickhouse with the "
        "bodies fetched, or the rows of request_response_rmt as JSON lines. Written after Helicone's "
        "documentation and source: it was not run",
        fields={
            "exchange_id": "request_id",
            "account_id": "proxy_key_id, else helicone_user, else organization_id",
            "organization_id": "organization_id",
            "end_user_id": "request_user_id or user_id, else safety_identifier, user or metadata.user_id of the "
            "request",
            "started_at": "request_created_at",
            "model": "request_model, else request_body.model, else model or response_model",
            "messages": "request_body: instructions or system, then messages, input or prompt",
            "completion": "response_body: content, refusals and tool calls",
            "reasoning": "response_body: reasoning_content, thinking blocks, reasoning summaries",
            "tools": "request_body.tools",
            "conversation_id": "the property Helicone-Session-Id",
            "input_tokens": "prompt_tokens, else response_body.usage",
            "output_tokens": "completion_tokens, else response_body.usage",
            "max_tokens": "request_body.max_completion_tokens, .max_output_tokens, .max_tokens",
            "temperature": "request_body.temperature",
            "sample_count": "request_body.n",
            "top_logprobs": "request_body.top_logprobs, .logprobs",
            "country": "country_code",
            "status": "response_status or status: 2xx is success, else failure",
        },
        lost={
            "signed_body_url": "it opens the bodies for whoever holds it",
            "other properties, scores, feedback, prompt_id": "names are the customer's own",
            "embeddings, images, speech and other calls": "they ask for no text; they are counted",
            "bodies of Gemini's own API": "contents and parts are not read: the record is rejected",
        },
        identity="proxy_key_id names a key of Helicone's vault; without vault keys the account is the Helicone "
        "organization, and what tells callers apart is the end user (the header Helicone-User-Id).",
    )

    def recognises(self, record: Mapping[str, Any]) -> bool:
        """Say whether the object has Helicone's own names."""
        return "request_id" in record and "request_created_at" in record

    def read(self, text: bytes) -> Reading:
        """Read one request."""
        found, nulled = decode(_DECODER, text)
        path = found.request_path or found.target_url or ""
        if any(other in path for other in OTHER_PATHS):
            raise NotAnExchangeError(NO_TEXT)
        if not found.request_body:
            raise MalformedError("the field request_body is missing; export with --include-body")
        request = body_of(found.request_body, "request_body")
        model = found.request_model or request.get("model") or found.model or found.response_model
        bodies = columns_of({**request, "model": model}, _response(found.response_body))
        properties = found.request_properties or found.properties or {}
        known = {
            "exchange_id": found.request_id,
            "account_id": first_named(found.proxy_key_id, found.helicone_user, found.organization_id),
            "started_at": found.request_created_at,
            "organization_id": found.organization_id,
            "end_user_id": first_named(found.request_user_id, found.user_id),
            "conversation_id": next(
                (first_named(value) for name, value in properties.items() if name.lower() == SESSION), None
            ),
            "country": found.country_code,
            "input_tokens": found.prompt_tokens,
            "output_tokens": found.completion_tokens,
            "status": _status(found.response_status if found.response_status is not None else found.status),
        }
        return exchange_of(bodies, known, nulled, no_time="the field request_created_at is empty")


def _response(value: Any) -> Any:
    """Return the body as an object; of a stream that was kept as it came there is no reply."""
    try:
        return body_of(value, "response_body")
    except MalformedError:
        return None


def _status(code: int | None) -> str | None:
    if code is None:
        return None
    return "success" if 200 <= code < 300 else "failure"


FORMAT = Helicone()
