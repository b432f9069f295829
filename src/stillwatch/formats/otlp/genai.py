"""OpenTelemetry's own conventions for generative AI, the current ones and what is still common of the older.

https://opentelemetry.io/docs/specs/semconv/gen-ai/: messages are JSON text on spans, and structured on the event
``gen_ai.client.inference.operation.details``. Before 1.37 a call's text was in ``gen_ai.prompt`` and
``gen_ai.completion`` (JSON, or one attribute a field), on the span or in events inside of it.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any

from stillwatch.formats._content import canonical, content_text, kind_of_part, stated_messages
from stillwatch.formats._parameters import stated_numbers
from stillwatch.formats._replies import Reply, reply_of
from stillwatch.formats._stated import MalformedError, StatedMessage
from stillwatch.formats.otlp.dialect import (
    AGENT,
    EMBEDDING,
    MODEL_CALL,
    OTHER_STEP,
    PIECE,
    RETRIEVAL,
    TOOL,
    Call,
    text_of,
)
from stillwatch.formats.otlp.indexed import indexed
from stillwatch.formats.otlp.payloads import prompt_of, reply_in, structured
from stillwatch.formats.otlp.spans import Telemetry

DETAILS = "gen_ai.client.inference.operation.details"
OPERATION = "gen_ai.operation.name"
INPUT, OUTPUT = "gen_ai.input.messages", "gen_ai.output.messages"
KINDS = {
    "chat": MODEL_CALL,
    "text_completion": MODEL_CALL,
    "generate_content": MODEL_CALL,
    "embeddings": EMBEDDING,
    "execute_tool": TOOL,
    "create_agent": AGENT,
    "invoke_agent": AGENT,
    "invoke_workflow": AGENT,
    "retrieval": RETRIEVAL,
}
# Where a span names no operation.
_MODELS = ("gen_ai.request.model", "gen_ai.response.model", "gen_ai.usage.prompt_tokens")
NUMBERS = {
    "max_tokens": ("gen_ai.request.max_tokens",),
    "temperature": ("gen_ai.request.temperature",),
    "sample_count": ("gen_ai.request.choice.count",),
    "input_tokens": ("gen_ai.usage.input_tokens", "gen_ai.usage.prompt_tokens"),
    "output_tokens": ("gen_ai.usage.output_tokens", "gen_ai.usage.completion_tokens"),
}
_OLDER_ROLES = {f"gen_ai.{role}.message": role for role in ("system", "user", "assistant", "tool")}
_CALLS = {"tool_call": "arguments", "server_tool_call": "server_tool_call"}
_RESULTS = ("response", "result", "server_tool_call_response")
_MEDIA = {"blob": "data", "uri": "url", "file": "file_id"}


class GenAI:
    """``gen_ai.*``."""

    def kind(self, item: Telemetry) -> str | None:
        """Say what a span or an event is, by its operation."""
        if item.kind == "event":
            if item.name == DETAILS:
                return self._operation(item)
            return PIECE if item.name.startswith("gen_ai.") else None
        if OPERATION in item.attributes:
            return self._operation(item)
        return MODEL_CALL if any(name in item.attributes for name in _MODELS) else None

    @staticmethod
    def _operation(item: Telemetry) -> str:
        operation = item.attributes.get(OPERATION)
        known = KINDS.get(operation) if isinstance(operation, str) else None
        if known is not None:
            return known
        # An operation of a later day, or none: what asked a model says which messages it sent.
        return MODEL_CALL if INPUT in item.attributes else OTHER_STEP

    def read(self, item: Telemetry) -> Call | None:
        """Read a model call."""
        said = item.attributes
        asked, answered = said.get(INPUT), said.get(OUTPUT)
        if asked is None and answered is None:
            messages, reply = _older(item)
        else:
            messages = _messages(structured(asked, INPUT))
            reply = _reply(structured(answered, OUTPUT))
        if not messages and reply == Reply(None, None):
            return None
        numbers, nulled = stated_numbers(said, NUMBERS)
        tools = structured(said.get("gen_ai.tool.definitions"), "gen_ai.tool.definitions")
        return Call(
            model=text_of(said.get("gen_ai.request.model")) or text_of(said.get("gen_ai.response.model")),
            messages=[*_instructions(said.get("gen_ai.system_instructions")), *messages],
            completion=reply.completion,
            reasoning=reply.reasoning,
            tools=tools if isinstance(tools, list) else None,
            conversation_id=text_of(said.get("gen_ai.conversation.id")),
            numbers=numbers,
            nulled=nulled,
        )


def _instructions(value: object) -> list[StatedMessage]:
    value = structured(value, "gen_ai.system_instructions")
    if isinstance(value, str) and value:
        return [StatedMessage("system", value)]
    if isinstance(value, list) and value:
        return [StatedMessage("system", _parts(value))]
    return []


def _messages(value: object) -> list[StatedMessage]:
    if isinstance(value, list) and any(isinstance(item, dict) and "parts" in item for item in value):
        return [message for item in value for message in _message(item)]
    return prompt_of(value)


def _message(item: object) -> list[StatedMessage]:
    if not isinstance(item, dict) or not isinstance(item.get("parts"), list):
        return stated_messages([item])
    role = item.get("role")
    if not isinstance(role, str):
        raise MalformedError("a message has no role")
    return [StatedMessage(role, _parts(item["parts"]))]


def _reply(value: object) -> Reply:
    if not isinstance(value, list) or not any(isinstance(item, dict) and "parts" in item for item in value):
        return reply_in(value)
    completions: list[str] = []
    reasonings: list[str] = []
    for item in value:
        if not isinstance(item, dict) or not isinstance(item.get("parts"), list):
            raise MalformedError("a message of the reply has no parts")
        completions.append(content_text(_parts(item["parts"])))
        reasonings += [
            content
            for part in item["parts"]
            if kind_of_part(part) == "reasoning" and isinstance(content := part.get("content"), str)
        ]
    return Reply("\n".join(filter(None, completions)) or None, "\n".join(filter(None, reasonings)) or None)


def _parts(parts: Sequence[object]) -> str | list[Any]:
    """Return parts of the conventions as those of the APIs, which are known already; texts alone as one."""
    texts = [_text_of(part) for part in parts]
    if None not in texts:
        return "\n".join(filter(None, texts))
    return [_part(part) for part in parts]


def _text_of(part: object) -> str | None:
    """Return the text of a part that is nothing else."""
    if not isinstance(part, dict) or part.get("type") != "text":
        return None
    content = part.get("content")
    return content if isinstance(content, str) else None


def _part(part: object) -> Any:
    if not isinstance(part, Mapping):
        return part
    kind = kind_of_part(part)
    content = part.get("content")
    if kind in _CALLS:
        return {"type": "tool_use", "name": part.get("name"), "input": part.get(_CALLS[kind])}
    if kind.endswith("tool_call_response"):
        result = next((part[name] for name in _RESULTS if part.get(name) is not None), None)
        return {"type": "tool_result", "content": result if isinstance(result, str) else canonical(result)}
    if kind in _MEDIA:
        payload = next((part[name] for name in ("content", "uri", "file_id") if part.get(name)), "")
        data = base64.b64encode(payload).decode() if isinstance(payload, bytes) else str(payload)
        return {"type": "image", "source": {_MEDIA[kind]: data}}
    if kind == "reasoning":
        return part
    text = content if content is not None else part.get("text")
    return {"type": "text", "text": text if isinstance(text, str) else canonical(part)}


def _older(item: Telemetry) -> tuple[list[StatedMessage], Reply]:
    """Return the text of a call that tells of it as it was done before 1.37."""
    said = dict(item.attributes)
    for event in item.events:
        # The span's own word goes first.
        said = {**event.attributes, **said} if event.name.startswith("gen_ai.content.") else said
    if "gen_ai.prompt" in said or "gen_ai.completion" in said:
        asked = structured(said.get("gen_ai.prompt"), "gen_ai.prompt")
        answered = structured(said.get("gen_ai.completion"), "gen_ai.completion")
        return prompt_of(asked), reply_in(answered)
    asked_parts = indexed(said, "gen_ai.prompt.")
    answered_parts = indexed(said, "gen_ai.completion.")
    if asked_parts or answered_parts:
        turns = [_numbered(part) for part in asked_parts]
        choices = [{"message": _numbered(part)} for part in answered_parts]
        return stated_messages(turns), reply_of({"choices": choices})
    return _events(item)


def _numbered(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Return a message of which each field is an attribute, as OpenLLMetry wrote it."""
    calls = [
        {"function": {"name": call.get("name"), "arguments": call.get("arguments")}}
        for call in indexed(fields, "tool_calls.")
    ]
    content = structured(fields.get("content"), "gen_ai.prompt") if fields.get("content") else None
    if not isinstance(content, str | list | None):
        content = canonical(content)
    return {"role": fields.get("role") or "user", "content": content, "tool_calls": calls or None}


def _events(item: Telemetry) -> tuple[list[StatedMessage], Reply]:
    """Return what the events inside of a span say: one a message, and one a choice of the reply."""
    turns: list[Any] = []
    choices: list[Any] = []
    for event in item.events:
        content = event.attributes.get("gen_ai.event.content")
        value = structured(content, "gen_ai.event.content") if content else dict(event.attributes)
        if isinstance(value, str):
            value = {"content": value}
        if not isinstance(value, dict):
            continue
        if event.name in _OLDER_ROLES:
            turns.append({"role": _OLDER_ROLES[event.name], **value})
        elif event.name == "gen_ai.choice":
            choices.append({"message": value.get("message", value)})
    return stated_messages(turns), reply_of({"choices": choices})


DIALECT = GenAI()
