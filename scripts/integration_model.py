"""A small server of a model for scripts/integration: it thinks aloud and gives the log-probabilities that it is asked for.

Speaks OpenAI's chat completions, whole and streamed. With STILLWATCH_URL set, the middleware is around it, by its import
path, as `vllm serve --middleware` takes it.
"""

from __future__ import annotations

import argparse
import importlib
import json
import os
import time
from collections.abc import AsyncIterator
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

TRACE = "First I look at the rows, then I compare them."
REPLY = ["Copper ", "is dearest."]
MIDDLEWARE = "stillwatch.gateway.asgi.Stillwatch"


def probabilities(asked: dict[str, Any], *texts: str) -> dict[str, Any] | None:
    if not asked.get("logprobs"):
        return None
    content = []
    for text in texts:
        tops = [
            {"token": f"{text}{number}", "logprob": -1.0 - number, "bytes": None}
            for number in range(asked.get("top_logprobs") or 0)
        ]
        content.append({"token": text, "logprob": -0.1, "bytes": None, "top_logprobs": tops})
    return {"content": content, "refusal": None}


async def complete(request: Request) -> Response:
    asked = await request.json()
    head = {"id": "chatcmpl-1", "created": int(time.time()), "model": asked["model"]}
    if not asked.get("stream"):
        message = {"role": "assistant", "content": "".join(REPLY), "reasoning_content": TRACE}
        choice = {
            "index": 0,
            "message": message,
            "finish_reason": "stop",
            "logprobs": probabilities(asked, TRACE, *REPLY),
        }
        usage = {"prompt_tokens": 9, "completion_tokens": 9, "total_tokens": 18}
        return JSONResponse({**head, "object": "chat.completion", "choices": [choice], "usage": usage})

    async def events() -> AsyncIterator[bytes]:
        thoughts = [{"role": "assistant", "reasoning_content": TRACE[:20]}, {"reasoning_content": TRACE[20:]}]
        pieces = [*thoughts, *({"content": text} for text in REPLY), {}]
        for piece in pieces:
            choice = {
                "index": 0,
                "delta": piece,
                "finish_reason": None if piece else "stop",
                "logprobs": probabilities(asked, *(text for name, text in piece.items() if name != "role")),
            }
            yield (
                b"data: %b\n\n"
                % json.dumps({**head, "object": "chat.completion.chunk", "choices": [choice]}).encode()
            )
        yield b"data: [DONE]\n\n"

    return StreamingResponse(events(), media_type="text/event-stream")


async def health(_: Request) -> Response:
    return Response()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("port", type=int)
    chosen = parser.parse_args()
    routes = [Route("/v1/chat/completions", complete, methods=["POST"]), Route("/health", health)]
    app = Starlette(routes=routes)
    if "STILLWATCH_URL" in os.environ:
        module, _, name = MIDDLEWARE.rpartition(".")
        app.add_middleware(getattr(importlib.import_module(module), name))
    uvicorn.run(app, host="127.0.0.1", port=chosen.port, log_level="warning")


if __name__ == "__main__":
    main()
