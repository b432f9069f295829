"""Replies and requests changed as an answer says: the trace of thought taken out, log-probabilities capped.

Works on decoded JSON of OpenAI's chat completions, completions and Responses and of Anthropic's Messages, whole or one event
of a stream, and changes it in place. What a provider itself gives out in place of the trace (a summary, an encrypted copy
that only it can read) stays where the answer is ``summarise``; of ``strip`` only what is encrypted stays, since a
conversation cannot go on without it. Tokens with their log-probabilities stay where they are those of the text that stays.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, MutableMapping
from itertools import accumulate
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
TRACE_EVENTS = ("response.reasoning",)
"""Begins of the types of events that are about a trace, but for those of its summary."""
TRACE_PARTS = frozenset({"thinking", "reasoning", "reasoning_text"})
TOKENS = ("token_ids", "output_messages")
"""Fields that hold a whole reply once more, with its trace: as numbers, or as the model wrote it."""
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


def edit(body: Body, trace: str | None, logprobs: int | None, *, piece: bool = False) -> bool:
    """Change a whole reply, or one event of a stream; returns whether anything of the event is left to be sent.

    ``piece``: it is such an event, and text between tags may go on in others.
    """
    if logprobs is not None:
        _cap_logprobs(body, logprobs)
    return trace is None or _hide_trace(body, trace, piece)


def untagged(text: str) -> str:
    """A whole text without the trace that a server left in it between tags.

    >>> untagged("<think>seven, since ...</think>\\n7")
    '7'
    """
    while found := _TAGGED.match(text):
        text = text[found.end() :]
    return _OPEN.sub("", text)


def keep_tokens(holder: Body, text: object) -> None:
    """Of the log-probabilities in ``holder`` keep those whose tokens are the end of ``text``, and none where none are."""
    given = holder.get("logprobs")
    if isinstance(given, list):  # of Responses
        holder["logprobs"] = _of_text(given, text)
    elif isinstance(given, dict) and isinstance(given.get("content"), list):
        given["content"] = _of_text(given["content"], text)
    elif isinstance(given, dict) and isinstance(given.get("tokens"), list):  # of completions
        said = "".join(token for token in given["tokens"] if isinstance(token, str))
        holder["logprobs"] = given if isinstance(text, str) and said == text else None


def _of_text(tokens: list[Any], text: object) -> list[Any]:
    """The last of the tokens, as many as make up a text; one that ends a reply may come after them."""
    wanted = text.strip().encode(errors="replace") if isinstance(text, str) else b""
    said = [_bytes(token) for token in tokens]
    for last in (len(said), len(said) - 1):
        whole = b"".join(said[:last]).rstrip()
        if wanted and whole.endswith(wanted):
            # From where nothing but space stands before the text.
            begin = len(whole[: len(whole) - len(wanted)].rstrip())
            starts = accumulate(map(len, said[:last]), initial=0)
            return tokens[next(place for place, start in enumerate(starts) if start >= begin) : last]
    return []


def _bytes(token: object) -> bytes:
    told = token.get("bytes") if isinstance(token, dict) else None
    if isinstance(told, list) and all(isinstance(one, int) and 0 <= one < 256 for one in told):
        return bytes(told)
    said = token.get("token") if isinstance(token, dict) else None
    return said.encode(errors="replace") if isinstance(said, str) else b""


def _hide_trace(body: Body, trace: str, piece: bool) -> bool:
    kind = body.get("type")
    kind = kind if isinstance(kind, str) else ""
    if kind.startswith(SUMMARY_EVENTS):
        return trace != STRIP
    if kind.startswith(TRACE_EVENTS) or _is_trace(body.get("part")):
        return False
    delta = body.get("delta")
    if kind == "content_block_delta" and isinstance(delta, dict) and delta.get("type") == "thinking_delta":
        return False
    for holder in _objects([body, body.get("response"), body.get("message")]):
        for name in TOKENS:
            holder.pop(name, None)
        for item in _objects(holder.get("output")):
            _hide_item(item, trace)
        _hide_parts(holder.get("content"))
    for item in _objects([body.get("item")]):
        _hide_item(item, trace)
    _hide_parts([body.get("content_block"), body.get("part")])
    if kind == "response.output_text.done":
        _untag(body)
    return _hide_choices(body, piece)


def _is_trace(part: object) -> bool:
    return isinstance(part, dict) and part.get("type") in TRACE_PARTS


def _hide_item(item: Body, trace: str) -> None:
    """A reasoning item of the Responses interface keeps its name and what is encrypted."""
    if item.get("type") == "reasoning":
        item.pop("content", None)
        if trace == STRIP:
            item["summary"] = []
    else:
        _hide_parts(item.get("content"))


def _hide_parts(parts: object) -> None:
    """A block of thought keeps its place and signature, as where Anthropic itself leaves the thought out."""
    for part in _objects(parts):
        if _is_trace(part):
            part.update({name: "" for name in ("thinking", "reasoning", "text") if name in part})
        else:
            _untag(part)


def _untag(holder: Body, name: str = "text") -> None:
    """Take a trace out of a whole text, and what is not of the rest out of the log-probabilities beside it."""
    if isinstance(holder.get(name), str):
        holder[name] = untagged(holder[name])
        keep_tokens(holder, holder[name])


def _hide_choices(body: Body, piece: bool) -> bool:
    choices = body.get("choices")
    if not isinstance(choices, list) or not choices:
        return True
    left = False
    for choice in _objects(choices):
        hidden = _hide_fields(choice)
        whole, added = choice.get("message"), choice.get("delta")
        if isinstance(whole, dict):
            _hide_message(choice, whole)
            left = True
        if isinstance(added, dict):
            hidden |= _hide_fields(added)
            _hide_parts(added.get("content"))
            keep_tokens(choice, added.get("content"))
            left |= not hidden or any(value not in (None, "") for value in added.values())
        elif isinstance(choice.get("text"), str):
            choice["text"] = choice["text"] if piece else untagged(choice["text"])
            keep_tokens(choice, choice["text"])
            left = True
        left |= choice.get("finish_reason") is not None
    return left or bool(body.get("usage"))


def _hide_message(choice: Body, said: Body) -> None:
    _hide_fields(said)
    _hide_parts(said.get("content"))
    if isinstance(said.get("content"), str):
        said["content"] = untagged(said["content"])
    keep_tokens(choice, said.get("content"))


def _hide_fields(said: Body) -> bool:
    """Take the fields of a trace out of a choice or a message; returns whether there was one."""
    hidden = False
    for holder in _objects([said, said.get("provider_specific_fields")]):
        for name in (*CHAT_TRACES, *TOKENS):
            hidden |= holder.pop(name, None) is not None
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
