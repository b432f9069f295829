from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from stillwatch.formats.openai import FORMAT
from stillwatch.identities import read_identities
from stillwatch.sources import read_body

LINES = (Path(__file__).parent / "fixtures" / "openai.jsonl").read_bytes().splitlines()


def rows(line: bytes) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = read_body(FORMAT, line).batch.to_pylist()
    return found


def recorded(number: int) -> dict[str, Any]:
    """The row of one line of what the openai client sent (see scripts/record_fixtures)."""
    (row,) = rows(LINES[number])
    return row


def turns(row: dict[str, Any]) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in row["messages"]]


PICTURE = "[media:sha256:25134bdc72c5e564]"


def test_a_chat_completion() -> None:
    row = recorded(0)
    assert turns(row) == [("system", "Be brief."), ("user", "Oulu in winter?")]
    assert (row["completion"], row["reasoning"], row["exchange_id"]) == ("Cold and dark.", None, "chatcmpl-0")
    assert row["started_at"].isoformat() == "2026-02-01T10:00:00+00:00"
    assert (row["account_id"], row["end_user_id"], row["model"]) == ("acme", "s-1", "gpt-x")
    assert (row["temperature"], row["max_tokens"]) == (0.2, 50)
    assert (row["input_tokens"], row["output_tokens"], row["status"]) == (20, 5, "success")
    assert row["user_agent"].startswith("OpenAI/Python")


def test_a_chat_completion_with_tools_media_and_several_samples() -> None:
    row = recorded(1)
    assert turns(row) == [
        ("user", f"Is it cold there?\n{PICTURE}"),
        ("assistant", 'weather({"town":"Oulu"})'),
        ("tool", "minus 4"),
    ]
    assert row["completion"] == 'weather({"town":"Oulu"})\nIt is cold.'
    assert (row["sample_count"], row["top_logprobs"], row["end_user_id"]) == (2, 3, "u-2")
    assert [json.loads(tool)["function"]["name"] for tool in row["tools"]] == ["weather"]


def test_a_failure_keeps_its_status() -> None:
    row = recorded(2)
    assert (row["status"], row["completion"], turns(row)) == ("failure", None, [("user", "Hello")])
    assert row["exchange_id"].startswith("sha256:")


def test_a_legacy_completion() -> None:
    row = recorded(3)
    assert (turns(row), row["completion"]) == ([("user", "Once upon a time")], " there was")


def test_a_response_with_reasoning_and_a_call() -> None:
    row = recorded(4)
    assert turns(row) == [("system", "Be brief."), ("user", "Six by seven?")]
    assert (row["completion"], row["reasoning"]) == ('multiply({"a":6,"b":7})', "Six sevens.")
    assert (row["end_user_id"], row["max_tokens"], row["input_tokens"]) == ("s-3", 90, 34)


def test_the_items_that_a_client_sends_back() -> None:
    assert turns(recorded(5)) == [
        ("system", "Be brief."),
        ("user", f"Six by seven?\n{PICTURE}"),
        ("assistant", 'multiply({"a":6,"b":7})'),
        ("tool", "42"),
    ]


def test_a_call_of_a_tool_of_the_provider_is_kept() -> None:
    row = recorded(6)
    assert row["completion"] == 'web_search({"action":{"query":"seven by eight","type":"search"}})\n56.'
    assert (turns(row), row["conversation_id"]) == ([("user", "And by eight?")], None)


def body_with(*items: dict[str, Any]) -> list[tuple[str, str]]:
    record = {"request": {"model": "m", "input": list(items)}, "time": 1769940000, "account_id": "a"}
    (row,) = rows(json.dumps(record).encode())
    return turns(row)


