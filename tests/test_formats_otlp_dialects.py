"""What each dialect of OpenTelemetry writes in its own way: parts, older forms, hidden text, whole bodies."""

from __future__ import annotations

import json

import pytest

from stillwatch.formats.otlp import FORMAT
from stillwatch.formats.otlp.dialect import PIECE, WITHOUT_TEXT
from stillwatch.sources import read_body
from tests.otlp_requests import as_json, as_protobuf, item, only, said

CALL = 'weather({"town":"Oulu"})'


def test_parts_of_every_kind() -> None:
    pixel = b"\x89PNG"
    parts = [
        {"type": "text", "content": "Look"},
        {"type": "blob", "modality": "image", "content": pixel},
        {"type": "uri", "uri": "https://example.com/a.png"},
        {"type": "file", "file_id": "f-1"},
        {"type": "reasoning", "content": "hidden"},
        {"type": "compaction", "id": "c"},
    ]
    turns = [
        {"role": "user", "parts": parts},
        {
            "role": "assistant",
            "parts": [{"type": "server_tool_call", "name": "search", "server_tool_call": {"q": "x"}}],
        },
        {"role": "user", "parts": [{"type": "tool_call_response", "response": {"b": 1, "a": 2}}]},
    ]
    details = item(
        {
            "user.id": "u",
            "gen_ai.operation.name": "chat",
            "gen_ai.request.model": "m",
            "gen_ai.input.messages": turns,
            "gen_ai.output.messages": [
                {
                    "role": "assistant",
                    "parts": [{"type": "reasoning", "content": "why"}, {"type": "text", "content": "so"}],
                }
            ],
        },
        event="gen_ai.client.inference.operation.details",
    )
    piece = read_body(FORMAT, as_protobuf([details]))
    assert piece.batch.equals(read_body(FORMAT, as_json([details])).batch)
    (row,) = piece.batch.to_pylist()
    look, call, result = said(row)
    assert look[0] == "user"
    assert look[1].split("\n")[0] == "Look"
    assert look[1].count("[media:sha256:") == 3
    assert "hidden" not in look[1]
    assert call == ("assistant", 'search({"q":"x"})')
    assert result == ("tool", '{"a":2,"b":1}')
    assert (row["completion"], row["reasoning"]) == ("so", "why")


OLDER = {
    "JSON in two attributes": {
        "gen_ai.prompt": json.dumps([{"role": "user", "content": "Hi"}]),
        "gen_ai.completion": json.dumps([{"role": "assistant", "content": "Ho"}]),
    },
    "an attribute a field": {
        "gen_ai.prompt.0.role": "user",
        "gen_ai.prompt.0.content": "Hi",
        "gen_ai.completion.0.role": "assistant",
        "gen_ai.completion.0.content": "Ho",
    },
    "plain text": {"gen_ai.prompt": "Hi", "gen_ai.completion": "Ho"},
}


@pytest.mark.parametrize("name", OLDER)
def test_older_attributes(name: str) -> None:
    row = only({"gen_ai.system": "openai", "gen_ai.request.model": "m", **OLDER[name]})
    assert (said(row), row["completion"]) == ([("user", "Hi")], "Ho")


def test_older_attributes_of_a_tool_call() -> None:
    row = only(
        {
            "gen_ai.request.model": "m",
            "gen_ai.prompt.0.role": "assistant",
            "gen_ai.prompt.0.tool_calls.0.name": "weather",
            "gen_ai.prompt.0.tool_calls.0.arguments": '{"town": "Oulu"}',
            "gen_ai.completion.0.content": "Ho",
            "gen_ai.usage.prompt_tokens": 3,
            "gen_ai.usage.completion_tokens": 4,
        }
    )
    assert said(row) == [("assistant", CALL)]
    assert (row["input_tokens"], row["output_tokens"]) == (3, 4)


@pytest.mark.parametrize(
    "events",
    [
        [
            ("gen_ai.content.prompt", {"gen_ai.prompt": '[{"role": "user", "content": "Hi"}]'}),
            ("gen_ai.content.completion", {"gen_ai.completion": "Ho"}),
        ],
        [
            ("gen_ai.user.message", {"gen_ai.event.content": '{"content": "Hi"}'}),
            ("gen_ai.choice", {"gen_ai.event.content": '{"index": 0, "message": {"content": "Ho"}}'}),
        ],
    ],
)
def test_older_events_inside_of_a_span(events: list[tuple[str, dict[str, str]]]) -> None:
    row = only({"gen_ai.system": "az.ai.inference", "gen_ai.request.model": "m"}, events=events)
    assert (said(row), row["completion"]) == ([("user", "Hi")], "Ho")


def test_older_log_records_of_one_message_each_are_counted() -> None:
    records = [
        item({"gen_ai.system": "openai"}, event=f"gen_ai.{name}") for name in ("user.message", "choice")
    ]
    assert read_body(FORMAT, as_json(records)).skipped == {PIECE: 2}
    assert read_body(FORMAT, as_protobuf(records)).skipped == {PIECE: 2}


def test_openinference_that_hides_its_text_has_none() -> None:
    base = {"openinference.span.kind": "LLM", "llm.model_name": "m", "user.id": "u"}
    hidden = {**base, "input.value": "__REDACTED__", "output.value": "__REDACTED__"}
    assert read_body(FORMAT, as_json([item(hidden)])).skipped == {WITHOUT_TEXT: 1}
    half = {
        **base,
        "llm.input_messages.0.message.role": "user",
        "llm.input_messages.0.message.content": "__REDACTED__",
        "llm.output_messages.0.message.content": "Ho",
    }
    row = only(half)
    assert (said(row), row["completion"]) == ([("user", "")], "Ho")


def test_openinference_of_a_gateway_that_writes_bodies_alone() -> None:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}]}
    reply = {"choices": [{"message": {"role": "assistant", "content": "Ho"}}]}
    row = only(
        {
            "openinference.span.kind": "LLM",
            "llm.model_name": "m",
            "llm.invocation_parameters": '{"model": "m", "temperature": 0.5, "max_tokens": "many"}',
            "input.value": json.dumps(body),
            "output.value": json.dumps(reply),
        }
    )
    assert (said(row), row["completion"], row["temperature"]) == ([("user", "Hi")], "Ho", 0.5)


def test_mlflow_of_langchain_and_of_any_function() -> None:
    turns = [[{"type": "system", "content": "Be brief."}, {"type": "human", "content": "Hi"}]]
    row = only(
        {"mlflow.spanType": '"CHAT_MODEL"', "mlflow.llm.model": '"m"', "mlflow.spanInputs": json.dumps(turns)}
    )
    assert said(row) == [("system", "Be brief."), ("user", "Hi")]
    row = only(
        {
            "mlflow.spanType": '"LLM"',
            "mlflow.llm.model": '"m"',
            "mlflow.spanInputs": '{"question": "why?"}',
            "mlflow.spanOutputs": '"because"',
        }
    )
    assert (said(row), row["completion"]) == ([("user", '{"question":"why?"}')], "because")
