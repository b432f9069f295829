"""Call a model on loopback under one instrumentation, which tells of it in its own dialect.

    python record_otel_calls.py DIALECT MODEL_URL COLLECTOR_URL FOLDER

Each dialect's own exporter sends protobuf to the collector; a second exporter of the OpenTelemetry SDK writes
the same spans as OTLP/JSON lines into FOLDER. Runs in the environment that scripts/record_otel_fixtures makes.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from pathlib import Path
from typing import Any

from openai import APIStatusError, OpenAI
from opentelemetry import trace
from opentelemetry._logs import set_logger_provider
from opentelemetry.exporter.otlp.json.file import FileSpanExporter
from opentelemetry.exporter.otlp.json.file._log_exporter import FileLogExporter
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk._logs import LoggerProvider, LogRecordProcessor
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

PIXEL = (
    "data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJ"
    "AAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)
FUNCTION = {
    "name": "weather",
    "description": "Weather of a town",
    "parameters": {"type": "object", "properties": {"town": {"type": "string"}}},
}
TOOL = {"type": "function", "function": FUNCTION}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"town": "Oulu"}'}}
QUESTION = {"role": "user", "content": "What is the weather in Oulu?"}

user: ContextVar[tuple[str, str] | None] = ContextVar("user", default=None)


class Named(SpanProcessor, LogRecordProcessor):
    """Writes the caller on every span and event, as a program must that wants to know later who it was."""

    def on_start(self, span: Any, parent_context: Any = None) -> None:  # noqa: ARG002 - the SDK's signature
        if (who := user.get()) is not None:
            span.set_attributes({"user.id": who[0], "session.id": who[1]})

    def on_emit(self, log_record: Any) -> None:
        if (who := user.get()) is not None:
            record = log_record.log_record
            record.attributes = {**(record.attributes or {}), "user.id": who[0], "session.id": who[1]}

    def shutdown(self) -> None:
        """Nothing is kept."""

    def force_flush(self, timeout_millis: int = 30_000) -> bool:  # noqa: ARG002 - the SDK's signature
        return True


@contextmanager
def acting_for(name: str, session: str) -> Iterator[None]:
    token = user.set((name, session))
    try:
        yield
    finally:
        user.reset(token)


Acting = Callable[[str, str], Any]


def converse(client: OpenAI, acting: Acting) -> None:
    """One call of each kind: plain, a tool and its result, a picture, a stream, Responses, a failure, an embedding."""
    chat: Any = client.chat.completions
    with acting("u-1", "s-1"):
        system = {"role": "system", "content": "Be brief."}
        chat.create(model="frontier-large", messages=[system, QUESTION], temperature=0.2, max_tokens=50, n=2)
        chat.create(model="frontier-large", messages=[QUESTION], tools=[TOOL])
        told = {"role": "assistant", "content": None, "tool_calls": [CALL]}
        result = {"role": "tool", "tool_call_id": "call_1", "content": "minus 4, snow"}
        chat.create(model="frontier-large", messages=[QUESTION, told, result], tools=[TOOL])
    with acting("u-2", "s-2"):
        look = [
            {"type": "text", "text": "What is in this picture?"},
            {"type": "image_url", "image_url": {"url": PIXEL}},
        ]
        chat.create(model="frontier-small", messages=[{"role": "user", "content": look}])
        stream = chat.create(
            model="frontier-small",
            messages=[{"role": "user", "content": "And tomorrow?"}],
            stream=True,
            stream_options={"include_usage": True},
        )
        list(stream)
        client.responses.create(
            model="frontier-small", instructions="Be brief.", input="Six by seven?", max_output_tokens=64
        )
        with suppress(APIStatusError):
            chat.create(model="frontier-busy", messages=[QUESTION])
        client.embeddings.create(model="frontier-embedding", input="cold")
    # Nobody is named here.
    chat.create(model="frontier-large", messages=[{"role": "user", "content": "Who am I?"}])


def providers(collector: str, folder: Path, name: str) -> tuple[TracerProvider, LoggerProvider]:
    """Providers that export as protobuf to the collector and as JSON into the folder."""
    resource = Resource.create({"service.name": f"{name}-fixture"})
    tracing, logging = TracerProvider(resource=resource), LoggerProvider(resource=resource)
    tracing.add_span_processor(Named())
    logging.add_log_record_processor(Named())
    to_collector = OTLPSpanExporter(endpoint=f"{collector}/v1/traces")
    tracing.add_span_processor(BatchSpanProcessor(to_collector))
    tracing.add_span_processor(BatchSpanProcessor(FileSpanExporter(str(folder / f"{name}-traces.jsonl"))))
    # One span a line, as a program without batches writes them.
    tracing.add_span_processor(SimpleSpanProcessor(FileSpanExporter(str(folder / f"{name}-single.jsonl"))))
    events = OTLPLogExporter(endpoint=f"{collector}/v1/logs")
    logging.add_log_record_processor(BatchLogRecordProcessor(events))
    logging.add_log_record_processor(
        BatchLogRecordProcessor(FileLogExporter(str(folder / f"{name}-logs.jsonl")))
    )
    trace.set_tracer_provider(tracing)
    set_logger_provider(logging)
    return tracing, logging


def _with_instrumentor(name: str, instrumentor: Any, model: str, collector: str, folder: Path) -> None:
    tracing, logging = providers(collector, folder, name)
    instrumentor.instrument(tracer_provider=tracing, logger_provider=logging)
    with OpenAI(base_url=f"{model}/v1", api_key="unused", max_retries=0) as client:
        converse(client, acting_for)
        with trace.get_tracer("fixture").start_as_current_span("a span of the program itself"):
            pass
    tracing.shutdown()
    logging.shutdown()


def genai(model: str, collector: str, folder: Path) -> None:
    """The current conventions, by the project's own instrumentation; text on spans and on events."""
    os.environ["OTEL_SEMCONV_STABILITY_OPT_IN"] = "gen_ai_latest_experimental"
    os.environ["OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"] = "SPAN_AND_EVENT"
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

    _with_instrumentor("genai", OpenAIInstrumentor(), model, collector, folder)


