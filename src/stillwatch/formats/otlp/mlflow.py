"""MLflow: inputs and outputs of a span are each one attribute, and every value is JSON text.

https://mlflow.org/docs/latest/genai/tracing/: a model call is a span of type CHAT_MODEL or LLM; its inputs are
the arguments of the client, its outputs the reply's body.
"""

from __future__ import annotations

from stillwatch.formats._parameters import PARAMETERS, USAGE, stated_numbers, stated_tools
from stillwatch.formats._replies import Reply
from stillwatch.formats.otlp.dialect import Call, kind_of_step, text_of
from stillwatch.formats.otlp.payloads import mapping, prompt_of, reply_in, structured
from stillwatch.formats.otlp.spans import Telemetry

TYPE = "mlflow.spanType"
MODEL_CALLS = frozenset({"CHAT_MODEL", "LLM"})


class MLflow:
    """``mlflow.span*``."""

    def kind(self, item: Telemetry) -> str | None:
        """Say what a span is, by its type."""
        return kind_of_step(item, TYPE, MODEL_CALLS)

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
