"""What a request body and its response body say, for every API that speaks of messages, input or a prompt.

OpenAI's chat completions, Responses and completions and Anthropic's Messages name things apart from each
other, so that one reader is enough for logs that hold bodies of either.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec

from stillwatch.formats._content import stated_messages
from stillwatch.formats._decode import mend
from stillwatch.formats._parameters import PARAMETERS, USAGE, stated_numbers, stated_tools
from stillwatch.formats._replies import reply_of
from stillwatch.formats._stated import (
    Identifier,
    MalformedError,
    NotAnExchangeError,
    Number,
    Reading,
    StatedExchange,
    StatedMessage,
    first_named,
    is_blank,
)

PROMPTS = ("messages", "input", "prompt")
# Tokens that Anthropic bills beside input_tokens; OpenAI's counts hold them already.
CACHED_TOKENS = ("cache_creation_input_tokens", "cache_read_input_tokens")
NO_TEXT = "a call that asks for no text"
_BODY_DECODER = msgspec.json.Decoder(dict[str, Any])


class Envelope(msgspec.Struct, gc=False):
    """What a line may say beside the bodies, by the names of the exchange table."""

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


class BodiesLine(Envelope, gc=False):
    """A line that holds a request body and its response body, or is a request body alone."""

    request: dict[str, Any] | None = None
    response: Any = None


ENVELOPE_COLUMNS = tuple(name for name in Envelope.__struct_fields__ if name not in ("time", "started_at"))
# Those of them of which bodies know nothing.
OUTSIDE_COLUMNS = (
    "organization_id",
    "account_created_at",
    "ip",
    "asn",
    "country",
    "user_agent",
    "tls_fingerprint",
    "payment_fingerprint",
)


class Bodies(NamedTuple):
    """The columns that two bodies fill, and the names of those of which the value is of no use."""

    columns: dict[str, Any]
    nulled: tuple[str, ...]


def is_anthropic(request: Mapping[str, Any], response: object) -> bool:
    """Say whether two bodies are Anthropic's, by the response where there is one.

    >>> is_anthropic({"model": "m", "messages": [], "system": "Be brief."}, None)
    True
    >>> is_anthropic({"model": "claude", "messages": []}, {"choices": []})
    False
    """
    if isinstance(response, Mapping) and not response.keys().isdisjoint(("choices", "output", "object")):
        return False
    if isinstance(response, Mapping) and response.get("type") in ("message", "error"):
        return True
    if "messages" not in request:
        return False
    tools, metadata = request.get("tools"), request.get("metadata")
    return (
        not request.keys().isdisjoint(("system", "stop_sequences", "anthropic_version"))
        or (
            isinstance(tools, list)
            and any(isinstance(tool, dict) and "input_schema" in tool for tool in tools)
        )
        or (isinstance(metadata, Mapping) and "user_id" in metadata and "max_tokens" in request)
    )


def columns_of(request: Mapping[str, Any], response: object) -> Bodies:
    """Return what two bodies say, by column of the exchange table; what they do not say is left out.

    Raises:
        MalformedError: the request names no model or holds no prompt.
        NotAnExchangeError: the response is a list of embeddings, or another thing that is no text.
    """
    model = _model(request)
    reply = response if isinstance(response, Mapping) else {}
    if reply.get("object") == "list" or ("data" in reply and "input" in request):
        raise NotAnExchangeError(NO_TEXT)
    numbers, unread = stated_numbers(request, PARAMETERS)
    usage = reply.get("usage")
    counts, uncounted = stated_numbers(usage, USAGE) if isinstance(usage, Mapping) else ({}, ())
    if counts.get("input_tokens") is not None and isinstance(usage, Mapping) and "prompt_tokens" not in usage:
        counts["input_tokens"] += sum(_count(usage.get(name)) for name in CACHED_TOKENS)
    text = reply_of(response)
    columns = {
        "exchange_id": first_named(reply.get("id")),
        "started_at": _time(reply.get("created", reply.get("created_at"))),
        "model": model,
        "messages": _messages(request),
        "completion": text.completion,
        "reasoning": text.reasoning,
        "tools": stated_tools(request),
        "end_user_id": _end_user(request, is_anthropic(request, response)),
        "conversation_id": _conversation(request.get("conversation")),
        "status": _status(reply),
        **numbers,
        **counts,
    }
    return Bodies({name: value for name, value in columns.items() if value is not None}, unread + uncounted)


def exchange_of(
    bodies: Bodies, known: Mapping[str, Any], nulled: tuple[str, ...] = (), *, no_time: str
) -> Reading:
    """Return one exchange from two bodies and what else is known, which goes first.

    Raises MalformedError with the reason ``no_time`` where neither says when it was.
    """
    columns = bodies.columns | {name: value for name, value in known.items() if not is_blank(value)}
    if columns.get("started_at") is None:
        raise MalformedError(no_time)
    # What is missing is told of all formats alike, where every column is checked.
    columns = {"exchange_id": "", "account_id": None} | columns
    return Reading([StatedExchange(**columns)], nulled + bodies.nulled)


def envelope_of(line: Envelope) -> dict[str, Any]:
    """Return what an envelope says, by column."""
    columns = {name: getattr(line, name) for name in ENVELOPE_COLUMNS}
    columns["started_at"] = next((t for t in (line.started_at, line.time) if t is not None), None)
    return columns


def body_of(value: object, name: str) -> dict[str, Any]:
    """Return a body that a log holds as an object, or as the text of one.

    Raises MalformedError that names the field.
    """
    if isinstance(value, str | bytes):
        try:
            value = decoded(value.encode() if isinstance(value, str) else value)
        except MalformedError:
            value = None
    if not isinstance(value, dict):
        raise MalformedError(f"the field {name} is missing or holds no JSON object")
    return value


def decoded(text: bytes) -> dict[str, Any]:
    """Decode one JSON object without a type."""
    try:
        return _BODY_DECODER.decode(text)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        body = mend(text)
    if not isinstance(body, dict):
        raise MalformedError("not a JSON object")
    return body


def hash_of(*texts: bytes) -> str:
    """Return a name for a record that has none: equal records have equal names."""
    digest = hashlib.sha256(b"\n".join(text.strip() for text in texts))
    return f"sha256:{digest.hexdigest()[:32]}"


def prompt_of(request: Mapping[str, Any]) -> tuple[list[StatedMessage], list[Any] | None]:
    """Return the messages and tools of a request, where nothing else is asked of it; a third of the time of all columns.

    Raises:
        MalformedError: the request names no model or holds no prompt.
    """
    _model(request)
    return _messages(request), stated_tools(request)


def _model(request: Mapping[str, Any]) -> str:
    model = request.get("model")
    if not isinstance(model, str):
        raise MalformedError("the field model of the request is missing")
    return model


def _messages(request: Mapping[str, Any]) -> list[StatedMessage]:
    prompt = next((request[name] for name in PROMPTS if request.get(name) is not None), None)
    if prompt is None:
        raise MalformedError(f"the request has none of {', '.join(PROMPTS)}")
    opening = [
        StatedMessage("system", request[name])
        for name in ("instructions", "system")
        if isinstance(request.get(name), str | list) and request[name]
    ]
    return [*opening, *stated_messages(prompt)]


def _end_user(request: Mapping[str, Any], anthropic: bool) -> str | int | None:
    if anthropic:
        metadata = request.get("metadata")
        return first_named(metadata.get("user_id")) if isinstance(metadata, Mapping) else None
    return first_named(request.get("safety_identifier"), request.get("user"))


def _conversation(value: object) -> str | int | None:
    return first_named(value.get("id") if isinstance(value, Mapping) else value)


def _time(value: object) -> str | int | float | None:
    return value if isinstance(value, str | int | float) and not isinstance(value, bool) else None


def _count(value: object) -> int | float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 0


def _status(response: Mapping[str, Any]) -> str | None:
    if not response:
        return None
    return "failure" if response.get("error") or response.get("type") == "error" else "success"
