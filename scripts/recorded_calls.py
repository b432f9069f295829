"""Call a server on loopback with the clients of OpenAI and Anthropic, and keep what they send.

The server answers what the caller laid ready, in the documented shape. A line of a fixture is what a gateway
would log: the two bodies as they crossed the wire, and beside them the time, the account behind the key and
the client's name of itself. Runs in the environment of scripts/record_fixtures, which holds the clients.
"""

from __future__ import annotations

import base64
import http.server
import json
import sys
import threading
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import anthropic
import openai

Call = dict[str, Any]
START = 1_769_940_000
PICTURE = base64.b64encode(bytes(range(64))).decode()
WEATHER = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}


class Wire(http.server.ThreadingHTTPServer):
    """A provider that answers what was laid ready; keeps every exchange as a line of a gateway's log."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.ready: deque[tuple[int, Any]] = deque()
        self.lines: list[Call] = []
        self.uploads: list[bytes] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def answer(self, body: Any, status: int = 200) -> None:
        self.ready.append((status, body))


class _Handler(http.server.BaseHTTPRequestHandler):
    server: Wire

    def do_GET(self) -> None:
        self.respond()

    def do_POST(self) -> None:
        self.respond()

    def respond(self) -> None:
        sent = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        status, body = self.server.ready.popleft()
        key = self.headers.get("x-api-key") or self.headers.get("Authorization", "").removeprefix("Bearer ")
        if self.headers.get("Content-Type", "").startswith("multipart/"):
            self.server.uploads.append(sent)
        elif sent:
            number = len(self.server.lines)
            self.server.lines.append(
                {
                    "started_at": START + number * 60,
                    "account_id": key.removeprefix("sk-"),
                    "user_agent": self.headers.get("User-Agent"),
                    "request": json.loads(sent),
                    "response": body,
                }
            )
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        self.send_response(status)
        kind = "application/x-jsonl" if isinstance(body, bytes) else "application/json"
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(raw)))
        self.end_headers()
        self.wfile.write(raw)

    def log_message(self, format: str, *values: object) -> None:
        """Say nothing."""


def chat_reply(number: int, *messages: Call) -> Call:
    """A chat completion of one choice or several."""
    choices = [
        {
            "index": index,
            "message": {"role": "assistant", **message},
            "finish_reason": "stop",
            "logprobs": None,
        }
        for index, message in enumerate(messages)
    ]
    usage = {"prompt_tokens": 20 + number, "completion_tokens": 5, "total_tokens": 25 + number}
    return {"id": f"chatcmpl-{number}", "object": "chat.completion", "created": START + number * 60,
            "model": "gpt-x-2026-01-15", "choices": choices, "usage": usage}  # fmt: skip


def response_reply(number: int, *output: Call) -> Call:
    """A body of the Responses API."""
    usage = {"input_tokens": 30 + number, "input_tokens_details": {"cached_tokens": 8}, "output_tokens": 7,
             "output_tokens_details": {"reasoning_tokens": 3}, "total_tokens": 37 + number}  # fmt: skip
    return {"id": f"resp_{number}", "object": "response", "created_at": START + number * 60, "status": "completed",
            "model": "gpt-x-2026-01-15", "output": list(output), "error": None, "usage": usage,
            "parallel_tool_calls": True, "tool_choice": "auto", "tools": []}  # fmt: skip


def said(text: str) -> Call:
    """A message among the items of a response."""
    part = {"type": "output_text", "text": text, "annotations": []}
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]}


def message_reply(number: int, *content: Call, **usage: int) -> Call:
    """A message of Anthropic's."""
    counts = {"input_tokens": 12 + number, "output_tokens": 9, **usage}
    return {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": "claude-x",
            "content": list(content), "stop_reason": "end_turn", "stop_sequence": None, "usage": counts}  # fmt: skip


