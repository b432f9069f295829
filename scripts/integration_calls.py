"""Make calls with the openai client and say what came of each; runs in the client's environment.

Reads a JSON array of calls from standard input, each {"key", "headers", "repeat", "body"}, and prints a JSON array with one
object a call: status, retry_after, code, content, reasoning, top_logprobs (of the first token that has any).
"""

from __future__ import annotations

import json
import sys
from typing import Any

from openai import APIStatusError, OpenAI


def of_choice(result: dict[str, Any], said: Any, logprobs: Any) -> None:
    result["content"] += getattr(said, "content", None) or ""
    for name in ("reasoning_content", "reasoning"):
        result["reasoning"] += getattr(said, name, None) or ""
    for token in (logprobs.content or ()) if logprobs is not None else ():
        result["top_logprobs"] = max(result["top_logprobs"], len(token.top_logprobs or ()))


def call(client: OpenAI, told: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = {"status": 200, "content": "", "reasoning": "", "top_logprobs": 0}
    own = client.with_options(api_key=told["key"])
    try:
        reply = own.chat.completions.create(**told["body"], extra_headers=told.get("headers"))
        if not told["body"].get("stream"):
            of_choice(result, reply.choices[0].message, reply.choices[0].logprobs)
        else:
            for piece in reply:
                for choice in piece.choices:
                    of_choice(result, choice.delta, choice.logprobs)
    except APIStatusError as error:
        result["status"] = error.status_code
        result["retry_after"] = error.response.headers.get("retry-after")
        result["error"] = error.response.text[:500]
    return result


def main() -> None:
    client = OpenAI(base_url=sys.argv[1], api_key="sk-unused", max_retries=0, timeout=60)
    calls = json.load(sys.stdin)
    print(json.dumps([call(client, told) for told in calls for _ in range(told.get("repeat", 1))]))


if __name__ == "__main__":
    main()
