"""OpenTelemetry: export requests of traces and logs, as JSON or protobuf, in the dialects that tell of model calls."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from stillwatch.formats import About
from stillwatch.formats._stated import (
    MalformedError,
    NotAnExchangeError,
    Reading,
    StatedExchange,
)
from stillwatch.formats.otlp import genai, langfuse, mlflow, openinference
from stillwatch.formats.otlp.dialect import (
    MODEL_CALL,
    OTHER_EVENT,
    OTHER_SPAN,
    WITHOUT_TEXT,
    Call,
    Dialect,
    text_of,
)
from stillwatch.formats.otlp.identity import NOBODY, USERS, Traces
from stillwatch.formats.otlp.json_encoding import SIGNALS, read_json
from stillwatch.formats.otlp.protobuf_encoding import is_export_request, read_protobuf
from stillwatch.formats.otlp.spans import Telemetry

DIALECTS: tuple[Dialect, ...] = (genai.DIALECT, openinference.DIALECT, langfuse.DIALECT, mlflow.DIALECT)
"""In the order in which they are asked: the first that finds a call's text tells of it."""


class OTLP:
    """One export request a record: a line of JSON, a message with its length before it, a file, an HTTP body."""

    name = "otlp"
    about = About(
        title="OpenTelemetry (OTLP)",
        needs="files of a collector's file exporter, as JSON or proto, compressed or not; one export request a file; "
        "or the bodies of OTLP/HTTP. The text of calls is off until the program asks for it, in OpenTelemetry's own "
        "instrumentations by OTEL_SEMCONV_STABILITY_OPT_IN=gen_ai_latest_experimental and "
        "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT=SPAN_ONLY",
        fields={
            "exchange_id": "trace and span identifier; of an event without a span, gen_ai.response.id or a hash",
            "account_id": f"{', '.join(USERS)}: of the span, else of its trace in the same request, "
            "else of the resource",
            "started_at": "start of the span; of an event its own time, which is the end of the call",
            "model": "gen_ai.request.model; llm.request.model_name, model of llm.invocation_parameters, "
            "llm.model_name; langfuse.observation.model.name; model of mlflow.spanInputs, mlflow.llm.model",
            "messages": "gen_ai.system_instructions and gen_ai.input.messages, older gen_ai.prompt; "
            "llm.input_messages; langfuse.observation.input; mlflow.spanInputs",
            "completion": "gen_ai.output.messages, older gen_ai.completion; llm.output_messages; "
            "langfuse.observation.output; mlflow.spanOutputs",
            "reasoning": "parts of type reasoning of the same",
            "tools": "gen_ai.tool.definitions; llm.tools; tools of langfuse.observation.input and mlflow.spanInputs",
            "conversation_id": "gen_ai.conversation.id, session.id",
            "input_tokens": "gen_ai.usage.input_tokens; llm.token_count.prompt; langfuse.observation.usage_details; "
            "mlflow.chat.tokenUsage",
            "output_tokens": "gen_ai.usage.output_tokens; llm.token_count.completion; the same two",
            "max_tokens": "gen_ai.request.max_tokens; in the others a parameter of the request",
            "temperature": "gen_ai.request.temperature; in the others a parameter of the request",
            "sample_count": "gen_ai.request.choice.count; in the others n of the request",
            "top_logprobs": "a parameter of the request, where the dialect keeps them",
            "ip": "client.address",
            "country": "geo.country.iso_code",
            "user_agent": "user_agent.original",
            "tls_fingerprint": "tls.client.ja3",
            "status": "failure where the status is an error or error.type is set, else success",
        },
        lost={
            "spans of tools, agents, retrievers and other steps, embeddings, other spans and log records": "they "
            "are no request for text; they are counted by reason",
            "calls without their text, as of vLLM": "nothing of them can be compared; they are counted",
            "the second of a span and an event gen_ai.client.inference.operation.details with the same trace, span "
            "and response identifier": "they tell of one call: the first that is read counts, over all files of a "
            "log and over all that comes in live; the other is counted as told before",
            "log records of one message each (gen_ai.user.message, gen_ai.choice)": "before 1.37 a call was in "
            "pieces over several records and its model on the span; they are counted; opt in to the newer conventions",
            "service.name and other attributes of the program": "they are no users",
            "metrics and profiles": "they hold no text",
            "a second tracer of the same call, or the span of the gateway beside that of the client": "nothing says "
            "that they are one: such a call counts twice; keep one of the two in the log",
        },
        identity="a span names nobody unless the program or the gateway sets one of the attributes of account_id; a "
        "span without is rejected, and the reason says so. A user of an SDK stands for an account: give a mapping of "
        "identities from user.id to what is billed.",
        dialects={
            "OpenTelemetry GenAI, and OpenLLMetry": "gen_ai.operation.name is chat, text_completion or "
            "generate_content; gen_ai.*; also the event gen_ai.client.inference.operation.details",
            "OpenInference (Phoenix, Envoy AI Gateway)": "openinference.span.kind is LLM; llm.*, where it lacks "
            "input.value and output.value",
            "Langfuse": "langfuse.observation.type is generation; the SDK names the model that replied, and writes "
            "the API's usual temperature where none was asked for",
            "MLflow": "mlflow.spanType is CHAT_MODEL or LLM; its user is not exported: set user.id on the root span",
        },
    )

    def recognises(self, record: Mapping[str, Any]) -> bool:
        """Say whether the object is an export request of some signal."""
        return any(isinstance(record.get(name), list) for name in SIGNALS)

    def recognises_message(self, head: bytes) -> bool:
        """Say whether a message begins as an export request in protobuf does."""
        return is_export_request(head)

    def read(self, text: bytes) -> Reading:
        """Read one export request."""
        message = read_protobuf(text) if is_export_request(text) else read_json(text)
        reading = _Reading(Traces(message.items))
        for item in message.items:
            reading.add(item)
        reasons = [*message.rejected, *reading.rejected]
        skipped = (*message.skipped.elements(), *reading.skipped)
        if not (reading.exchanges or reasons or skipped):
            raise NotAnExchangeError("a request without spans or events")
        return Reading(
            reading.exchanges,
            tuple(reading.nulled),
            rejected=tuple(reasons),
            skipped=skipped,
            places=tuple(reading.places),
            calls=tuple(reading.calls),
        )