def call_openai(wire: Wire) -> None:
    """Chat completions, a failure, a legacy completion and the Responses API."""
    client = openai.OpenAI(api_key="sk-acme", base_url=f"{wire.url}/v1", max_retries=0)
    tool: Any = {"type": "function", "function": {"name": "weather", "parameters": WEATHER}}
    wire.answer(chat_reply(0, {"content": "Cold and dark.", "refusal": None}))
    client.chat.completions.create(
        model="gpt-x", max_completion_tokens=50, temperature=0.2, safety_identifier="s-1", prompt_cache_key="town",
        messages=[{"role": "developer", "content": "Be brief."}, {"role": "user", "content": "Oulu in winter?"}],
    )  # fmt: skip
    call: Any = {
        "id": "call_1",
        "type": "function",
        "function": {"name": "weather", "arguments": '{"town": "Oulu"}'},
    }
    wire.answer(chat_reply(1, {"content": None, "tool_calls": [call]}, {"content": "It is cold."}))
    picture: Any = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}}
    client.chat.completions.create(
        model="gpt-x", n=2, logprobs=True, top_logprobs=3, user="u-2", tools=[tool],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "Is it cold there?"}, picture]},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "call_1", "content": "minus 4"},
        ],
    )  # fmt: skip
    error = {
        "error": {"message": "Rate limit reached", "type": "requests", "param": None, "code": "rate_limit"}
    }
    wire.answer(error, 429)
    with suppress(openai.RateLimitError):
        client.chat.completions.create(model="gpt-x", messages=[{"role": "user", "content": "Hello"}])
    wire.answer({"id": "cmpl-3", "object": "text_completion", "created": START + 180, "model": "gpt-x-instruct",
                 "choices": [{"index": 0, "text": " there was", "finish_reason": "length", "logprobs": None}],
                 "usage": {"prompt_tokens": 4, "completion_tokens": 2, "total_tokens": 6}})  # fmt: skip
    client.completions.create(model="gpt-x-instruct", prompt="Once upon a time", max_tokens=2)
    _call_responses(client, wire)


def _call_responses(client: openai.OpenAI, wire: Wire) -> None:
    thought = {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "Six sevens."}],
               "encrypted_content": "gAAAA" + PICTURE}  # fmt: skip
    asked: Any = {"id": "fc_1", "type": "function_call", "call_id": "call_2", "name": "multiply",
                  "arguments": '{"b":7,"a":6}', "status": "completed"}  # fmt: skip
    multiply: Any = {
        "type": "function",
        "name": "multiply",
        "parameters": {"type": "object"},
        "strict": False,
    }
    wire.answer(response_reply(4, thought, asked))
    client.responses.create(
        model="gpt-x", instructions="Be brief.", input="Six by seven?", tools=[multiply], max_output_tokens=90,
        safety_identifier="s-3", reasoning={"effort": "low", "summary": "auto"},
        include=["reasoning.encrypted_content"], store=False,
    )  # fmt: skip
    wire.answer(response_reply(5, said("42.")))
    picture = {"type": "input_image", "detail": "auto", "image_url": f"data:image/png;base64,{PICTURE}"}
    history: Any = [
        {"role": "user", "content": [{"type": "input_text", "text": "Six by seven?"}, picture]},
        thought, asked, {"type": "function_call_output", "call_id": "call_2", "output": "42"},
    ]  # fmt: skip
    client.responses.create(model="gpt-x", instructions="Be brief.", input=history, safety_identifier="s-3")
    search = {"id": "ws_1", "type": "web_search_call", "status": "completed",
              "action": {"type": "search", "query": "seven by eight"}}  # fmt: skip
    wire.answer(response_reply(6, search, said("56.")))
    client.responses.create(
        model="gpt-x", previous_response_id="resp_5", input="And by eight?", conversation=None, top_logprobs=2,
        tools=[{"type": "web_search"}],
    )  # fmt: skip


