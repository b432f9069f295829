"""OpenAI request and response bodies: chat completions, Responses and completions, in an envelope or not."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

import msgspec

from stillwatch.formats import About
from stillwatch.formats._content import stated_messages
from stillwatch.formats._decode import decode, mend
from stillwatch.formats._parameters import PARAMETERS, USAGE, stated_numbers, stated_tools
from stillwatch.formats._replies import reply_of
from stillwatch.formats._stated import (
    Identifier,
    MalformedError,
    Number,
    Reading,
    StatedExchange,
    StatedMessage,
)

PROMPTS = ("messages", "input", "prompt")


class _Line(msgspec.Struct, gc=False):
    """The envelope: what a gateway knows of an exchange beside its two bodies."""

    request: dict[str, Any] | None = None
    response: Any = None
    exchange_id: Identifier = None
    time: str | int | float | None = None
    started_at: str | int | float | None = None
    account_id: Identifier = None
    organization_id: Identifier = None
    account_created_at: str | int | float | None = None
    end_user_id: Identifier = None
    conversation_id: Identifier = None
    ip: str | None = None
    asn: Number = None
    country: str | None = None
    user_agent: str | None = None
    tls_fingerprint: Identifier = None
    payment_fingerprint: Identifier = None
    status: Identifier = None


_DECODER = msgspec.json.Decoder(_Line)
_BODY_DECODER = msgspec.json.Decoder(dict[str, Any])


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
            "model": "request.model",
            "messages": "request.instructions, then request.messages, .input or .prompt",
            "completion": "response: content, refusals and tool calls",
            "reasoning": "response: reasoning_content, reasoning summaries",
            "tools": "request.tools",
            "end_user_id": "end_user_id, else request.safety_identifier, else request.user",
            "conversation_id": "conversation_id, else request.conversation",
            "input_tokens": "response.usage.prompt_tokens, .input_tokens",
            "output_tokens": "response.usage.completion_tokens, .output_tokens",
            "max_tokens": "request.max_completion_tokens, .max_output_tokens, .max_tokens",
            "temperature": "request.temperature",
            "sample_count": "request.n",
            "top_logprobs": "request.top_logprobs, .logprobs",
            "status": "status, else failure where the response is an error, else success where there is one",
            **{
                name: name
                for name in (
                    "organization_id",
                    "account_created_at",
                    "ip",
                    "asn",
                    "country",
                    "user_agent",
                    "tls_fingerprint",
                    "payment_fingerprint",
                )
            },
        },
        lost={
            "prompt_cache_key": "a hint for a cache, not a conversation",
            "metadata": "names are the customer's own",
            "previous_response_id": "the earlier turns are not in the request; conversation_id joins them",
        },
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
        return "model" in body and any(name in body for name in PROMPTS)

    def read(self, text: bytes) -> Reading:
        """Read one envelope or body."""
        line, nulled = decode(_DECODER, text)
        request = line.request if line.request is not None else _body(text)
        response = line.response if isinstance(line.response, Mapping) else {}
        model = request.get("model")
        if not isinstance(model, str):
            raise MalformedError("the field model of the request is missing")
        time = next((t for t in (line.started_at, line.time) if t is not None), None)
        time = time if time is not None else response.get("created", response.get("created_at"))
        if isinstance(time, bool) or not isinstance(time, str | int | float):
            raise MalformedError("neither time nor response.created says when it was")
        numbers, unread = stated_numbers(request, PARAMETERS)
        usage = response.get("usage")
        counts, uncounted = stated_numbers(usage if isinstance(usage, Mapping) else {}, USAGE)
        reply = reply_of(line.response)
        exchange = StatedExchange(
            exchange_id=line.exchange_id or _identifier(response.get("id")) or _hash(text),
            account_id=line.account_id,
            started_at=time,
            model=model,
            messages=_messages(request),
            completion=reply.completion,
            reasoning=reply.reasoning,
            tools=stated_tools(request),
            organization_id=line.organization_id,
            account_created_at=line.account_created_at,
            end_user_id=line.end_user_id
            or _identifier(request.get("safety_identifier"))
            or _identifier(request.get("user")),
            conversation_id=line.conversation_id or _conversation(request.get("conversation")),
            ip=line.ip,
            asn=line.asn,
            country=line.country,
            user_agent=line.user_agent,
            tls_fingerprint=line.tls_fingerprint,
            payment_fingerprint=line.payment_fingerprint,
            status=line.status if line.status is not None else _status(response),
            **numbers,
            **counts,
        )
        return Reading([exchange], nulled + unread + uncounted)


def _body(text: bytes) -> dict[str, Any]:
    try:
        return _BODY_DECODER.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        body = mend(text)
    if not isinstance(body, dict):
        raise MalformedError("not a JSON object")
    return body


def _messages(request: Mapping[str, Any]) -> list[StatedMessage]:
    prompt = next((request[name] for name in PROMPTS if request.get(name) is not None), None)
    if prompt is None:
        raise MalformedError(f"the request has none of {', '.join(PROMPTS)}")
    instructions = request.get("instructions")
    opening = [StatedMessage("system", instructions)] if isinstance(instructions, str) else []
    return [*opening, *stated_messages(prompt)]


def _identifier(value: object) -> str | int | None:
    return value if isinstance(value, str | int) and not isinstance(value, bool) else None


def _conversation(value: object) -> str | int | None:
    return _identifier(value.get("id") if isinstance(value, Mapping) else value)


def _hash(text: bytes) -> str:
    return f"sha256:{hashlib.sha256(text.strip()).hexdigest()[:32]}"


def _status(response: Mapping[str, Any]) -> str | None:
    if not response:
        return None
    return "failure" if response.get("error") else "success"


FORMAT = OpenAI()