class _Reading:
    """The exchanges of one message."""

    def __init__(self, traces: Traces) -> None:
        self._traces = traces
        self.exchanges: list[StatedExchange] = []
        self.nulled: list[str] = []
        self.rejected: list[str] = []
        self.skipped: list[str] = []
        self.places: list[str] = []
        self.calls: list[int] = []

    def add(self, item: Telemetry) -> None:
        """Read one span or event; what is wrong with it does not cost the others."""
        try:
            call = self._call(item)
            exchange = None if call is None else self._exchange(item, call)
        except MalformedError as error:
            self.rejected.append(f"{item.place}: {error}")
        except RecursionError:
            self.rejected.append(f"{item.place}: nested too deeply")
        else:
            if exchange is not None:
                self.exchanges.append(exchange)
                self.places.append(item.place)
                self.calls.append(_number_of_call(item))

    def _call(self, item: Telemetry) -> Call | None:
        """Return the model call that an item tells of; anything else is counted."""
        kinds = [(dialect, kind) for dialect in DIALECTS if (kind := dialect.kind(item)) is not None]
        for dialect, kind in kinds:
            call = dialect.read(item) if kind == MODEL_CALL else None
            if call is not None:
                return call
        if any(kind == MODEL_CALL for _, kind in kinds):
            self.skipped.append(WITHOUT_TEXT)
        elif kinds:
            self.skipped.append(kinds[0][1])
        else:
            self.skipped.append(OTHER_SPAN if item.kind == "span" else OTHER_EVENT)
        return None

    def _exchange(self, item: Telemetry, call: Call) -> StatedExchange:
        said = item.attributes
        user = self._traces.user(item)
        if user is None:
            raise MalformedError(NOBODY)
        if call.model is None:
            raise MalformedError("the model is missing")
        if item.time is None:
            raise MalformedError("the time is missing")
        self.nulled += call.nulled
        return StatedExchange(
            exchange_id=_exchange_id(item),
            account_id=user,
            started_at=item.time,
            model=call.model,
            messages=list(call.messages),
            completion=call.completion,
            reasoning=call.reasoning,
            tools=call.tools,
            conversation_id=call.conversation_id or self._traces.session(item),
            ip=text_of(said.get("client.address")),
            country=text_of(said.get("geo.country.iso_code")),
            user_agent=text_of(said.get("user_agent.original")),
            tls_fingerprint=text_of(said.get("tls.client.ja3")),
            status="failure" if item.failed or said.get("error.type") else "success",
            **call.numbers,
        )


def _exchange_id(item: Telemetry) -> str:
    if item.trace_id and item.span_id:
        return f"{item.trace_id}-{item.span_id}"
    response = text_of(item.attributes.get("gen_ai.response.id"))
    return response or f"sha256:{hashlib.sha256(repr(item).encode(errors='replace')).hexdigest()[:32]}"


def _number_of_call(item: Telemetry) -> int:
    """Return the number that a span and an event of the same call share.

    A program without a span of its own notes the events of several calls inside of one span, so the response
    has its say.
    """
    names = (_exchange_id(item), text_of(item.attributes.get("gen_ai.response.id")) or "")
    digest = hashlib.blake2b("\0".join(names).encode(errors="replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big")


FORMAT = OTLP()
