"""Rows of LiteLLM's table of spend, made by the function that makes them in its proxy, without the database.

LiteLLM answers by itself (``mock_response``); its callback hands what it knows of a call to
``get_logging_payload``, as the proxy does before it inserts the row. Runs in the environment of LiteLLM.
"""

from __future__ import annotations

import hashlib
import json
import sys
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import litellm
from litellm.integrations.custom_logger import CustomLogger
from litellm.proxy import proxy_server
from litellm.proxy.spend_tracking.spend_tracking_utils import get_logging_payload

START = datetime(2026, 2, 1, 10, tzinfo=UTC)
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object"}},
}
CALL = {"id": "call_1", "type": "function", "function": {"name": "weather", "arguments": '{"town": "Oulu"}'}}
BODIES: list[dict[str, Any]] = [
    {
        "messages": [
            {"role": "system", "content": "Be brief."},
            {"role": "user", "content": "Oulu in winter?"},
        ],
        "temperature": 0.2,
        "max_tokens": 50,
        "user": "u-1",
    },
    {
        "messages": [
            {"role": "user", "content": "Is it cold there?"},
            {"role": "assistant", "content": None, "tool_calls": [CALL]},
            {"role": "tool", "tool_call_id": "call_1", "content": "minus 4"},
        ],
        "tools": [WEATHER],
    },
    {"messages": [{"role": "user", "content": "Hello"}]},
    {"messages": [{"role": "user", "content": "This one fails."}], "mock_response": "litellm.RateLimitError"},
]


class Rows(CustomLogger):
    """Keeps the row of every call."""

    def __init__(self) -> None:
        super().__init__()
        self.rows: list[dict[str, Any]] = []

    def log_success_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        # The fixture has times of its own.
        del start_time, end_time
        started = START + timedelta(minutes=len(self.rows))
        ended = started + timedelta(seconds=1)
        # A failure never began to answer, which the function does not expect outside of the proxy.
        known = {**kwargs, "completion_start_time": ended}
        self.rows.append(dict(get_logging_payload(known, response_obj, started, ended)))

    def log_failure_event(self, kwargs: Any, response_obj: Any, start_time: Any, end_time: Any) -> None:
        # The proxy's own hook for failures says so in the same place.
        kwargs["litellm_params"]["metadata"]["status"] = "failure"
        self.log_success_event(kwargs, response_obj, start_time, end_time)


def as_exported(row: dict[str, Any], number: int) -> dict[str, Any]:
    """The row as the database gives it back: JSON columns as objects, times as text, and no machine in it."""
    shown = {name: value for name, value in row.items() if name not in ("api_base", "litellm_call_id")}
    for name in ("metadata", "messages", "response", "proxy_server_request", "request_tags"):
        if isinstance(shown.get(name), str):
            shown[name] = json.loads(shown[name])
    # Drawn anew in every run.
    shown |= {"request_id": f"chatcmpl-{number}", "session_id": f"session-{number}"}
    shown["metadata"].pop("litellm_call_id", None)
    # Most of a row, and nothing of the exchange.
    shown["metadata"]["model_map_information"] = {}
    if shown["response"]:
        shown["response"] |= {"id": f"chatcmpl-{number}", "created": int(START.timestamp()) + 60 * number}
    return json.loads(json.dumps(shown, default=str))


def main() -> None:
    proxy_server.general_settings["store_prompts_in_spend_logs"] = True
    rows = Rows()
    litellm.callbacks = [rows]
    for number, body in enumerate(BODIES):
        key = hashlib.sha256(f"sk-{number % 2}".encode()).hexdigest()
        metadata = {
            "user_api_key": key,
            "user_api_key_hash": key,
            "user_api_key_user_id": f"account-{number % 2}",
            "user_api_key_team_id": "team-1",
            "user_api_key_org_id": "org-1" if number % 2 else None,
            "requester_ip_address": "192.0.2.9",
        }
        sent = {"model": "frontier-large", **{name: body[name] for name in body if name != "mock_response"}}
        with suppress(litellm.RateLimitError):
            litellm.completion(
                model="openai/gpt-4o",
                api_key="unused",
                metadata=metadata | {"model_group": "frontier-large"},
                proxy_server_request={
                    "url": "http://127.0.0.1/v1/chat/completions",
                    "method": "POST",
                    "body": sent,
                },
                num_retries=0,
                **{"mock_response": "Cold and dark.", **body},
            )
    # The callbacks run in a thread of LiteLLM's own.
    from litellm.litellm_core_utils.thread_pool_executor import executor

    executor.shutdown(wait=True)
    if len(rows.rows) != len(BODIES):
        raise SystemExit(f"LiteLLM's callback was called {len(rows.rows)} times for {len(BODIES)} calls")
    path = Path(sys.argv[1]) / "litellm-spend-logs.jsonl"
    lines = [as_exported(row, number) for number, row in enumerate(rows.rows)]
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    print(f"wrote {len(lines)} rows to {path.name}")


if __name__ == "__main__":
    main()
