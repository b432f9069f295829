"""What a dialect is: how one family of programs writes a model call on a span or an event."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from stillwatch.formats._stated import Identifier, StatedMessage
from stillwatch.formats.otlp.spans import Telemetry

MODEL_CALL = ""
"""What :meth:`Dialect.kind` says of a call that asks a model for text; any other answer is a reason to skip."""

EMBEDDING = "a call that asks for no text"
TOOL = "a tool's span, no model call"
AGENT = "an agent's or workflow's span, no model call"
RETRIEVAL = "a retriever's span, no model call"
OTHER_STEP = "a span of another step, no model call"
WITHOUT_TEXT = "a model call without its text"
OTHER_SPAN = "a span that tells of no model"
OTHER_EVENT = "a log record that tells of no model"
PIECE = "an event of one message, of which its call is not made up"

STEPS = {
    "EMBEDDING": EMBEDDING,
    "TOOL": TOOL,
    "AGENT": AGENT,
    "CHAIN": AGENT,
    "WORKFLOW": AGENT,
    "RETRIEVER": RETRIEVAL,
    "RERANKER": RETRIEVAL,
}
"""What tracers alike call the steps that are no model call."""


@dataclass(frozen=True, slots=True)
class Call:
    """A model call as its dialect tells of it."""

    model: str | None
    messages: Sequence[StatedMessage]
    completion: str | None = None
    reasoning: str | None = None
    tools: list[Any] | None = None
    conversation_id: Identifier = None
    numbers: Mapping[str, Any] = field(default_factory=dict)
    """Columns of sampling parameters and token counts."""
    nulled: tuple[str, ...] = ()
    """Columns of which the value is no number."""


class Dialect(Protocol):
    """One way to tell of a model call."""

    def kind(self, item: Telemetry) -> str | None:
        """Say what the item is: MODEL_CALL, a reason to skip it, or None where it is of another dialect."""
        ...

    def read(self, item: Telemetry) -> Call | None:
        """Read a model call; None where it holds no text.

        Raises MalformedError with a reason that holds no value of the item.
        """
        ...


def kind_of_step(item: Telemetry, attribute: str, model_calls: frozenset[str]) -> str | None:
    """Say what a span is by the attribute in which a dialect names its steps; None where it lacks it."""
    kind = item.attributes.get(attribute)
    if item.kind == "event" or not isinstance(kind, str):
        return None
    return kind_named(kind, model_calls)


def kind_named(kind: str, model_calls: frozenset[str]) -> str:
    """Say what a step of this name is; MLflow writes the name as JSON.

    >>> kind_named('"chat_model"', frozenset({"CHAT_MODEL"})) == MODEL_CALL
    True
    """
    name = kind.strip('"').upper()
    return MODEL_CALL if name in model_calls else STEPS.get(name, OTHER_STEP)


def text_of(value: object) -> str | None:
    """Return a value that is a text and not empty."""
    return value if isinstance(value, str) and value else None
