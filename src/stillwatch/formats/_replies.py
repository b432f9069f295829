"""Text of replies: chat completions, Responses and message blocks, as one completion and one reasoning."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from stillwatch.formats._content import REASONING_PARTS, calls_text, content_text, kind_of_part, part_text


class Reply(NamedTuple):
    """What a model answered; None where a reply holds no such text."""

    completion: str | None
    reasoning: str | None


def reply_of(response: object) -> Reply:
    """Return the text of a response body; several choices are joined by a newline.

    >>> reply_of({"choices": [{"message": {"content": "42", "reasoning_content": "six by seven"}}]})
    Reply(completion='42', reasoning='six by seven')
    >>> reply_of({"output": [{"type": "message", "content": [{"type": "output_text", "text": "42"}]}]})
    Reply(completion='42', reasoning=None)
    """
    if isinstance(response, dict):
        choices = response.get("choices")
        if isinstance(choices, list):
            return _choices(choices)
        response = response.get("output") or response.get("content")
    if isinstance(response, list):
        return _blocks(response)
    return Reply(response or None if isinstance(response, str) else None, None)


def _choices(choices: Iterable[object]) -> Reply:
    completions: list[str] = []
    reasonings: list[str] = []
    for choice in choices:
        if not isinstance(choice, dict):
            continue
        message = choice.get("message")
        if not isinstance(message, dict):
            completions.append(content_text(choice.get("text")))
            continue
        texts = [content_text(message.get(name)) for name in ("content", "refusal") if message.get(name)]
        texts += calls_text(message.get("tool_calls"))
        if isinstance(message.get("function_call"), dict):
            texts += calls_text([message["function_call"]])
        completions.append("\n".join(texts))
        reasoning = message.get("reasoning_content") or message.get("reasoning")
        if isinstance(reasoning, str):
            reasonings.append(reasoning)
    return Reply(_joined(completions), _joined(reasonings))


def _blocks(blocks: Iterable[object]) -> Reply:
    completions: list[str] = []
    reasonings: list[str] = []
    for block in blocks:
        if isinstance(block, dict) and kind_of_part(block) in REASONING_PARTS:
            reasonings.append(_reasoning_text(block))
        elif isinstance(block, dict) and kind_of_part(block) == "message":
            completions.append(content_text(block.get("content")))
        else:
            completions.append(part_text(block))
    return Reply(_joined(completions), _joined(reasonings))


def _reasoning_text(block: Mapping[str, object]) -> str:
    """Return the trace of a reasoning block; one that is encrypted has none."""
    for name in ("thinking", "text"):
        if isinstance(block.get(name), str):
            return str(block[name])
    parts = [content_text(block.get(name)) for name in ("summary", "content") if block.get(name)]
    return "\n".join(parts)


def _joined(texts: Iterable[str]) -> str | None:
    return "\n".join(text for text in texts if text) or None