def test_every_kind_of_item_is_read_or_left_out_and_none_costs_the_record() -> None:
    question = {"role": "user", "content": "go"}
    assert body_with(
        {"type": "item_reference", "id": "msg_1"},
        {"type": "reasoning", "summary": [], "encrypted_content": "x"},
        {"type": "mcp_list_tools", "server_label": "s", "tools": []},
        question,
    ) == [("user", "go")]
    assert body_with(
        {"type": "custom_tool_call", "call_id": "c", "name": "run", "input": "ls -l"},
        {"type": "custom_tool_call_output", "call_id": "c", "output": "total 0"},
        {
            "type": "local_shell_call",
            "id": "l",
            "call_id": "d",
            "action": {"command": ["ls"]},
            "status": "completed",
        },
        {"type": "local_shell_call_output", "id": "l", "output": "a.txt"},
        {
            "type": "computer_call_output",
            "call_id": "e",
            "output": {"type": "computer_screenshot", "image_url": "u"},
        },
        {"type": "mcp_call", "id": "m", "name": "find", "arguments": "{}", "output": "found"},
        {
            "type": "code_interpreter_call",
            "id": "i",
            "code": "1+1",
            "outputs": [{"type": "logs", "logs": "2"}],
        },
        {"type": "function_call", "role": "assistant", "name": "w", "arguments": "{}"},
        {"type": "something_new", "text": "?"},
    ) == [
        ("assistant", "run(ls -l)"),
        ("tool", "total 0"),
        ("assistant", 'local_shell({"action":{"command":["ls"]}})'),
        ("tool", "a.txt"),
        ("tool", "[media:sha256:0bfe935e70c321c7]"),
        ("assistant", "find({})\nfound"),
        ("assistant", 'code_interpreter({"code":"1+1"})\n2'),
        ("assistant", "w({})"),
        ("assistant", "?"),
    ]


def test_the_envelope_goes_first_and_its_identifier_is_kept() -> None:
    record = {
        "request": {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "user": "u-2"},
        "response": {"error": {"message": "rate limit", "type": "requests"}},
        "time": "2026-02-01T10:00:02", "account_id": "globex", "exchange_id": "req-9", "end_user_id": "e-1",
    }  # fmt: skip
    (row,) = rows(json.dumps(record).encode())
    assert (row["status"], row["exchange_id"], row["end_user_id"]) == ("failure", "req-9", "e-1")


def test_a_hint_for_the_cache_is_nobody() -> None:
    record = {"model": "m", "input": "x", "prompt_cache_key": "k", "time": 1769940000, "account_id": "a"}
    (row,) = rows(json.dumps({"request": record, **record}).encode())
    assert (row["end_user_id"], row["conversation_id"]) == (None, None)


def test_an_embedding_is_no_exchange() -> None:
    record = {
        "request": {"model": "e", "input": "x"},
        "response": {"object": "list", "data": []},
        "time": 1769940000,
    }
    assert read_body(FORMAT, json.dumps(record).encode()).skipped == {"a call that asks for no text": 1}


def test_a_plain_body_takes_its_account_from_the_mapping(tmp_path: Path) -> None:
    body = {
        "model": "gpt-x",
        "messages": [{"role": "user", "content": "Hi"}],
        "user": "u-7",
        "time": 1769940000,
    }
    text = json.dumps(body).encode()
    assert read_body(FORMAT, text).rejected == ((1, "account_id is missing or empty"),)
    (tmp_path / "who.csv").write_text("key,account_id,organization_id\nu-7,acme,Acme Ltd\n")
    (row,) = read_body(FORMAT, text, read_identities(tmp_path / "who.csv").complete).batch.to_pylist()
    assert (row["account_id"], row["end_user_id"], row["organization_id"]) == ("acme", "u-7", "Acme Ltd")
    assert row["exchange_id"].startswith("sha256:")


def test_what_says_no_time_or_no_prompt_is_malformed() -> None:
    no_time = {"request": {"model": "m", "messages": []}, "account_id": "a"}
    no_prompt = {"request": {"model": "m"}, "time": 1769940000, "account_id": "a"}
    reasons = [read_body(FORMAT, json.dumps(record).encode()).rejected for record in (no_time, no_prompt)]
    assert reasons == [
        ((1, "neither time nor response.created says when it was"),),
        ((1, "the request has none of messages, input, prompt"),),
    ]
