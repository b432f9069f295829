"""Langfuse observations as its API gives them back: one a line, or a page of them a line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stillwatch.formats import About
from stillwatch.formats._decode import decode_object
from stillwatch.formats._stated import (
    MalformedError,
    NotAnExchangeError,
    Reading,
    StatedExchange,
    first_named,
)
from stillwatch.formats.otlp.dialect import MODEL_CALL, WITHOUT_TEXT, kind_named
from stillwatch.formats.otlp.langfuse import MODEL_CALLS, observed
from stillwatch.formats.otlp.payloads import mapping, structured

REQUIRED = ("id", "traceId", "type", "startTime")
NOBODY = "it has no userId; have the program set one, and ask the API for the basic fields"


class LangfuseObservations:
    """What ``GET /api/public/v2/observations`` answers, and its elements."""

    name = "langfuse"
    about = About(
        title="Langfuse observations (API)",
        needs="GET /api/public/v2/observations with fields=core,basic,time,io,model,usage and type=GENERATION; write "
        "each answer, or each element of its data, as one line. Spans that Langfuse's SDK exports are read as otlp",
        fields={
            "exchange_id": "traceId and id",
            "account_id": "userId",
            "started_at": "startTime",
            "model": "model, which is the one that replied where Langfuse's own client was used",
            "messages": "input: messages, a request's body, text, or any JSON as text",
            "completion": "output, alike",
            "reasoning": "output: reasoning_content, thinking blocks, reasoning summaries",
            "tools": "input.tools",
            "conversation_id": "sessionId",
            "input_tokens": "usageDetails.input, .prompt_tokens, .input_tokens",
            "output_tokens": "usageDetails.output, .completion_tokens, .output_tokens",
            "max_tokens": "modelParameters.max_completion_tokens, .max_output_tokens, .max_tokens",
            "temperature": "modelParameters.temperature",
            "sample_count": "modelParameters.n",
            "top_logprobs": "modelParameters.top_logprobs, .logprobs",
            "status": "failure where level is ERROR, else success",
        },
        lost={
            "observations that are no generation": "they are no request for text; they are counted by type",
            "generations without input and output": "nothing of them can be compared; they are counted",
            "metadata, tags, scores, costs": "names are the project's own",
            "projectId": "it is the operator's project, not a customer",
            "pictures": "Langfuse keeps them apart and puts a reference to them; equal pictures have equal ones",
        },
        identity="userId is the account; an observation without is rejected. Give a mapping of identities from userId "
        "to what is billed.",
    )

    def recognises(self, record: Mapping[str, Any]) -> bool:
        """Say whether the object is an observation, or a page of them."""
        page = record.get("data")
        if isinstance(page, list):
            return any(isinstance(item, Mapping) and self.recognises(item) for item in page[:1])
        return all(name in record for name in REQUIRED)

    def read(self, text: bytes) -> Reading:
        """Read one observation or one page."""
        record = decode_object(text)
        if isinstance(record.get("data"), list) and "traceId" not in record:
            return _read_page(record["data"])
        exchange, nulled = _read(record)
        return Reading([exchange], nulled)


def _read_page(page: list[Any]) -> Reading:
    """Read the observations of one answer; what is wrong with one does not cost the others."""
    exchanges: list[StatedExchange] = []
    nulled: list[str] = []
    rejected: list[str] = []
    skipped: list[str] = []
    places: list[str] = []
    for position, record in enumerate(page, start=1):
        place = f"observation {position}"
        try:
            if not isinstance(record, dict):
                raise MalformedError("not an object")
            exchange, odd = _read(record)
        except MalformedError as error:
            rejected.append(f"{place}: {error}")
        except RecursionError:
            rejected.append(f"{place}: nested too deeply")
        except NotAnExchangeError as error:
            skipped.append(str(error))
        else:
            exchanges.append(exchange)
            places.append(place)
            nulled += odd
    if not page:
        raise NotAnExchangeError("a page without observations")
    return Reading(
        exchanges, tuple(nulled), rejected=tuple(rejected), skipped=tuple(skipped), places=tuple(places)
    )


def _read(record: Mapping[str, Any]) -> tuple[StatedExchange, tuple[str, ...]]:
    for name in REQUIRED:
        if not isinstance(record.get(name), str):
            raise MalformedError(f"the field {name} is missing or no text")
    kind = kind_named(record["type"], MODEL_CALLS)
    if kind != MODEL_CALL:
        raise NotAnExchangeError(kind)
    call = observed(
        model=record.get("model"),
        asked=structured(record.get("input"), "input"),
        answered=structured(record.get("output"), "output"),
        parameters=mapping(record.get("modelParameters")),
        usage=mapping(record.get("usageDetails")),
    )
    if call is None:
        raise NotAnExchangeError(WITHOUT_TEXT)
    if call.model is None:
        raise MalformedError("the field model is missing")
    account = first_named(record.get("userId"))
    if account is None:
        raise MalformedError(NOBODY)
    exchange = StatedExchange(
        exchange_id=f"{record['traceId']}-{record['id']}",
        account_id=account,
        started_at=record["startTime"],
        model=call.model,
        messages=list(call.messages),
        completion=call.completion,
        reasoning=call.reasoning,
        tools=call.tools,
        conversation_id=first_named(record.get("sessionId")),
        status="failure" if record.get("level") == "ERROR" else "success",
        **call.numbers,
    )
    return exchange, call.nulled


FORMAT = LangfuseObservations()
