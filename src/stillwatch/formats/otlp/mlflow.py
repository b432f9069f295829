"""MLflow: inputs and outputs of a span are each one attribute, and every value is JSON text.

https://mlflow.org/docs/latest/genai/tracing/: a model call is a span of type CHAT_MODEL or LLM; its inputs are
the arguments of the client, its outputs the reply's body.
"""

from __future__ import annotations

from stillwatch.formats._parameters import PARAMETERS, USAGE, stated_numbers, stated_tools
from stillwatch.formats._replies import Reply
from stillwatch.formats.otlp.dialect import (
    AGENT,
    EMBEDDING,
    MODEL_CALL,
    OTHER_STEP,
    RETRIEVAL,
    TOOL,
    Call,
    text_of,
)
from stillwatch.formats.otlp.payloads import mapping, prompt_of, reply_in, structured
from stillwatch.formats.otlp.spans import Telemetry

TYPE = "mlflow.spanType"
KINDS = {
    "CHAT_MODEL": MODEL_CALL,
    "LLM": MODEL_CALL,
    "EMBEDDING": EMBEDDING,
    "TOOL": TOOL,
    "AGENT": AGENT,
    "CHAIN": AGENT,
    "WORKFLOW": AGENT,
    "RETRIEVER": RETRIEVAL,
    "RERANKER": RETRIEVAL,
}


class MLflow:
    """``mlflow.span*``."""

    def kind(self, item: Telemetry) -> str | None:
        """Say what a span is, by its type."""
        kind = item.attributes.get(TYPE)
        if item.kind == "event" or not isinstance(kind, str):
            return None
        return KINDS.get(kind.strip('"').upper(), OTHER_STEP)

    def read(self, item: Telemetry) -> Call | None:
        """Read a model call."""
        said = item.attributes
        asked = structured(said.get("mlflow.spanInputs"), "mlflow.spanInputs")
        messages = prompt_of(asked)
        reply = reply_in(structured(said.get("mlflow.spanOutputs"), "mlflow.spanOutputs"))
        if not messages and reply == Reply(None, None):
            return None
        body = mapping(asked)
        numbers, nulled = stated_numbers(body, PARAMETERS)
        counts, uncounted = stated_numbers(mapping(said.get("mlflow.chat.tokenUsage")), USAGE)
        model = structured(said.get("mlflow.llm.model"), "mlflow.llm.model")
        return Call(
            model=text_of(body.get("model")) or text_of(model),
            messages=messages,
            completion=reply.completion,
            reasoning=reply.reasoning,
            tools=stated_tools(body),
            numbers={**numbers, **counts},
            nulled=nulled + uncounted,
        )


DIALECT = MLflow()
