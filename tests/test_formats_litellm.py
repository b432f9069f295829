"""LiteLLM's log, as its own proxy wrote it (see scripts/integration)."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from stillwatch.formats import MalformedError, NotAnExchangeError
from stillwatch.formats.litellm import FORMAT
from stillwatch.rejects import RejectLog
from stillwatch.sources import open_log, read_body

LOG = Path(__file__).parent / "fixtures" / "litellm.jsonl.gz"
RECORDS: list[dict[str, Any]] = [json.loads(line) for line in gzip.decompress(LOG.read_bytes()).splitlines()]


def rows(record: dict[str, Any]) -> list[dict[str, Any]]:
    return read_body(FORMAT, json.dumps(record).encode()).batch.to_pylist()


def served() -> dict[str, Any]:
    return next(record for record in RECORDS if record["status"] == "success")


def test_the_recorded_log_is_read_with_its_accounts_and_its_failures() -> None:
    rejects = RejectLog(None, limit=0.0)
    read = [row for batch in open_log([LOG], rejects=rejects) for row in batch.to_pylist()]
    keys = {record["metadata"]["user_api_key_hash"] for record in RECORDS}
    assert rejects.skipped == {"a caller without a valid key": 1}
    assert {row["account_id"] for row in read} == keys - {"not-a-key"}
    assert {row["status"] for row in read} == {"success", "failure"}
    resold = [row for row in read if row["organization_id"] == "org-reseller-000"]
    assert resold
    assert all(str(row["end_user_id"]).startswith("customer-") for row in resold)
    assert all(row["end_user_id"] is None for row in read if row not in resold)


def test_every_column_comes_from_the_field_that_the_page_names() -> None:
    record = served()
    record["model_parameters"] = {
        "temperature": 0.7,
        "max_tokens": 4096,
        "n": 3,
        "top_logprobs": 5,
        "tools": [{"b": 1, "a": 2}],
    }
    record |= {"session_id": "s-1", "end_user": "u-1", "requester_ip_address": "192.0.2.9"}
    (row,) = rows(record)
    assert row["exchange_id"] == record["id"]
    assert row["account_id"] == record["metadata"]["user_api_key_hash"]
    assert row["started_at"].timestamp() == pytest.approx(record["startTime"], abs=1e-6)
    assert row["model"] == record["model_group"]
    assert [m["content"] for m in row["messages"]] == [m["content"] for m in record["messages"]]
    assert row["completion"] == record["response"]["choices"][0]["message"]["content"]
    assert (row["input_tokens"], row["output_tokens"]) == (
        record["prompt_tokens"],
        record["completion_tokens"],
    )
    assert (row["temperature"], row["max_tokens"], row["sample_count"], row["top_logprobs"]) == (
        0.7,
        4096,
        3,
        5,
    )
    assert row["tools"] == ['{"a":2,"b":1}']
    assert (row["conversation_id"], row["end_user_id"], row["ip"]) == ("s-1", "u-1", "192.0.2.9")
    assert row["user_agent"].startswith("AsyncOpenAI/Python")


def test_the_price_list_and_its_shape_do_not_matter() -> None:
    record = served()
    expected = rows(record)
    for value in (None, [], {"model_map_value": {"x": [1] * 1000}}, "text"):
        assert rows({**record, "model_map_information": value}) == expected


@pytest.mark.parametrize("call", ["embedding", "aembedding", "aimage_generation", "moderation", "arerank"])
def test_calls_that_ask_for_no_text_are_counted_and_left_out(call: str) -> None:
    piece = read_body(FORMAT, json.dumps({**served(), "call_type": call}).encode())
    assert len(piece.batch) == 0
    assert piece.skipped == {"a call that asks for no text": 1}
    assert piece.rejected == ()


@pytest.mark.parametrize(
    "call", [None, "completion", "acompletion", "aresponses", "anthropic_messages", "atext_completion"]
)
def test_calls_that_ask_for_text_are_exchanges(call: str | None) -> None:
    assert len(rows({**served(), "call_type": call})) == 1


def test_a_redacted_log_keeps_who_and_when_but_no_text() -> None:
    record = served()
    record["messages"] = [{"role": "user", "content": "redacted-by-litellm"}]
    record["response"] = {"choices": [{"message": {"content": "redacted-by-litellm"}}]}
    (row,) = rows(record)
    assert row["messages"] == [{"role": "user", "content": ""}]
    assert row["completion"] is None


def test_a_record_without_any_identity_is_malformed() -> None:
    piece = read_body(FORMAT, json.dumps({**served(), "metadata": {}}).encode())
    assert piece.rejected == ((1, "account_id is missing or empty"),)
    with pytest.raises(MalformedError, match="the field metadata is missing"):
        FORMAT.read(b'{"id": "x", "startTime": 1.0, "model": "m"}')


def test_a_refused_key_is_nobodys_exchange() -> None:
    refused = next(record for record in RECORDS if record["metadata"]["user_api_key_hash"] == "not-a-key")
    with pytest.raises(NotAnExchangeError):
        FORMAT.read(json.dumps(refused).encode())
