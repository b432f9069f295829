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


def test_a_chat_completion() -> None:
    (row,) = rows(LINES[0])
    assert row["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Weather in Oulu?"},
    ]
    assert row["completion"] == 'weather({"town":"Oulu"})\nCold.'
    assert row["exchange_id"] == "chatcmpl-1"
    assert row["started_at"].isoformat() == "2026-02-01T10:00:00+00:00"
    assert (row["account_id"], row["end_user_id"], row["model"]) == ("acme", "u-1", "gpt-x")
    assert (row["temperature"], row["max_tokens"], row["sample_count"], row["top_logprobs"]) == (
        0.2,
        50,
        2,
        3,
    )
    assert (row["input_tokens"], row["output_tokens"], row["status"]) == (20, 9, "success")
    assert row["tools"] == ['{"function":{"name":"weather"},"type":"function"}']


def test_a_response() -> None:
    (row,) = rows(LINES[1])
    assert row["messages"] == [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "Six by seven?"},
        {"role": "assistant", "content": 'multiply({"a":6,"b":7})'},
        {"role": "tool", "content": "42"},
    ]
    assert (row["completion"], row["reasoning"]) == ("42.", "Six sevens.")
    assert (row["end_user_id"], row["conversation_id"], row["max_tokens"]) == ("s-1", "conv-1", 9)


def test_a_failure_keeps_its_status_and_its_own_identifier() -> None:
    (row,) = rows(LINES[2])
    assert (row["status"], row["exchange_id"], row["completion"]) == ("failure", "req-9", None)


def test_a_legacy_completion() -> None:
    (row,) = rows(LINES[3])
    assert row["messages"] == [{"role": "user", "content": "Once upon a time"}]
    assert row["completion"] == " there was"


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
