"""Replies and requests changed as an answer says: the trace of thought taken out, log-probabilities capped.

Works on decoded JSON of OpenAI's chat completions, completions and Responses and of Anthropic's Messages, whole or one event
of a stream, and changes it in place. What a provider itself gives out in place of the trace (a summary, an encrypted copy
that only it can read) stays where the answer is ``summarise``; of ``strip`` only what is encrypted stays, since a
conversation cannot go on without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, MutableMapping
from typing import Any

STRIP = "strip"
CHAT_TRACES = (
    "reasoning_content",
    "reasoning",
    "reasoning_details",
    "reasoning_items",
    "thinking",
    "thinking_blocks",
)
"""Fields of a message, or of a part of one in a stream, by the servers that write them."""
TRACE_EVENTS = ("response.reasoning_text.", "response.reasoning.")
SUMMARY_EVENTS = ("response.reasoning_summary",)
PROMPT_LOGPROBS = "prompt_logprobs"
_TAGGED = re.compile(r"\A\s*(?:<think(?:ing)?>)?.*?</think(?:ing)?>\s*", re.DOTALL)
_OPEN = re.compile(r"\A\s*<think(?:ing)?>.*\Z", re.DOTALL)

Body = MutableMapping[str, Any]


def cap_request(body: Body, most: int) -> bool:
    """Ask for no more log-probabilities a token than ``most``; returns whether anything was changed."""
    before = {name: body.get(name) for name in ("logprobs", "top_logprobs", PROMPT_LOGPROBS, "include")}
    for name in ("top_logprobs", PROMPT_LOGPROBS, "logprobs"):
        value = body.get(name)
        if value is None or value is False:
            continue
        if most == 0:
            del body[name]
        elif isinstance(value, int) and not isinstance(value, bool) and value > most:
            body[name] = most
    included = body.get("include")
    if most == 0 and isinstance(included, list):
        body["include"] = [one for one in included if one != "message.output_text.logprobs"]
    return any(body.get(name) != value for name, value in before.items())


def edit(body: Body, trace: str | None, logprobs: int | None) -> bool:
    """Change a whole reply, or one event of a stream; returns whether anything of the event is left to be sent."""
    if logprobs is not None:
        _cap_logprobs(body, logprobs)
    return trace is None or _hide_trace(body, trace)


def untagged(text: str) -> str:
    """A whole text without the trace that a server left in it between tags.

    >>> untagged("<think>seven, since ...</think>\\n7")
    '7'
    """
    found = _TAGGED.match(text)
    return text[found.end() :] if found else _OPEN.sub("", text)


def _hide_trace(body: Body, trace: str) -> bool:
    kind = body.get("type")
    kind = kind if isinstance(kind, str) else ""
    if kind.startswith(SUMMARY_EVENTS):
        return trace != STRIP
    if kind.startswith(TRACE_EVENTS):
        return False
    delta = body.get("delta")
    if kind == "content_block_delta" and isinstance(delta, dict) and delta.get("type") == "thinking_delta":
        return False
    for holder in _objects([body, body.get("response"), body.get("message")]):
        for item in _objects(holder.get("output")):
            _hide_item(item, trace)
        for part in _objects(holder.get("content")):
            _blank(part)
    for item in _objects([body.get("item")]):
        _hide_item(item, trace)
    for part in _objects([body.get("content_block")]):
        _blank(part)
    return _hide_choices(body)


def _hide_item(item: Body, trace: str) -> None:
    """A reasoning item of the Responses interface keeps its name and what is encrypted."""
    if item.get("type") == "reasoning":
        item.pop("content", None)
        if trace == STRIP:
            item["summary"] = []


def _blank(part: Body) -> None:
    """A block of thought keeps its place and signature, as where Anthropic itself leaves the thought out."""
    if part.get("type") == "thinking":
        part["thinking"] = ""


def _hide_choices(body: Body) -> bool:
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        return True
    left = False
    for choice in _objects(choices):
        for name in ("message", "delta"):
            said = choice.get(name)
            if isinstance(said, dict):
                hidden = _hide_message(said)
                if name == "message" and isinstance(said.get("content"), str):
                    said["content"] = untagged(said["content"])
                left |= (
                    name == "message" or not hidden or any(value not in (None, "") for value in said.values())
                )
        if isinstance(choice.get("text"), str) and "delta" not in choice:
            left = True
        left |= choice.get("finish_reason") is not None
    return left or bool(body.get("usage"))


def _hide_message(said: Body) -> bool:
    """Take the trace out of a message; returns whether there was one."""
    hidden = False
    for holder in _objects([said, said.get("provider_specific_fields")]):
        for name in CHAT_TRACES:
            hidden |= holder.pop(name, None) is not None
    for part in _objects(said.get("content")):
        _blank(part)
    return hidden


def _cap_logprobs(body: Body, most: int) -> None:
    for holder in _objects([body, body.get("response")]):
        if PROMPT_LOGPROBS in holder:
            holder[PROMPT_LOGPROBS] = None
        for choice in _objects(holder.get("choices")):
            choice.pop(PROMPT_LOGPROBS, None)
            if most == 0:
                if choice.get("logprobs") is not None:
                    choice["logprobs"] = None
            elif isinstance(choice.get("logprobs"), dict):
                _cap_choice(choice["logprobs"], most)
        for item in _objects(holder.get("output")):
            _cap_parts(item.get("content"), most)
    for item in _objects([body.get("item")]):
        _cap_parts(item.get("content"), most)
    _cap_parts([body, body.get("part")], most)


def _cap_choice(given: Body, most: int) -> None:
    for name in ("content", "refusal"):
        for token in _objects(given.get(name)):
            _cap_token(token, most)
    tops = given.get("top_logprobs")
    if isinstance(tops, list):  # of completions: an object a token
        given["top_logprobs"] = [
            dict(sorted(one.items(), key=lambda pair: -pair[1])[:most]) if isinstance(one, dict) else one
            for one in tops
        ]


def _cap_parts(parts: object, most: int) -> None:
    """Parts of text of the Responses interface, and its events."""
    for part in _objects(parts):
        tokens = part.get("logprobs")
        if isinstance(tokens, list):
            part["logprobs"] = tokens if most else []
            for token in _objects(tokens):
                _cap_token(token, most)


def _cap_token(token: Body, most: int) -> None:
    if isinstance(token.get("top_logprobs"), list):
        token["top_logprobs"] = token["top_logprobs"][:most]


def _objects(values: object) -> Iterable[dict[str, Any]]:
    return (one for one in values if isinstance(one, dict)) if isinstance(values, list) else ()