def call_anthropic(wire: Wire) -> None:
    """Messages with thinking, tools, an opening of the reply, and a failure."""
    client = anthropic.Anthropic(api_key="sk-globex", base_url=wire.url, max_retries=0)
    thinking = {"type": "thinking", "thinking": "Six sevens.", "signature": "c2lnbmVk"}
    hidden = {"type": "redacted_thinking", "data": "EmwKAhgB" + PICTURE}
    wire.answer(
        message_reply(0, thinking, hidden, {"type": "text", "text": "42."}, cache_read_input_tokens=100)
    )
    client.messages.create(
        model="claude-x", max_tokens=2048, system="Be brief.", metadata={"user_id": "u-9"},
        thinking={"type": "enabled", "budget_tokens": 1024}, messages=[{"role": "user", "content": "Six by seven?"}],
    )  # fmt: skip
    use = {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"town": "Oulu"}}
    wire.answer(message_reply(1, {"type": "text", "text": "It is cold."}, cache_creation_input_tokens=50))
    picture = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PICTURE}}
    paper = {
        "type": "document",
        "source": {"type": "text", "media_type": "text/plain", "data": "Oulu: minus 4."},
    }
    answer = {
        "type": "tool_result",
        "tool_use_id": "toolu_1",
        "content": [{"type": "text", "text": "minus 4"}, picture],
    }
    talk: Any = [
        {"role": "user", "content": [paper, {"type": "text", "text": "Is it cold there?"}]},
        {"role": "assistant", "content": [thinking, {"type": "text", "text": "I look."}, use]},
        {"role": "user", "content": [answer]},
    ]
    blocks: Any = [{"type": "text", "text": "Be brief.", "cache_control": {"type": "ephemeral"}},
                   {"type": "text", "text": "Use the tool."}]  # fmt: skip
    tool: Any = {"name": "weather", "description": "Weather of a town", "input_schema": WEATHER}
    client.messages.create(model="claude-x", max_tokens=100, system=blocks, tools=[tool], messages=talk)
    wire.answer(message_reply(2, {"type": "text", "text": ' "minus 4"}'}))
    client.messages.create(
        model="claude-x", max_tokens=20, stop_sequences=["}"],
        messages=[{"role": "user", "content": "As JSON, please."}, {"role": "assistant", "content": '{"celsius":'}],
    )  # fmt: skip
    wire.answer({"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}, 529)
    with suppress(anthropic.APIStatusError):
        client.messages.create(
            model="claude-x",
            max_tokens=20,
            system="Be kind.",
            messages=[{"role": "user", "content": "Hello"}],
        )


def batch_of_openai(wire: Wire) -> list[Call]:
    """The input file as it was uploaded, and the output and error files as they came down."""
    client = openai.OpenAI(api_key="sk-acme", base_url=f"{wire.url}/v1", max_retries=0)
    bodies = [line["request"] for line in wire.lines if "messages" in line["request"]][:2]
    bodies.append(next(line["request"] for line in wire.lines if "instructions" in line["request"]))
    asked = [
        {"custom_id": f"request-{number}", "method": "POST", "body": body,
         "url": "/v1/responses" if "input" in body else "/v1/chat/completions"}
        for number, body in enumerate([*bodies, bodies[0]])
    ]  # fmt: skip
    sent = b"\n".join(json.dumps(line).encode() for line in asked)
    wire.answer({"id": "file-in", "object": "file", "bytes": len(sent), "created_at": START, "filename": "in.jsonl",
                 "purpose": "batch", "status": "processed"})  # fmt: skip
    client.files.create(file=("in.jsonl", sent), purpose="batch")
    replies = [
        chat_reply(70, {"content": "Cold."}),
        chat_reply(71, {"content": "Colder."}),
        response_reply(72, said("42.")),
    ]
    told = [
        {"id": f"batch_req_{number}", "custom_id": f"request-{number}", "error": None,
         "response": {"status_code": 200, "request_id": f"req_{number}", "body": body}}
        for number, body in enumerate(replies)
    ]  # fmt: skip
    failure = {
        "error": {"message": "Bad request", "type": "invalid_request_error", "param": None, "code": None}
    }
    told.append({"id": "batch_req_3", "custom_id": "request-3", "error": None,
                 "response": {"status_code": 400, "request_id": "req_3", "body": failure}})  # fmt: skip
    wire.answer(b"\n".join(json.dumps(line).encode() for line in reversed(told)))
    got = client.files.content("file-out").text.splitlines()
    start = wire.uploads[-1].index(b'{"custom_id"')
    kept = wire.uploads[-1][start:].split(b"\r\n")[0].splitlines()
    return _known([json.loads(line) for line in [*kept, *got]], "acme", lambda line: "body" in line)


def batch_of_anthropic(wire: Wire) -> list[Call]:
    """The requests as they were posted, and the results as they came down."""
    client = anthropic.Anthropic(api_key="sk-globex", base_url=wire.url, max_retries=0)
    bodies = [line["request"] for line in wire.lines if line["account_id"] == "globex"]
    requests: Any = [{"custom_id": f"item-{number}", "params": body} for number, body in enumerate(bodies)]
    batch = {"id": "msgbatch_1", "type": "message_batch", "processing_status": "ended", "created_at": "2026-02-01T10:00:00Z",
             "expires_at": "2026-02-02T10:00:00Z", "ended_at": "2026-02-01T11:00:00Z", "archived_at": None,
             "cancel_initiated_at": None, "results_url": f"{wire.url}/v1/messages/batches/msgbatch_1/results",
             "request_counts": {"processing": 0, "succeeded": 2, "errored": 1, "canceled": 0, "expired": 1}}  # fmt: skip
    wire.answer(batch)
    client.messages.batches.create(requests=requests)
    results = [
        {"type": "succeeded", "message": message_reply(80, {"type": "thinking", "thinking": "Hm.", "signature": "cw"},
                                                       {"type": "text", "text": "42."})},
        {"type": "succeeded", "message": message_reply(81, {"type": "text", "text": "It is cold."})},
        {"type": "errored", "error": {"type": "error", "error": {"type": "invalid_request_error", "message": "no"}}},
        {"type": "expired"},
    ]  # fmt: skip
    told = [{"custom_id": f"item-{number}", "result": result} for number, result in enumerate(results)]
    wire.answer(batch)
    wire.answer(b"\n".join(json.dumps(line).encode() for line in reversed(told)))
    got = [line.to_dict() for line in client.messages.batches.results("msgbatch_1")]
    return _known([*wire.lines.pop()["request"]["requests"], *got], "globex", lambda line: "params" in line)


def _known(lines: list[Call], account: str, is_request: Callable[[Call], bool]) -> list[Call]:
    """What the operator adds to the lines of requests: whose they are, and when the batch was made."""
    return [
        line | ({"account_id": account, "started_at": START} if is_request(line) else {}) for line in lines
    ]


def write(path: Path, lines: list[Call]) -> None:
    path.write_text("".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines), encoding="utf-8")
    print(f"wrote {len(lines)} lines to {path.name}")


def main() -> None:
    out = Path(sys.argv[1])
    wire = Wire()
    thread = threading.Thread(target=wire.serve_forever, daemon=True)
    thread.start()
    try:
        call_openai(wire)
        chats = list(wire.lines)
        call_anthropic(wire)
        messages = wire.lines[len(chats) :]
        write(out / "openai-batch.jsonl", batch_of_openai(wire))
        write(out / "anthropic-batch.jsonl", batch_of_anthropic(wire))
        write(out / "openai.jsonl", chats)
        write(out / "anthropic.jsonl", messages)
    finally:
        wire.shutdown()
        wire.server_close()
        thread.join(timeout=10)


if __name__ == "__main__":
    main()
