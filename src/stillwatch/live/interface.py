"""The interface of the service as an OpenAPI 3.1 document, for whoever writes a plug-in and for what tests it."""

from __future__ import annotations

from typing import Any

import msgspec

from stillwatch import __version__
from stillwatch.live.asking import Question

PATH = "/v1/openapi.json"
GUARDRAIL_PATH = "/beta/litellm_basic_guardrail_api"


class Caller(msgspec.Struct, frozen=True):
    """Who made the request that LiteLLM asks about."""

    user_api_key_hash: str | None = None
    user_api_key_user_id: str | None = None
    user_api_key_team_id: str | None = None
    user_api_key_end_user_id: Any = None


class Guarded(msgspec.Struct, frozen=True):
    """LiteLLM's ``GenericGuardrailAPIRequest``, as far as it matters here; what a customer sets may be of any type."""

    input_type: str
    request_data: Caller
    model: Any = None
    texts: Any = None
    structured_messages: Any = None
    tools: Any = None


def document() -> dict[str, Any]:
    """The document."""
    shapes, kinds = msgspec.json.schema_components(
        [Question, Guarded], ref_template="#/components/schemas/{name}"
    )
    question, guarded = shapes
    taken = {
        "200": _json("taken, and on disk", _TAKEN),
        "400": _json("no record can be read", _TAKEN_OR_ERROR),
    }
    otlp = {
        status: {"description": text, "content": {"application/json": {}, "application/x-protobuf": {}}}
        for status, text in (("200", "taken, and on disk"), ("400", "no record can be read"))
    }
    paths = {
        "/v1/decision": _asked(
            "What holds for a principal", question, {"200": _json("what holds", _DECISION)}
        ),
        GUARDRAIL_PATH: _asked("What LiteLLM asks", guarded, {"200": _json("go on, or not", _GUARDRAIL)}),
        "/v1/ingest": _asked("Exchanges of any log format", {}, taken),
        "/v1/traces": _asked("Exchanges as OTLP traces", {"type": "object"}, otlp),
        "/v1/logs": _asked("Exchanges as OTLP logs", {"type": "object"}, otlp),
        "/v1/envoy": {"post": _envoy()},
        "/metrics": _told("Counters, as Prometheus reads them", _text("the counters"), guarded=True),
        PATH: _told("This document", _json("the document", {"type": "object"}), guarded=True),
        "/health/live": _told("Whether the process answers", _text("it does")),
        "/health/ready": _told(
            "Whether the actions were read", _text("they were"), {"503": _text("not yet")}
        ),
    }
    schemes = {
        "token": {"type": "http", "scheme": "bearer"},
        "header": {"type": "apiKey", "in": "header", "name": "x-stillwatch-token"},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "stillwatch watch", "version": __version__},
        "paths": paths,
        "components": {"schemas": kinds, "securitySchemes": schemes},
    }


_WORDS, _COUNT = {"type": "string"}, {"type": "integer", "minimum": 0}
_ERROR = {
    "type": "object",
    "properties": {"error": {"type": "object", "properties": {"code": _WORDS, "message": _WORDS}, "required": ["code"]}},
    "required": ["error"],
}  # fmt: skip
_TAKEN = {
    "type": "object",
    "properties": {"accepted": _COUNT, "rejected": _COUNT, "skipped": _COUNT, "first_rejected": _WORDS},
    "required": ["accepted", "rejected", "skipped"],
}
_TAKEN_OR_ERROR = {"anyOf": [_TAKEN, _ERROR]}
_DECISION = {
    "type": "object",
    "properties": {
        "allow": {"type": "boolean"},
        "status": {"type": "integer"},
        "wants_request": {"type": "boolean"},
        "actions": {"type": "array", "items": {"type": "object", "required": ["action", "parameters", "reason", "until"]}},
    },
    "required": ["allow", "status", "code", "message", "retry_after_s", "trace", "logprobs", "wants_request", "actions"],
}  # fmt: skip
_GUARDRAIL = {
    "type": "object",
    "properties": {"action": {"enum": ["NONE", "BLOCKED"]}, "blocked_reason": _WORDS},
    "required": ["action"],
}


def _json(text: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def _text(text: str) -> dict[str, Any]:
    return {"description": text, "content": {"text/plain": {}}}


_REFUSALS = {
    "400": _json("the body cannot be meant", _ERROR),
    "401": _json("a token is missing that may do this", _ERROR),
    "408": _json("the body came too slowly", _ERROR),
    "413": _json("the body is too large", _ERROR),
    "429": _json("too often", _ERROR),
    "503": _json("what was taken in must be read first", _ERROR),
}


def _asked(text: str, body: dict[str, Any], answers: dict[str, Any]) -> dict[str, Any]:
    """A question with a body of JSON."""
    sent = {"required": True, "content": {"application/json": {"schema": body}}}
    return {
        "post": {
            "summary": text,
            "requestBody": sent,
            "responses": _REFUSALS | answers,
            "security": [{"token": []}],
        }
    }


def _told(
    text: str, answer: dict[str, Any], more: dict[str, Any] | None = None, *, guarded: bool = False
) -> dict[str, Any]:
    """Something that is read."""
    refusals = {status: _REFUSALS[status] for status in ("401", "429")} if guarded else {}
    told = {"summary": text, "responses": {"200": answer} | refusals | (more or {})}
    return {"get": told | ({"security": [{"token": []}]} if guarded else {})}


def _envoy() -> dict[str, Any]:
    """Envoy's ext_authz: the request of the customer as it is, at any path below and by any method."""
    headers = [
        {"name": name, "in": "header", "required": required, "schema": {"type": "string"}}
        for name, required in (("x-stillwatch-account", True), ("x-stillwatch-end-user", False))
    ]
    return {
        "summary": "What Envoy asks before it hands a request on",
        "parameters": headers,
        "requestBody": {"content": {"application/json": {"schema": {"type": "object"}}}},
        "responses": {
            "200": {"description": "it goes on"},
            "403": _json("it does not", _ERROR),
            "429": _json("it comes too often", _ERROR),
            "503": {"description": "not answered: no token, or a body that is not taken"},
        },
        "security": [{"header": []}],
    }
