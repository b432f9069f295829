"""Two servers on loopback for recording: a model that answers by itself, and a collector that keeps what it is sent."""

from __future__ import annotations

import gzip
import http.server
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

ANSWER = "Cold: minus four degrees, with snow."
CREATED = 1_769_940_000
USAGE = {"prompt_tokens": 21, "completion_tokens": 9, "total_tokens": 30}
RESPONSE_USAGE = {
    "input_tokens": 21,
    "input_tokens_details": {"cached_tokens": 0},
    "output_tokens": 9,
    "output_tokens_details": {"reasoning_tokens": 0},
    "total_tokens": 30,
}


class _Handler(http.server.BaseHTTPRequestHandler):
    def body(self) -> bytes:
        data = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        return gzip.decompress(data) if self.headers.get("Content-Encoding") == "gzip" else data

    def answer(self, status: int, value: object) -> None:
        self.send(status, json.dumps(value).encode(), "application/json")

    def send(self, status: int, data: bytes, kind: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, format: str, *values: object) -> None:
        """Say nothing."""


class _Model(_Handler):
    """The routes of the openai client: chat completions, Responses and embeddings."""

    served = 0

    def do_POST(self) -> None:
        request = json.loads(self.body())
        _Model.served += 1
        if request["model"] == "frontier-busy":
            self.answer(429, {"error": {"message": "slow down", "type": "rate_limit", "code": "busy"}})
        elif self.path.endswith("/embeddings"):
            item = {"object": "embedding", "index": 0, "embedding": [0.5, -0.5]}
            usage = {"prompt_tokens": 4, "total_tokens": 4}
            self.answer(200, {"object": "list", "data": [item], "model": request["model"], "usage": usage})
        elif self.path.endswith("/responses"):
            self.answer(200, _response(request, _Model.served))
        elif request.get("stream"):
            self.send(200, _stream(request, _Model.served), "text/event-stream")
        else:
            self.answer(200, _completion(request, _Model.served))


def _completion(request: dict[str, Any], number: int) -> dict[str, Any]:
    message: dict[str, Any] = {"role": "assistant", "content": ANSWER}
    reason = "stop"
    if request.get("tools") and request["messages"][-1]["role"] == "user":
        function = {"name": "weather", "arguments": '{"town": "Oulu"}'}
        call = {"id": "call_1", "type": "function", "function": function}
        message, reason = {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
    count = request.get("n") or 1
    choices = [{"index": index, "message": message, "finish_reason": reason} for index in range(count)]
    return {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion",
        "created": CREATED,
        "model": f"{request['model']}-2026-01",
        "choices": choices,
        "usage": USAGE,
    }


def _stream(request: dict[str, Any], number: int) -> bytes:
    head = {
        "id": f"chatcmpl-{number}",
        "object": "chat.completion.chunk",
        "created": CREATED,
        "model": f"{request['model']}-2026-01",
    }
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": ""}]
    deltas += [{"content": word} for word in ANSWER.split(" ", 1)]
    chunks = [{**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]} for delta in deltas]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
    chunks.append({**head, "choices": [], "usage": USAGE})
    lines = [f"data: {json.dumps(chunk)}\n\n" for chunk in chunks]
    return "".join([*lines, "data: [DONE]\n\n"]).encode()


def _response(request: dict[str, Any], number: int) -> dict[str, Any]:
    summary = [{"type": "summary_text", "text": "Winter, so below zero."}]
    content = [{"type": "output_text", "text": ANSWER, "annotations": []}]
    message = {"type": "message", "id": f"msg_{number}", "role": "assistant", "status": "completed"}
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": CREATED,
        "status": "completed",
        "model": f"{request['model']}-2026-01",
        "output": [
            {"type": "reasoning", "id": f"rs_{number}", "summary": summary},
            {**message, "content": content},
        ],
        "parallel_tool_calls": True,
        "tool_choice": "auto",
        "tools": request.get("tools") or [],
        "usage": RESPONSE_USAGE,
    }


class Collector(http.server.ThreadingHTTPServer):
    """Appends each OTLP request to a file of its signal as the file exporter of a collector does: with its length."""

    def __init__(self, folder: Path, name: str) -> None:
        super().__init__(("127.0.0.1", 0), _Collected)
        self.folder, self.name = folder, name
        self.lock = threading.Lock()

    def append(self, signal: str, message: bytes) -> None:
        with self.lock, (self.folder / f"{self.name}-{signal}.pb").open("ab") as file:
            file.write(len(message).to_bytes(4, "big") + message)


class _Collected(_Handler):
    server: Collector

    def do_POST(self) -> None:
        message = self.body()
        signal = self.path.rsplit("/", 1)[-1]
        if signal in ("traces", "logs"):
            self.server.append(signal, message)
        self.send(200, b"", "application/x-protobuf")


@contextmanager
def serving(server: http.server.ThreadingHTTPServer) -> Iterator[str]:
    """Run a server, yield its address, stop it."""
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join(timeout=10)


def model() -> http.server.ThreadingHTTPServer:
    """A server of the model's API."""
    return http.server.ThreadingHTTPServer(("127.0.0.1", 0), _Model)
