"""Kong's log entries with what its AI plugins add to them, as every logging plugin of it writes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from stillwatch.formats import About
from stillwatch.formats._bodies import NO_TEXT, body_of, columns_of, exchange_of, hash_of
from stillwatch.formats._decode import decode
from stillwatch.formats._parameters import stated_numbers
from stillwatch.formats._stated import (
    Identifier,
    MalformedError,
    NotAnExchangeError,
    Reading,
    first_named,
)

# What forwards the caller's request; other AI plugins (transformers, caches) send requests of their own.
PROXIES = ("proxy", "ai-proxy", "ai-proxy-advanced")
USAGE = {
    "input_tokens": ("prompt_tokens", "prompt_token", "input_tokens"),
    "output_tokens": ("completion_tokens", "completion_token", "output_tokens"),
}
NO_AI = "a request that no AI proxy forwarded"
NO_PAYLOAD = "ai.*.payload.request is missing; set config.logging.log_payloads of the AI plugin"
OTHER_PATHS = ("/embeddings", "/images/", "/audio/", "/files", "/batches")


class _Named(msgspec.Struct, gc=False):
    id: Identifier = None


class _Request(msgspec.Struct, gc=False):
    id: Identifier = None
    uri: str | None = None
    headers: dict[str, Any] | None = None


class _Response(msgspec.Struct, gc=False):
    status: int | None = None


class _Entry(msgspec.Struct, gc=False):
    started_at: str | int | float
    ai: dict[str, Any] | None = None
    request: _Request | None = None
    response: _Response | None = None
    consumer: _Named | None = None
    authenticated_entity: _Named | None = None
    client_ip: str | None = None


_DECODER = msgspec.json.Decoder(_Entry)


class Kong:
    """One entry of a proxied request; the two bodies are texts inside of it."""

    name = "kong"
    about = About(
        title="Kong AI Gateway logs",
        needs="config.logging.log_payloads: true on ai-proxy or ai-proxy-advanced, a plugin that authenticates, "
        "and a logging plugin (file-log, http-log) for the route. Written after Kong's documentation and "
        "source: it was not run",
        fields={
            "exchange_id": "request.id, else the id of the response body, else a hash of the entry",
            "account_id": "consumer.id, else authenticated_entity.id",
            "started_at": "started_at (milliseconds)",
            "model": "ai.<plugin>.meta.request_model, else the request body's model",
            "messages": "ai.<plugin>.payload.request or ai.payload.request: instructions or system, then messages, "
            "input or prompt",
            "completion": "ai.<plugin>.payload.response: content, refusals and tool calls",
            "reasoning": "ai.<plugin>.payload.response: reasoning_content, thinking blocks, reasoning summaries",
            "tools": "tools of the request body",
            "end_user_id": "safety_identifier, user or metadata.user_id of the request body",
            "conversation_id": "conversation of the request body",
            "input_tokens": "ai.<plugin>.usage.prompt_tokens, .prompt_token, else the response body's usage",
            "output_tokens": "ai.<plugin>.usage.completion_tokens, .completion_token, else the response body's",
            "max_tokens": "max_completion_tokens, max_output_tokens, max_tokens of the request body",
            "temperature": "temperature of the request body",
            "sample_count": "n of the request body",
            "top_logprobs": "top_logprobs, logprobs of the request body",
            "ip": "client_ip",
            "user_agent": "request.headers.user-agent",
            "status": "response.status: 2xx is success, else failure",
        },
        lost={
            "other headers": "they hold keys and cookies",
            "requests without an entry of an AI proxy": "they are no exchange; they are counted",
            "other AI plugins' entries": "a transformer or a cache asks on its own account",
            "a response that is no JSON object": "a stream that was kept as it came: there is no reply",
            "latencies, tries, route, service, workspace": "they say how it was served",
        },
        identity="the consumer is the account, else the credential. Give a mapping of identities from consumer.id "
        "where several consumers are billed to one account. Without authentication there is no account, and "
        "the record is rejected.",
    )

    def recognises(self, record: Mapping[str, Any]) -> bool:
        """Say whether the object is a log entry with an AI plugin's part, or of the kind that may have one."""
        return "started_at" in record and "latencies" in record and "client_ip" in record

    def read(self, text: bytes) -> Reading:
        """Read one entry."""
        entry, nulled = decode(_DECODER, text)
        if entry.ai is None:
            if "ai" in nulled:
                raise MalformedError("the field ai has a wrong type")
            raise NotAnExchangeError(NO_AI)
        asked = entry.request or _Request()
        if any(other in (asked.uri or "") for other in OTHER_PATHS):
            raise NotAnExchangeError(NO_TEXT)
        part = _proxy(entry.ai)
        payload, meta, usage = (_object(part.get(name)) for name in ("payload", "meta", "usage"))
        sent = payload.get("request", _object(entry.ai.get("payload")).get("request"))
        if not sent:
            raise MalformedError(NO_PAYLOAD)
        request = body_of(sent, "ai.*.payload.request")
        model = meta.get("request_model")
        request["model"] = model if isinstance(model, str) and model else request.get("model")
        bodies = columns_of(request, _reply(payload.get("response")))
        bodies.columns.setdefault("exchange_id", hash_of(text))
        counts, uncounted = stated_numbers(usage, USAGE)
        callers = (entry.consumer, entry.authenticated_entity)
        known = {
            "exchange_id": asked.id,
            "account_id": first_named(*(caller.id for caller in callers if caller is not None)),
            "started_at": entry.started_at,
            "ip": entry.client_ip,
            "user_agent": _header(asked.headers or {}, "user-agent"),
            "status": _status(entry.response),
            **counts,
        }
        return exchange_of(bodies, known, nulled + uncounted, no_time="the field started_at is empty")


def _proxy(parts: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return what the plugin says that forwarded the request."""
    for name in PROXIES:
        if isinstance(parts.get(name), Mapping):
            found: Mapping[str, Any] = parts[name]
            return found
    raise NotAnExchangeError(NO_AI)


def _object(value: object) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _reply(value: Any) -> Any:
    try:
        return body_of(value, "ai.*.payload.response")
    except MalformedError:
        return None


def _header(headers: Mapping[str, Any], name: str) -> str | None:
    value = headers.get(name)
    value = value[0] if isinstance(value, list) and value else value
    return value if isinstance(value, str) else None


def _status(response: _Response | None) -> str | None:
    if response is None or response.status is None:
        return None
    return "success" if 200 <= response.status < 300 else "failure"


FORMAT = Kong()
