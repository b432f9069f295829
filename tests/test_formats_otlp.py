"""OpenTelemetry in its dialects, as their own tracers wrote them (see scripts/record_otel_fixtures)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from stillwatch.formats import Piece
from stillwatch.formats._told import TOLD
from stillwatch.formats.otlp import FORMAT
from stillwatch.formats.otlp.dialect import (
    AGENT,
    EMBEDDING,
    OTHER_SPAN,
    OTHER_STEP,
    TOOL,
    WITHOUT_TEXT,
)
from stillwatch.formats.otlp.identity import NOBODY
from stillwatch.identities import read_identities
from stillwatch.rejects import EmptyLogError, RejectLog
from stillwatch.sources import open_log, read_body
from tests.otlp_requests import as_json, as_protobuf, chat, item, only, said

RECORDED = Path(__file__).parent / "fixtures" / "otlp"
DIALECTS = ("genai", "openllmetry", "openinference", "langfuse", "mlflow")
QUESTION = {"role": "user", "content": "What is the weather in Oulu?"}
ANSWER = "Cold: minus four degrees, with snow."
CALL = 'weather({"town":"Oulu"})'


def read(*names: str) -> tuple[list[dict[str, Any]], RejectLog]:
    rejects = RejectLog(None, limit=1.0)
    paths = [RECORDED / name for name in names]
    rows = [row for batch in open_log(paths, rejects=rejects) for row in batch.to_pylist()]
    return sorted(rows, key=lambda row: row["started_at"]), rejects


def rows(piece: Piece) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = piece.batch.to_pylist()
    return found


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_recorded_dialect_tells_of_the_same_seven_calls(dialect: str) -> None:
    found, rejects = read(f"{dialect}-traces.pb")
    assert [row["account_id"] for row in found] == ["u-1"] * 3 + ["u-2"] * 4
    assert [row["conversation_id"] for row in found] == ["s-1"] * 3 + ["s-2"] * 4
    plain, called, told, picture, stream, response, failure = found
    assert plain["messages"] == [{"role": "system", "content": "Be brief."}, QUESTION]
    assert plain["completion"] == f"{ANSWER}\n{ANSWER}"
    assert (plain["temperature"], plain["max_tokens"]) == (0.2, 50)
    assert plain["sample_count"] == (None if dialect == "openllmetry" else 2)
    assert (called["messages"], called["completion"]) == ([QUESTION], CALL)
    assert "Weather of a town" in called["tools"][0]
    turns = [("assistant", CALL), ("tool", "minus 4, snow")]
    assert said(told) == [("user", QUESTION["content"]), *turns]
    # OpenLLMetry uploads pictures, and leaves the prompt out where it cannot.
    seen = [] if dialect == "openllmetry" else ["What is in this picture?"]
    assert [message["content"].split("\n[media:sha256:")[0] for message in picture["messages"]] == seen
    assert stream["completion"] == ANSWER.replace(": ", ":")
    assert said(response) == [("system", "Be brief."), ("user", "Six by seven?")]
    assert (response["completion"], response["max_tokens"]) == (ANSWER, 64)
    # Its instrumentation of Responses leaves reasoning out.
    assert ("Winter, so below zero." in (response["reasoning"] or "")) == (dialect != "genai")
    assert all(row["status"] == "success" for row in found[:-1])
    assert (failure["status"], failure["model"], failure["completion"]) == ("failure", "frontier-busy", None)
    replied = "-2026-01" if dialect == "langfuse" else ""
    assert [row["model"] for row in found[:4]] == [f"frontier-large{replied}"] * 3 + [
        f"frontier-small{replied}"
    ]
    assert all((row["input_tokens"], row["output_tokens"]) == (21, 9) for row in found[:-1])
    assert rejects.rejected == 1  # the call that names nobody
    assert rejects.skipped[EMBEDDING] == 1
    steps = {"langfuse": {TOOL: 1}, "mlflow": {OTHER_STEP: 3}}.get(dialect, {OTHER_SPAN: 1})
    assert dict(rejects.skipped) == {EMBEDDING: 1, **steps}


@pytest.mark.parametrize("dialect", DIALECTS)
def test_json_and_protobuf_of_two_exporters_give_equal_exchanges(dialect: str) -> None:
    from_json, _ = read(f"{dialect}-traces.jsonl")
    from_protobuf, _ = read(f"{dialect}-traces.pb")
    assert from_json == from_protobuf
    assert from_json


def test_an_event_tells_what_its_span_tells() -> None:
    spans, _ = read("genai-traces.pb")
    events, rejects = read("genai-logs.pb")
    assert events == read("genai-logs.jsonl")[0]
    unlike = {"started_at", "status"}
    for span, event in zip(spans, events, strict=True):
        assert {name for name in span if span[name] != event[name]} <= unlike
        assert span["started_at"] < event["started_at"]
        assert span["status"] == event["status"]
    assert rejects.rejected == 1


@pytest.mark.parametrize(
    "order", [("genai-traces.pb", "genai-logs.pb"), ("genai-logs.jsonl", "genai-traces.jsonl")]
)
def test_a_span_and_an_event_of_the_same_call_count_once(order: tuple[str, str]) -> None:
    found, rejects = read(*order)
    assert len(found) == 7
    assert rejects.skipped[TOLD] == 7
    assert len({row["exchange_id"] for row in found}) == 7


def test_a_span_that_was_sent_again_counts_once() -> None:
    found, rejects = read("openinference-traces.pb", "openinference-traces.jsonl")
    assert (len(found), rejects.skipped[TOLD]) == (7, 7)


def test_two_calls_inside_of_one_span_are_two() -> None:
    def event(response: str) -> dict[str, Any]:
        attributes = {**chat()["attributes"], "gen_ai.response.id": response}
        return item(attributes, event="gen_ai.client.inference.operation.details")

    body = as_json([event("r-1"), event("r-2"), event("r-1")])
    piece = read_body(FORMAT, body)
    assert len(piece.batch) == 2
    assert piece.skipped == {TOLD: 1}


def test_a_rejected_span_does_not_stand_for_its_event() -> None:
    nameless = read_body(FORMAT, b"[%b, %b]" % (as_json([chat(user=None)]), as_json([chat()])))
    assert len(nameless.batch) == 1
    assert [row for row, _ in nameless.rejected] == [1]


def test_calls_without_their_text_are_counted_and_the_error_says_so() -> None:
    with pytest.raises(EmptyLogError, match=rf"holds no exchange but 10 records .* \({WITHOUT_TEXT}: 8\)"):
        read("silent-traces.pb")


def test_vllm_keeps_no_text() -> None:
    attributes = {"gen_ai.response.model": "m", "gen_ai.usage.prompt_tokens": 9, "gen_ai.request.id": "r"}
    assert read_body(FORMAT, as_json([item(attributes)])).skipped == {WITHOUT_TEXT: 1}


def test_who_is_named_nowhere_is_rejected_with_the_remedy() -> None:
    body = as_json([chat(), chat(user=None, number=2)], {"service.name": "shop", "service.instance.id": "1"})
    piece = read_body(FORMAT, body)
    assert len(piece.batch) == 1
    assert piece.rejected == ((1, f"span 2: {NOBODY}"),)
    assert NOBODY == (
        "it names no user: none of user.id, user.hash, enduser.id, enduser.pseudo.id is on it, its trace or its "
        "resource; have the program or the gateway set one"
    )


@pytest.mark.parametrize(
    "name", ["user.id", "user.hash", "enduser.id", "enduser.pseudo.id", "langfuse.user.id"]
)
def test_a_user_is_named_on_the_span_or_the_resource(name: str) -> None:
    call = chat(user=None)
    on_resource = read_body(FORMAT, as_protobuf([call], {name: "u-9"}))
    call["attributes"][name] = "u-8"
    on_span = read_body(FORMAT, as_protobuf([call], {name: "u-9"}))
    assert [rows(piece)[0]["account_id"] for piece in (on_resource, on_span)] == ["u-9", "u-8"]


def test_a_trace_lends_its_user_and_session_unless_it_names_two() -> None:
    def within(trace: int, number: int, **attributes: Any) -> dict[str, Any]:
        call = chat(user=None, number=number)
        return {**call, "trace": f"{trace:032x}", "attributes": {**call["attributes"], **attributes}}

    root = {**item({"user.id": '"u-1"', "session.id": "s-1"}, 9), "trace": f"{1:032x}"}
    first, second = {"user.id": "u-2"}, {"user.id": "u-3"}
    spans = [within(1, 2), root, within(2, 3), within(2, 4, **first), within(2, 5, **second)]
    piece = read_body(FORMAT, as_json(spans))
    assert [(row["account_id"], row["conversation_id"]) for row in rows(piece)] == [
        ("u-1", "s-1"),
        ("u-2", None),
        ("u-3", None),
    ]
    assert piece.rejected == ((1, f"span 3: {NOBODY}"),)


def test_a_mapping_says_whom_a_user_belongs_to(tmp_path: Path) -> None:
    (tmp_path / "who.csv").write_text("key,account_id,end_user_id\nu-1,acme,u-1\n")
    piece = read_body(FORMAT, as_json([chat()]), read_identities(tmp_path / "who.csv").complete)
    assert [(row["account_id"], row["end_user_id"]) for row in rows(piece)] == [("acme", "u-1")]


@pytest.mark.parametrize(
    ("attributes", "reason"),
    [
        ({"gen_ai.operation.name": "execute_tool"}, TOOL),
        ({"gen_ai.operation.name": "invoke_agent", "gen_ai.input.messages": "[]"}, AGENT),
        ({"gen_ai.operation.name": "embeddings"}, EMBEDDING),
        ({"gen_ai.operation.name": "of another day"}, OTHER_STEP),
        ({"openinference.span.kind": "CHAIN", "input.value": "x"}, AGENT),
        ({"langfuse.observation.type": "guardrail"}, OTHER_STEP),
        ({"mlflow.spanType": '"AGENT"', "mlflow.spanInputs": "{}"}, AGENT),
        ({"http.request.method": "POST"}, OTHER_SPAN),
    ],
)
def test_what_is_no_model_call_is_counted_by_reason(attributes: dict[str, Any], reason: str) -> None:
    for encode in (as_json, as_protobuf):
        piece = read_body(FORMAT, encode([item({"user.id": "u", **attributes})]))
        assert (piece.skipped, piece.rejected, len(piece.batch)) == ({reason: 1}, (), 0)


def test_the_first_dialect_that_has_the_text_tells_of_it() -> None:
    both = {
        "gen_ai.operation.name": "chat",
        "gen_ai.request.model": "m",
        "langfuse.observation.type": "generation",
        "langfuse.observation.model.name": "m-1",
        "langfuse.observation.input": "Hello",
    }
    assert only(both)["model"] == "m-1"


def test_messages_that_the_length_limit_cut_are_named() -> None:
    call = chat("A long question")
    call["attributes"]["gen_ai.input.messages"] = call["attributes"]["gen_ai.input.messages"][:-20]
    piece = read_body(FORMAT, as_json([call]))
    assert piece.rejected == (
        (1, "span 1: gen_ai.input.messages is cut off; the program limits the length of attributes"),
    )


def test_odd_json_in_an_attribute_is_mended() -> None:
    call = chat()
    text = '[{"role": "user", "parts": [{"type": "text", "content": "cut \\ud83d", "weight": NaN}]}]'
    call["attributes"]["gen_ai.input.messages"] = text
    (row,) = rows(read_body(FORMAT, as_protobuf([call])))
    assert said(row) == [("user", "cut \ufffd")]


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_reason_never_holds_text_of_a_span(dialect: str) -> None:
    secret = "hunter2"
    request = json.loads((RECORDED / f"{dialect}-traces.jsonl").read_bytes().splitlines()[0])
    (spans,) = (scope["spans"] for scope in request["resourceSpans"][0]["scopeSpans"][:1])
    reasons: set[str] = set()
    for span in spans[:3]:
        for pair in span["attributes"]:
            kept = pair["value"]
            odd = [
                {"stringValue": text} for text in (secret, f'[{{"role": "{secret}"}}]', f'{{"{secret}": [')
            ]
            for pair["value"] in [*odd, {secret: secret}, secret, {"arrayValue": {"values": odd}}]:
                piece = read_body(FORMAT, json.dumps(request).encode())
                reasons |= {reason for _, reason in piece.rejected} | {*piece.skipped, *piece.nulled}
            pair["value"] = kept
    assert len(reasons) > 3
    assert not [reason for reason in reasons if secret in reason]


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"gen_ai.request.model": None}, "the model is missing"),
        ({"gen_ai.input.messages": '[{"parts": []}]'}, "a message has no role"),
        ({"gen_ai.input.messages": '[{"role": "wizard", "parts": []}]'}, "a message has an unknown role"),
        ({"gen_ai.input.messages": "[" * 5_000 + "]" * 5_000}, "nested too deeply"),
        ({"gen_ai.output.messages": '[{"parts": []}, 7]'}, "a message of the reply has no parts"),
    ],
)
def test_a_reject_names_the_span_and_costs_no_other(change: dict[str, Any], reason: str) -> None:
    broken = chat(number=2)
    broken["attributes"].update(change)
    for encode in (as_json, as_protobuf):
        piece = read_body(FORMAT, encode([chat(), broken, chat(number=3)]))
        assert len(piece.batch) == 2
        ((row, text),) = piece.rejected
        assert row == 1
        assert text.startswith(f"span 2: {reason}")


def test_a_wrong_value_of_a_number_is_null_and_counted() -> None:
    call = chat(**{"gen_ai.request.temperature": "hot", "gen_ai.usage.input_tokens": -1})
    piece = read_body(FORMAT, as_json([call]))
    assert piece.nulled == {"temperature": 1, "input_tokens": 1}
    assert pa.compute.sum(piece.batch["input_tokens"]).as_py() is None
