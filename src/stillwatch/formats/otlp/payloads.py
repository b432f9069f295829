"""Whole requests and replies that a tracer wrote into one attribute: bodies of APIs, messages, or any JSON."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from stillwatch.formats._content import ROLES, canonical, kind_of_part, stated_messages
from stillwatch.formats._decode import TOO_DEEP, mend
from stillwatch.formats._replies import Reply, reply_of
from stillwatch.formats._stated import MalformedError, StatedMessage

_PROMPTS = ("messages", "input", "prompt", "contents")
_ITEMS = frozenset({"message", "reasoning", "function_call", "custom_tool_call", "mcp_call"})
_DECODER = msgspec.json.Decoder()


def structured(value: object, name: str) -> Any:
    """Return a value that may be JSON text; text that is no JSON stays as it is.

    Raises MalformedError for text that begins as an object or array does and is none.

    >>> structured('{"a": 1}', "input"), structured("What is 6 * 7?", "input"), structured([1], "input")
    ({'a': 1}, 'What is 6 * 7?', [1])
    """
    if not isinstance(value, str):
        return value
    if value.lstrip()[:1] not in ("{", "[", '"'):
        return value
    try:
        return _DECODER.decode(value)
    except (msgspec.MsgspecError, UnicodeError, RecursionError):
        return _tolerantly(value, name)


def _tolerantly(value: str, name: str) -> Any:
    try:
        return mend(value.encode(errors="replace"))
    except MalformedError as error:
        if str(error) == TOO_DEEP:
            raise
        if value.lstrip()[:1] == '"' or value.rstrip()[-1:] in ("}", "]"):
            # Prose in brackets, or a quotation.
            return value
        raise MalformedError(f"{name} is cut off; the program limits the length of attributes") from None


def mapping(value: object) -> Mapping[str, Any]:
    """Return an object, of which the text may be JSON; anything else is empty."""
    try:
        found = structured(value, "")
    except MalformedError:
        return {}
    return found if isinstance(found, dict) else {}


def prompt_of(value: object) -> list[StatedMessage]:
    """Return the messages of a request's body, of messages alone, or of any JSON as the text of one.

    >>> prompt_of({"instructions": "Be brief.", "input": "Six by seven?"})[0].role
    'system'
    >>> prompt_of({"question": "why?"})
    [StatedMessage(role='user', content='{"question":"why?"}', tool_calls=None, function_call=None)]
    """
    if value is None:
        return []
    if isinstance(value, dict):
        name = next((name for name in _PROMPTS if value.get(name) is not None), None)
        if name is not None:
            return [*_opening(value), *prompt_of(value[name])]
        if _is_message(value):
            value = [value]
    if isinstance(value, list):
        while len(value) == 1 and isinstance(value[0], list):
            value = value[0]
        if value and all(isinstance(item, str) or _is_message(item) for item in value):
            return stated_messages([_with_role(item) for item in value])
    return [StatedMessage("user", value if isinstance(value, str) else canonical(value))]


def reply_in(value: object) -> Reply:
    """Return the text of a reply's body, of the messages that a model gave back, or of any JSON.

    >>> reply_in([{"role": "assistant", "content": "42"}]).completion
    '42'
    """
    if value is None or isinstance(value, str):
        return Reply(value or None, None)
    messages = value if isinstance(value, list) and value else [value]
    if _is_body(value) or any(kind_of_part(item) in _ITEMS for item in messages):
        return reply_of(value)
    if all(_is_message(item) for item in messages):
        return reply_of({"choices": [{"message": item} for item in messages]})
    return Reply(canonical(value), None)


def _is_body(value: object) -> bool:
    """Say whether a value is the body of a reply: of chat completions, Responses or Messages."""
    if not isinstance(value, dict):
        return False
    if isinstance(value.get("choices"), list) or isinstance(value.get("output"), list):
        return True
    return isinstance(value.get("content"), list) and not value.get("tool_calls")


def _opening(body: Mapping[str, Any]) -> list[StatedMessage]:
    """Return the system prompt that a body holds beside its messages."""
    found = body.get("instructions") or body.get("system")
    if isinstance(found, str | list):
        return [StatedMessage("system", found)]
    return []


def _is_message(item: object) -> bool:
    """Say whether an item is a message, or an item of a Responses request, or one that names its role as a type."""
    if not isinstance(item, dict):
        return False
    if isinstance(item.get("role"), str):
        return True
    kind = kind_of_part(item)
    return kind in _ITEMS or kind.endswith("_output") or (kind in ROLES and "content" in item)


def _with_role(item: Any) -> Any:
    if isinstance(item, dict) and not isinstance(item.get("role"), str) and kind_of_part(item) in ROLES:
        return {**item, "role": item["type"]}
    return item
