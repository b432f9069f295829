"""Anthropic's Messages, as its own client sent them (see scripts/record_fixtures)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from stillwatch.formats import line_formats
from stillwatch.formats.anthropic import FORMAT
from stillwatch.identities import read_identities
from stillwatch.sources import read_body

LINES = (Path(__file__).parent / "fixtures" / "anthropic.jsonl").read_bytes().splitlines()
PICTURE = "[media:sha256:25134bdc72c5e564]"


def row_of(record: bytes | dict[str, Any]) -> dict[str, Any]:
    text = record if isinstance(record, bytes) else json.dumps(record).encode()
    (row,) = read_body(FORMAT, text).batch.to_pylist()
    return row


def turns(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in row["messages"]]


def test_thinking_is_reasoning_and_what_is_encrypted_is_nothing() -> None:
    row = row_of(LINES[0])
    assert turns(row) == [("system", "Be brief."), ("user", "Six by seven?")]
    assert (row["completion"], row["reasoning"]) == ("42.", "Six sevens.")
    assert (row["exchange_id"], row["account_id"], row["end_user_id"]) == ("msg_0", "globex", "u-9")
    # Tokens read from the cache are billed beside the others.
    assert (row["input_tokens"], row["output_tokens"], row["max_tokens"]) == (112, 9, 2048)
    assert (row["model"], row["status"]) == ("claude-x", "success")
    assert row["user_agent"].startswith("Anthropic/Python")


def test_blocks_of_system_tools_documents_and_results() -> None:
    row = row_of(LINES[1])
    assert turns(row) == [
        ("system", "Be brief.\nUse the tool."),
        ("user", "Oulu: minus 4.\nIs it cold there?"),
        ("assistant", 'I look.\nweather({"town":"Oulu"})'),
        ("tool", f"minus 4\n{PICTURE}"),
    ]
    assert [json.loads(tool)["name"] for tool in row["tools"]] == ["weather"]


def test_an_opening_of_the_reply_is_kept_as_the_callers() -> None:
    row = row_of(LINES[2])
    assert turns(row) == [("user", "As JSON, please."), ("assistant", '{"celsius":')]
    assert row["completion"] == ' "minus 4"}'


def test_a_failure_keeps_its_status() -> None:
    row = row_of(LINES[3])
    assert (row["status"], row["completion"]) == ("failure", None)
    assert turns(row) == [("system", "Be kind."), ("user", "Hello")]


def test_tools_of_the_provider_and_their_results() -> None:
    found = {
        "type": "web_search_result",
        "url": "https://example.org",
        "title": "t",
        "encrypted_content": "x",
    }
    content = [
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"query": "oulu"}},
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": [found]},
        {"type": "bash_code_execution_tool_result", "tool_use_id": "b",
         "content": {"type": "bash_code_execution_result", "stdout": "4", "stderr": "", "return_code": 0}},
        {"type": "text", "text": "Cold."},
    ]  # fmt: skip
    record = json.loads(LINES[2])
    record["response"]["content"] = content
    call, result, ran, said = row_of(record)["completion"].split("\n")
    assert (call, ran, said) == ('web_search({"query":"oulu"})', "4", "Cold.")
    assert result.startswith("[media:")


def test_a_search_result_of_the_caller_is_text() -> None:
    block = {
        "type": "search_result",
        "source": "s",
        "title": "t",
        "content": [{"type": "text", "text": "minus 4"}],
    }
    record = json.loads(LINES[2])
    record["request"]["messages"] = [{"role": "user", "content": [block]}]
    assert turns(row_of(record)) == [("user", "minus 4")]


def test_bodies_hold_no_time_and_no_account(tmp_path: Path) -> None:
    body = json.loads(LINES[0])["request"]
    piece = read_body(FORMAT, json.dumps(body).encode())
    assert piece.rejected == ((1, "started_at or time is missing beside the bodies: Anthropic's hold none"),)
    (tmp_path / "who.csv").write_text("key,account_id\nu-9,globex\n")
    text = json.dumps({**body, "time": 1769940000}).encode()
    assert read_body(FORMAT, text).rejected == ((1, "account_id is missing or empty"),)
    (row,) = read_body(FORMAT, text, read_identities(tmp_path / "who.csv").complete).batch.to_pylist()
    assert (row["account_id"], row["end_user_id"]) == ("globex", "u-9")


@pytest.mark.parametrize(
    ("request_", "response", "name"),
    [
        ({"messages": []}, {"type": "message", "content": []}, "anthropic"),
        ({"messages": [], "system": "s"}, None, "anthropic"),
        ({"messages": [], "tools": [{"name": "w", "input_schema": {}}]}, None, "anthropic"),
        ({"messages": []}, {"type": "error", "error": {}}, "anthropic"),
        ({"messages": []}, None, "openai"),
        ({"messages": [], "system": "s"}, {"choices": []}, "openai"),
        ({"input": "x"}, {"object": "response", "output": []}, "openai"),
        ({"messages": [], "metadata": {"user_id": "theirs"}}, None, "openai"),
    ],
)
def test_one_of_the_two_apis_recognises_a_pair(request_: dict[str, Any], response: object, name: str) -> None:
    record = {"request": {"model": "m", **request_}, "response": response}
    assert [found.name for found in line_formats() if found.recognises(record)] == [name]
