"""OpenInference, which Phoenix reads and Envoy AI Gateway writes: one attribute a field of each message.

https://arize-ai.github.io/openinference/spec/: ``llm.input_messages.N.message.role`` and so on.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stillwatch.formats._parameters import PARAMETERS, stated_numbers
from stillwatch.formats._replies import Reply, reply_of
from stillwatch.formats._stated import StatedMessage
from stillwatch.formats.otlp.dialect import Call, kind_of_step, text_of
from stillwatch.formats.otlp.indexed import indexed
from stillwatch.formats.otlp.payloads import mapping, prompt_of, reply_in, structured
from stillwatch.formats.otlp.spans import Telemetry

SPAN_KIND = "openinference.span.kind"
MODEL_CALLS = frozenset({"LLM"})
COUNTS = {
    "input_tokens": ("llm.token_count.prompt",),
    "output_tokens": ("llm.token_count.completion",),
}
# What OPENINFERENCE_HIDE_* leaves.
REDACTED = "__REDACTED__"
_REASONING = frozenset({"reasoning", "thinking"})


class OpenInference:
    """``llm.*`` with ``openinference.span.kind``."""

    def kind(self, item: Telemetry) -> str | None:
        """Say what a span is, by its kind."""
        return kind_of_step(item, SPAN_KIND, MODEL_CALLS)

    def read(self, item: Telemetry) -> Call | None:
        """Read a model call."""
        said = item.attributes
        parameters = mapping(said.get("llm.invocation_parameters"))
        messages = _messages(said)
        reply = _reply(said)
        if not messages and reply == Reply(None, None):
            return None
        numbers, nulled = stated_numbers(parameters, PARAMETERS)
        counts, uncounted = stated_numbers(said, COUNTS)
        tools = [
            structured(tool.get("tool.json_schema"), "llm.tools") for tool in indexed(said, "llm.tools.")
        ]
        return Call(
            model=text_of(said.get("llm.request.model_name"))
            or text_of(parameters.get("model"))
            or text_of(said.get("llm.model_name"))
            or text_of(said.get("llm.response.model_name")),
            messages=messages,
            completion=reply.completion,
            reasoning=reply.reasoning,
            tools=[tool for tool in tools if tool] or None,
            numbers={**numbers, **counts},
            nulled=nulled + uncounted,
        )


def _messages(said: Mapping[str, Any]) -> list[StatedMessage]:
    turns = indexed(said, "llm.input_messages.")
    if turns:
        return [
            StatedMessage(
                str(turn.get("message.role") or "user"),
                _contents(turn),
                _calls(turn) or None,
                _function_call(turn),
            )
            for turn in turns
        ]
    prompts = [text_of(prompt.get("prompt.text")) for prompt in indexed(said, "llm.prompts.")]
    if any(prompts):
        return [StatedMessage("user", "\n".join(filter(None, prompts)))]
    value = said.get("input.value")
    return [] if value in (None, REDACTED) else prompt_of(structured(value, "input.value"))


def _reply(said: Mapping[str, Any]) -> Reply:
    replies = indexed(said, "llm.output_messages.")
    if replies:
        return _reply_of_messages(replies)
    texts = [text_of(choice.get("completion.text")) for choice in indexed(said, "llm.choices.")]
    if any(texts):
        return Reply("\n".join(filter(None, texts)), None)
    value = said.get("output.value")
    return Reply(None, None) if value in (None, REDACTED) else reply_in(structured(value, "output.value"))


def _reply_of_messages(replies: list[dict[str, Any]]) -> Reply:
    reasonings: list[str] = []
    choices = []
    for reply in replies:
        for part in indexed(reply, "message.contents."):
            text = part.get("message_content.text")
            if part.get("message_content.type") in _REASONING and isinstance(text, str):
                reasonings.append(text)
        message = {
            "content": _contents(reply),
            "tool_calls": _calls(reply),
            "function_call": _function_call(reply),
        }
        choices.append({"message": message})
    return Reply(reply_of({"choices": choices}).completion, "\n".join(reasonings) or None)


def _contents(message: Mapping[str, Any]) -> str | list[Any] | None:
    """Return the content of a message: its text, or its typed parts as those of the APIs."""
    content = message.get("message.content")
    if isinstance(content, str):
        return "" if content == REDACTED else content
    return [_part(part) for part in indexed(message, "message.contents.")] or None


def _part(part: Mapping[str, Any]) -> dict[str, Any]:
    kind = part.get("message_content.type")
    if kind in _REASONING:
        return {"type": "reasoning"}
    text = part.get("message_content.text")
    if isinstance(text, str):
        return {"type": "text", "text": "" if text == REDACTED else text}
    address = next((value for name, value in part.items() if name.endswith(".url")), None)
    return {"type": "image", "source": {"url": str(address)}} if address else {"type": "text", "text": ""}


def _calls(message: Mapping[str, Any]) -> list[Any]:
    return [
        {
            "function": {
                "name": call.get("tool_call.function.name"),
                "arguments": call.get("tool_call.function.arguments"),
            }
        }
        for call in indexed(message, "message.tool_calls.")
    ]


def _function_call(message: Mapping[str, Any]) -> dict[str, Any] | None:
    name = message.get("message.function_call_name")
    if not isinstance(name, str):
        return None
    return {"name": name, "arguments": message.get("message.function_call_arguments_json")}


DIALECT = OpenInference()
