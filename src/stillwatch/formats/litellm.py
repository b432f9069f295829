"""LiteLLM's ``StandardLoggingPayload``, as its ``generic_api`` callback and its file loggers write it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from stillwatch.formats import About
from stillwatch.formats._bodies import NO_TEXT
from stillwatch.formats._content import stated_messages
from stillwatch.formats._decode import decode
from stillwatch.formats._parameters import PARAMETERS, stated_numbers, stated_tools
from stillwatch.formats._replies import reply_of
from stillwatch.formats._stated import (
    Identifier,
    NotAnExchangeError,
    Number,
    Reading,
    StatedExchange,
    StatedMessage,
    first_named,
)

# Calls that ask for text; the asynchronous ones begin with an "a" or "_a". All others are counted and left
# out.
TEXT_CALLS = frozenset(
    {
        "completion",
        "text_completion",
        "responses",
        "anthropic_messages",
        "generate_content",
        "generate_content_stream",
        "pass_through_endpoint",
    }
)
REDACTED = "redacted-by-litellm"
NO_KEY = "a caller without a valid key"


class _Metadata(msgspec.Struct, gc=False):
    user_api_key_hash: Identifier = None
    user_api_key_user_id: Identifier = None
    user_api_key_team_id: Identifier = None
    user_api_key_org_id: Identifier = None
    user_api_key_end_user_id: Identifier = None


class _Payload(msgspec.Struct, gc=False):
    id: str | int
    startTime: str | int | float  # noqa: N815 - the log's own name
    model: str
    metadata: _Metadata
    call_type: str | None = None
    status: str | None = None
    model_group: str | None = None
    end_user: Identifier = None
    session_id: Identifier = None
    requester_ip_address: str | None = None
    user_agent: str | None = None
    messages: Any = None
    response: Any = None
    model_parameters: dict[str, Any] | None = None
    prompt_tokens: Number = None
    completion_tokens: Number = None
    error_information: dict[str, Any] | None = None


_DECODER = msgspec.json.Decoder(_Payload)


def asks_for_text(call_type: str | None) -> bool:
    """Whether a kind of call asks for text; one that is not named does.

    >>> asks_for_text("acompletion"), asks_for_text("aembedding")
    (True, False)
    """
    call = (call_type or "completion").removeprefix("_").removeprefix("a")
    # "anthropic_messages" begins with an a that is no prefix.
    return call in TEXT_CALLS or call_type in TEXT_CALLS


class LiteLLM:
    """One record of LiteLLM's standard log; most of its twelve kilobytes is a price list, never decoded."""

    name = "litellm"
    about = About(
        title="LiteLLM StandardLoggingPayload",
        needs="callbacks: [generic_api] and GENERIC_LOGGER_ENDPOINT, or any logger that writes the payload; "
        "store the messages (turn_off_message_logging must be off)",
        fields={
            "exchange_id": "id",
            "account_id": "metadata.user_api_key_hash, else .user_api_key_user_id, .user_api_key_team_id",
            "organization_id": "metadata.user_api_key_org_id, else .user_api_key_team_id",
            "end_user_id": "end_user, else metadata.user_api_key_end_user_id",
            "started_at": "startTime (seconds)",
            "model": "model_group (the name that was asked for), else model",
            "messages": "messages, after model_parameters.instructions or .system",
            "completion": "response: content, refusals and tool calls",
            "reasoning": "response: reasoning_content, thinking blocks, reasoning summaries",
            "tools": "model_parameters.tools",
            "conversation_id": "session_id",
            "input_tokens": "prompt_tokens",
            "output_tokens": "completion_tokens",
            "max_tokens": "model_parameters.max_completion_tokens, .max_output_tokens, .max_tokens",
            "temperature": "model_parameters.temperature",
            "sample_count": "model_parameters.n",
            "top_logprobs": "model_parameters.top_logprobs, .logprobs",
            "ip": "requester_ip_address",
            "user_agent": "user_agent",
            "status": "status",
        },
        lost={
            "model_map_information": "a price list: more than half of every record",
            "trace_id": "it names one request and its retries, not a conversation",
            "error_str": "it can repeat the prompt",
            "embeddings, images, speech and other calls": "they ask for no text; they are counted",
            "failures with status 401": "no account sent them; they are counted",
            "records that arrive while a batch is being sent": "LiteLLM's callback itself drops them "
            "(seen in 1.106.2): a log of it is a lower bound",
        },
        identity="the key's hash is the account. Give a mapping of identities where several keys are billed "
        "to one account, or where the organization is known elsewhere. With custom_auth the key is hashed "
        "only if it begins with sk-.",
    )

    def recognises(self, record: Mapping[str, Any]) -> bool:
        """Say whether the object carries the payload's own names."""
        named = "startTime" in record and "call_type" in record and "metadata" in record
        # The table of spend has all three as well.
        return named and "request_id" not in record

    def read(self, text: bytes) -> Reading:
        """Read one payload; a failure is an exchange with its status."""
        payload, nulled = decode(_DECODER, text)
        if not asks_for_text(payload.call_type):
            raise NotAnExchangeError(NO_TEXT)
        metadata = payload.metadata
        if payload.status == "failure" and (payload.error_information or {}).get("error_code") == "401":
            raise NotAnExchangeError(NO_KEY)
        parameters = payload.model_parameters or {}
        numbers, unread = stated_numbers(parameters, PARAMETERS)
        reply = reply_of(payload.response)
        exchange = StatedExchange(
            exchange_id=payload.id,
            account_id=first_named(
                metadata.user_api_key_hash, metadata.user_api_key_user_id, metadata.user_api_key_team_id
            ),
            started_at=payload.startTime,
            model=payload.model_group or payload.model,
            messages=_messages(payload.messages, parameters),
            completion=None if reply.completion == REDACTED else reply.completion,
            reasoning=reply.reasoning,
            tools=stated_tools(parameters),
            organization_id=first_named(metadata.user_api_key_org_id, metadata.user_api_key_team_id),
            end_user_id=first_named(payload.end_user, metadata.user_api_key_end_user_id),
            conversation_id=payload.session_id,
            input_tokens=payload.prompt_tokens,
            output_tokens=payload.completion_tokens,
            ip=payload.requester_ip_address,
            user_agent=payload.user_agent,
            status=payload.status,
            **numbers,
        )
        return Reading([exchange], nulled + unread)


def _messages(messages: Any, parameters: Mapping[str, Any]) -> list[StatedMessage]:
    system = parameters.get("instructions") or parameters.get("system")
    opening = [StatedMessage("system", system)] if isinstance(system, str | list) else []
    stated = [*opening, *stated_messages(messages)]
    for message in stated:
        if message.content == REDACTED:
            message.content = ""
    return stated


FORMAT = LiteLLM()
