"""Langfuse: an observation's input and output are each one attribute, of JSON or of text.

https://langfuse.com/integrations/native/opentelemetry; what its API gives back is another format,
:mod:`stillwatch.formats.langfuse`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stillwatch.formats._parameters import PARAMETERS, stated_numbers, stated_tools
from stillwatch.formats._replies import Reply
from stillwatch.formats.otlp.dialect import Call, kind_of_step, text_of
from stillwatch.formats.otlp.payloads import mapping, prompt_of, reply_in, structured
from stillwatch.formats.otlp.spans import Telemetry

TYPE = "langfuse.observation.type"
MODEL_CALLS = frozenset({"GENERATION"})
USAGE = {
    "input_tokens": ("input", "prompt_tokens", "input_tokens"),
    "output_tokens": ("output", "completion_tokens", "output_tokens"),
}


class Langfuse:
    """``langfuse.observation.*``."""

    def kind(self, item: Telemetry) -> str | None:
        """Say what a span is, by the type of its observation."""
        return kind_of_step(item, TYPE, MODEL_CALLS)

    def read(self, item: Telemetry) -> Call | None:
        """Read a generation."""
        said = item.attributes
        return observed(
            model=said.get("langfuse.observation.model.name"),
            asked=structured(said.get("langfuse.observation.input"), "langfuse.observation.input"),
            answered=structured(said.get("langfuse.observation.output"), "langfuse.observation.output"),
            parameters=mapping(said.get("langfuse.observation.model.parameters")),
            usage=mapping(said.get("langfuse.observation.usage_details")),
        )


def observed(
    model: object, asked: Any, answered: Any, parameters: Mapping[str, Any], usage: Mapping[str, Any]
) -> Call | None:
    """Return a generation, of a span or of the API, as a call; None where it holds no text."""
    messages = prompt_of(asked)
    reply = reply_in(answered)
    if not messages and reply == Reply(None, None):
        return None
    # The SDK writes a limit that was not asked for as a word.
    asked_for = {name: value for name, value in parameters.items() if value != "Infinity"}
    numbers, nulled = stated_numbers(asked_for, PARAMETERS)
    counts, uncounted = stated_numbers(usage, USAGE)
    return Call(
        model=text_of(model),
        messages=messages,
        completion=reply.completion,
        reasoning=reply.reasoning,
        tools=stated_tools(asked) if isinstance(asked, dict) else None,
        numbers={**numbers, **counts},
        nulled=nulled + uncounted,
    )


DIALECT = Langfuse()
