"""LiteLLM's table of spend, ``LiteLLM_SpendLogs``, as JSON lines or as its ``/spend/logs`` returns it."""

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
from stillwatch.formats.litellm import NO_KEY, REDACTED, asks_for_text

NOT_STORED = "neither proxy_server_request nor messages holds a prompt, which is missing; set store_prompts_in_spend_logs"


class _Row(msgspec.Struct, gc=False):
    request_id: str | int
    api_key: Identifier
    startTime: str | int | float  # noqa: N815 - the table's own name
    call_type: str | None = None
    status: str | None = None
    model: str | None = None
    model_group: str | None = None
    user: Identifier = None
    end_user: Identifier = None
    team_id: Identifier = None
    organization_id: Identifier = None
    session_id: Identifier = None
    requester_ip_address: str | None = None
    prompt_tokens: Number = None
    completion_tokens: Number = None
    proxy_server_request: Any = None
    messages: Any = None
    response: Any = None
    metadata: Any = None


_DECODER = msgspec.json.Decoder(_Row)


class LiteLLMSpendLogs:
    """One row of the table; its JSON columns are objects, or texts of them, as the export has it."""

    name = "litellm-spend-logs"
    about = About(
        title="LiteLLM spend logs",
        needs="general_settings.store_prompts_in_spend_logs: true, and the rows of LiteLLM_SpendLogs as JSON "
        "lines, e.g. psql -At -c 'select row_to_json(t) from \"LiteLLM_SpendLogs\" t'",
        fields={
            "exchange_id": "request_id",
            "account_id": "api_key (the key's hash), else user, else team_id",
            "organization_id": "organization_id, else team_id",
            "end_user_id": "end_user, else safety_identifier, user or metadata.user_id of the request",
            "started_at": "startTime",
            "model": "model_group (the name that was asked for), else model",
            "messages": "proxy_server_request: instructions or system, then messages, input or prompt; else "
            "messages",
            "completion": "response: content, refusals and tool calls",
            "reasoning": "response: reasoning_content, thinking blocks, reasoning summaries",
            "tools": "proxy_server_request.tools",
            "conversation_id": "session_id",
            "input_tokens": "prompt_tokens",
            "output_tokens": "completion_tokens",
            "max_tokens": "proxy_server_request.max_completion_tokens, .max_output_tokens, .max_tokens",
            "temperature": "proxy_server_request.temperature",
            "sample_count": "proxy_server_request.n",
            "top_logprobs": "proxy_server_request.top_logprobs, .logprobs",
            "ip": "requester_ip_address",
            "status": "status",
        },
        lost={
            "the middle of long texts": "LiteLLM itself cuts it out before it stores them "
            "(MAX_STRING_LENGTH_PROMPT_IN_DB)",
            "metadata": "prices, tags and the key's own names",
            "request_tags, agent_id, mcp_namespaced_tool_name": "they group requests, not what was asked",
            "embeddings, images, speech and other calls": "they ask for no text; they are counted",
            "failures with status 401": "no account sent them; they are counted",
        },
        identity="the key's hash is the account. Give a mapping of identities where several keys are billed to "
        "one account, or where the organization is known elsewhere.",
    )

    def recognises(self, record: Mapping[str, Any]) -> bool:
        """Say whether the object has the table's own columns."""
        return "request_id" in record and "api_key" in record and "startTime" in record

    def read(self, text: bytes) -> Reading:
        """Read one row; a failure is an exchange with its status."""
        row, nulled = decode(_DECODER, text)
        if not asks_for_text(row.call_type):
            raise NotAnExchangeError(NO_TEXT)
        if row.status == "failure" and _error_code(row.metadata) == "401":
            raise NotAnExchangeError(NO_KEY)
        model = row.model_group or row.model
        if not model:
            raise MalformedError("the fields model_group and model are missing or empty")
        bodies = columns_of({**_request(row), "model": model}, _response(row.response))
        if bodies.columns.get("completion") == REDACTED:
            del bodies.columns["completion"]
        known = {
            "exchange_id": row.request_id,
            "account_id": first_named(row.api_key, row.user, row.team_id),
            "started_at": row.startTime,
            "organization_id": first_named(row.organization_id, row.team_id),
            "end_user_id": row.end_user,
            "conversation_id": row.session_id,
            "input_tokens": row.prompt_tokens,
            "output_tokens": row.completion_tokens,
            "ip": row.requester_ip_address,
            "status": row.status,
        }
        return exchange_of(bodies, known, nulled, no_time="the field startTime is empty")


def _request(row: _Row) -> dict[str, Any]:
    """Return the body that the caller sent, or the messages alone, as realtime calls store them."""
    try:
        request = body_of(row.proxy_server_request, "proxy_server_request")
    except MalformedError:
        request = {}
    if not request.keys().isdisjoint(("messages", "input", "prompt")):
        return request
    messages = row.messages
    if isinstance(messages, str):
        try:
            messages = msgspec.json.decode(messages)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            messages = None
    if not messages:
        raise MalformedError(NOT_STORED)
    return {**request, "messages": messages}


def _response(value: Any) -> Any:
    try:
        return body_of(value, "response")
    except MalformedError:
        return value


def _error_code(metadata: Any) -> str | None:
    try:
        error = body_of(metadata, "metadata").get("error_information")
    except MalformedError:
        return None
    return str(error.get("error_code")) if isinstance(error, Mapping) else None


FORMAT = LiteLLMSpendLogs()
