"""LiteLLM's table of spend, Helicone, Kong and SGLang: golden rows of their fixtures, and what each leaves out.

The table's rows were made by LiteLLM's own code (see scripts/record_fixtures); the others were written by hand
after the programs' documentation and source, since those do not run here.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stillwatch.formats import all_formats
from stillwatch.sources import read_body

FIXTURES = Path(__file__).parent / "fixtures"
NAMES = ("litellm-spend-logs", "helicone", "kong", "sglang")
RECORDS: dict[str, list[dict[str, Any]]] = {
    name: [json.loads(line) for line in (FIXTURES / f"{name}.jsonl").read_bytes().splitlines()]
    for name in NAMES
}


def read(name: str, *records: dict[str, Any]) -> Any:
    return read_body(all_formats()[name], json.dumps(list(records)).encode())  # type: ignore[arg-type]


def row_of(name: str, record: dict[str, Any]) -> dict[str, Any]:
    (row,) = read(name, record).batch.to_pylist()
    return {column: value for column, value in row.items() if value is not None}


def turns(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in row["messages"]]


def without_texts(row: dict[str, Any]) -> dict[str, Any]:
    shown = {name: value for name, value in row.items() if name not in ("messages", "tools")}
    return shown | {"started_at": row["started_at"].isoformat()}


def test_a_row_of_spend() -> None:
    row = row_of("litellm-spend-logs", RECORDS["litellm-spend-logs"][0])
    key = RECORDS["litellm-spend-logs"][0]["api_key"]
    assert turns(row) == [("system", "Be brief."), ("user", "Oulu in winter?")]
    assert without_texts(row) == {
        "exchange_id": "chatcmpl-0", "account_id": key, "organization_id": "team-1", "end_user_id": "u-1",
        "started_at": "2026-02-01T10:00:00+00:00", "model": "frontier-large", "completion": "Cold and dark.",
        "conversation_id": "session-0", "input_tokens": 10, "output_tokens": 20, "max_tokens": 50,
        "temperature": 0.2, "ip": "192.0.2.9", "status": "success",
    }  # fmt: skip


def test_rows_of_spend_with_tools_a_failure_and_json_columns_as_text() -> None:
    _, tools, _, failure = RECORDS["litellm-spend-logs"]
    row = row_of("litellm-spend-logs", tools)
    assert turns(row)[1:] == [("assistant", 'weather({"town":"Oulu"})'), ("tool", "minus 4")]
    assert len(row["tools"]) == 1
    assert row_of("litellm-spend-logs", failure)["status"] == "failure"
    columns = ("metadata", "messages", "response", "proxy_server_request")
    packed = {**tools, **{name: json.dumps(tools[name]) for name in columns}}
    assert row_of("litellm-spend-logs", packed) == row


def test_rows_of_spend_that_are_no_exchange_or_hold_no_prompt() -> None:
    good, *_ = RECORDS["litellm-spend-logs"]
    refused = {"error_information": {"error_code": "401"}}
    piece = read(
        "litellm-spend-logs",
        {**good, "call_type": "aembedding"},
        {**good, "status": "failure", "metadata": refused},
        {**good, "proxy_server_request": {}, "messages": "{}"},
        {**good, "proxy_server_request": {}, "messages": json.dumps([{"role": "user", "content": "Spoken"}])},
    )
    assert piece.skipped == {"a call that asks for no text": 1, "a caller without a valid key": 1}
    ((row, reason),) = piece.rejected
    assert (row, "set store_prompts_in_spend_logs" in reason) == (3, True)
    assert piece.batch["messages"].to_pylist() == [[{"role": "user", "content": "Spoken"}]]


def test_helicones_export() -> None:
    row = row_of("helicone", RECORDS["helicone"][0])
    assert turns(row) == [("system", "Be brief."), ("user", "What is this?\n[media:sha256:10a7227ade22bb00]")]
    assert without_texts(row) == {
        "exchange_id": "6d9f6d6e-0001", "account_id": "vk-acme", "end_user_id": "u-1", "country": "FI",
        "started_at": "2026-02-01T10:00:00.500000+00:00", "model": "gpt-x", "completion": "One pixel.",
        "conversation_id": "s-77", "input_tokens": 20, "output_tokens": 9, "max_tokens": 50, "temperature": 0.2,
        "status": "success",
    }  # fmt: skip


def test_helicones_bodies_of_another_api_and_rows_of_its_table() -> None:
    _, anthropic, table, _ = RECORDS["helicone"]
    row = row_of("helicone", anthropic)
    assert turns(row)[-1] == ("assistant", "It is")
    assert (row["completion"], row["reasoning"], row["end_user_id"]) == (" 42.", "Six sevens.", "u-9")
    row = row_of("helicone", table)
    assert (row["account_id"], row["end_user_id"], row["status"]) == ("5c1b0f3e-org", "u-3", "failure")
    assert turns(row) == [("system", "Be kind."), ("user", "Hello")]


def test_helicones_requests_without_bodies_say_how_to_export_them() -> None:
    good = RECORDS["helicone"][0]
    piece = read(
        "helicone", {**good, "request_body": None}, {**good, "response_body": "data: {}\n\ndata: [DONE]"}
    )
    assert piece.rejected == ((1, "the field request_body is missing; export with --include-body"),)
    assert piece.batch["completion"].to_pylist() == [None]


def test_kongs_entries() -> None:
    row = row_of("kong", RECORDS["kong"][0])
    assert turns(row) == [("system", "Be brief."), ("user", "Weather in Oulu?")]
    assert row["tools"] == ['{"function":{"name":"weather"},"type":"function"}']
    assert without_texts(row) == {
        "exchange_id": "9ec9264afbbbad5fe5c64877d92eeb04", "account_id": "c-acme", "model": "gpt-x",
        "started_at": "2026-02-01T10:00:00+00:00", "completion": 'weather({"town":"Oulu"})', "input_tokens": 20,
        "output_tokens": 9, "temperature": 0.2, "ip": "192.0.2.9", "user_agent": "OpenAI/Python 3.57.0",
        "status": "success",
    }  # fmt: skip


def test_kongs_older_entries_and_its_failures() -> None:
    _, older, _, failure = RECORDS["kong"]
    row = row_of("kong", older)
    assert (row["account_id"], row["end_user_id"], row["completion"]) == ("key-7", "u-2", "Hello.")
    assert (row["input_tokens"], row["output_tokens"]) == (3, 2)
    row = row_of("kong", failure)
    assert (row["status"], turns(row)) == ("failure", [("system", "Be kind."), ("user", "Hello")])


def test_kongs_entries_without_payloads_or_accounts_are_rejected_with_the_cause() -> None:
    good = RECORDS["kong"][0]
    bare = {"proxy": {name: good["ai"]["proxy"][name] for name in ("meta", "usage")}}
    piece = read(
        "kong", {**good, "ai": bare}, {**good, "consumer": None}, {**good, "ai": 7}, RECORDS["kong"][2]
    )
    assert piece.rejected == (
        (1, "ai.*.payload.request is missing; set config.logging.log_payloads of the AI plugin"),
        (2, "account_id is missing or empty"),
        (3, "the field ai has a wrong type"),
    )
    assert piece.skipped == {"a request that no AI proxy forwarded": 1}


def test_sglangs_events() -> None:
    row = row_of("sglang", RECORDS["sglang"][1])
    assert turns(row)[0][1].startswith("<|im_start|>system\nBe brief.")
    assert without_texts(row) == {
        "exchange_id": "a1", "account_id": "acme", "end_user_id": "u-1", "model": "sglang",
        "started_at": "2026-02-01T10:00:00+00:00", "completion": "42.", "reasoning": "Six sevens.",
        "input_tokens": 24, "output_tokens": 12, "max_tokens": 512, "temperature": 0.6, "sample_count": 1,
        "top_logprobs": 0, "status": "success",
    }  # fmt: skip


def test_sglangs_media_sessions_and_aborted_requests() -> None:
    _, _, picture, aborted, _ = RECORDS["sglang"]
    row = row_of("sglang", picture)
    assert turns(row)[0][1].endswith("[media:sha256:10a7227ade22bb00]")
    assert (row["conversation_id"], row["top_logprobs"], "end_user_id" in row) == ("conv-2", 5, False)
    row = row_of("sglang", aborted)
    assert (row["account_id"], row["model"], row["status"]) == ("initech", "tales", "failure")
    assert "completion" not in row


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"obj": {"text": None}}, "obj.text is missing; log with --log-requests-level 3"),
        ({"timestamp": None}, "the field timestamp is missing"),
        ({"rid": None}, "the field rid is missing"),
        ({"event": "request.lost"}, "the field event is missing or not of this log"),
        ({"obj": {"text": "x"}}, "account_id is missing or empty"),
    ],
)
def test_sglangs_events_that_lack_something_say_what(change: dict[str, Any], reason: str) -> None:
    assert read("sglang", {**RECORDS["sglang"][1], **change}).rejected == ((1, reason),)


@pytest.mark.parametrize("length", [float("nan"), -1, True, "x", 1e300])
def test_a_nonsense_length_of_a_request_leaves_its_end_as_its_time(length: object) -> None:
    record = json.loads(json.dumps(RECORDS["sglang"][1]))
    record["out"]["meta_info"]["e2e_latency"] = length
    assert row_of("sglang", record)["started_at"].isoformat() == "2026-02-01T10:00:01.500000+00:00"


@pytest.mark.parametrize(
    ("name", "field"), [("litellm-spend-logs", "request_id"), ("helicone", "request_id")]
)
def test_an_empty_name_of_an_exchange_is_a_reject(name: str, field: str) -> None:
    piece = read(name, {**RECORDS[name][0], field: "", "response": {}, "response_body": {}})
    assert piece.rejected == ((1, "exchange_id is missing or empty"),)


def test_what_each_log_leaves_out_is_counted() -> None:
    skipped = {name: dict(read(name, *RECORDS[name]).skipped) for name in NAMES}
    assert skipped == {
        "litellm-spend-logs": {},
        "helicone": {"a call that asks for no text": 1},
        "kong": {"a request that no AI proxy forwarded": 1},
        "sglang": {
            "a request on arrival: the line of its finish is read": 1,
            "a health check or a call that asks for no text": 1,
        },
    }