def silent(model: str, collector: str, folder: Path) -> None:
    """The same as it is without being told to keep the text."""
    from opentelemetry.instrumentation.genai.openai import OpenAIInstrumentor

    _with_instrumentor("silent", OpenAIInstrumentor(), model, collector, folder)


def openllmetry(model: str, collector: str, folder: Path) -> None:
    """OpenLLMetry."""
    from opentelemetry.instrumentation.openai import OpenAIInstrumentor

    _with_instrumentor("openllmetry", OpenAIInstrumentor(), model, collector, folder)


def openinference(model: str, collector: str, folder: Path) -> None:
    """OpenInference, as Phoenix and Envoy AI Gateway read and write it."""
    from openinference.instrumentation.openai import OpenAIInstrumentor

    _with_instrumentor("openinference", OpenAIInstrumentor(), model, collector, folder)


def langfuse(model: str, collector: str, folder: Path) -> None:
    """Langfuse's SDK with its drop-in client."""
    from langfuse import Langfuse, propagate_attributes
    from langfuse.openai import OpenAI as Client

    tracing = TracerProvider(resource=Resource.create({"service.name": "langfuse-fixture"}))
    tracing.add_span_processor(BatchSpanProcessor(FileSpanExporter(str(folder / "langfuse-traces.jsonl"))))
    tracer = Langfuse(
        public_key="pk-lf-unused",
        secret_key="sk-lf-unused",
        base_url=collector,
        tracer_provider=tracing,
    )

    def acting(name: str, session: str) -> Any:
        return propagate_attributes(user_id=name, session_id=session)

    with Client(base_url=f"{model}/v1", api_key="unused", max_retries=0) as client:
        converse(client, acting)
        with tracer.start_as_current_observation(as_type="tool", name="a tool"):
            pass
    tracer.flush()
    tracing.shutdown()


def mlflow(model: str, collector: str, folder: Path) -> None:
    """MLflow's tracing with its patch of the openai client."""
    os.environ["OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"] = f"{collector}/v1/traces"
    os.environ["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"] = "http/protobuf"
    import mlflow as tracker
    import mlflow.openai
    from mlflow.tracing import provider

    @contextmanager
    def acting(name: str, session: str) -> Iterator[None]:
        # What MLflow itself knows of a user it keeps for its own server; a span's attribute is exported.
        with tracker.start_span("a request") as span:
            span.set_attributes({"user.id": name, "session.id": session})
            yield

    mlflow.openai.autolog()
    tracker.start_span_no_context("made to start the provider").end()
    tracing = provider.provider.get()
    tracing.add_span_processor(BatchSpanProcessor(FileSpanExporter(str(folder / "mlflow-traces.jsonl"))))
    with OpenAI(base_url=f"{model}/v1", api_key="unused", max_retries=0) as client:
        converse(client, acting)
    tracing.shutdown()


DIALECTS = {
    function.__name__: function for function in (genai, silent, openllmetry, openinference, langfuse, mlflow)
}


if __name__ == "__main__":
    DIALECTS[sys.argv[1]](sys.argv[2], sys.argv[3], Path(sys.argv[4]))
