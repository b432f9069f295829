"""Text of messages: typed parts, tool calls and media become plain text with a role, alike for every API.

Text parts are joined by a newline. Media become one token line of a hash, so that equal pictures stay equal
and no bytes of them are kept. A tool call becomes ``name({"sorted":"arguments"})``, a tool's result is a
message of role ``tool``. Reasoning that a client sends back is left out, as it was the model's.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from stillwatch.formats._stated import MalformedError, StatedMessage

ROLES = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "human": "user",
    "assistant": "assistant",
    "model": "assistant",
    "ai": "assistant",
    "tool": "tool",
    "function": "tool",
}
REASONING_PARTS = frozenset({"thinking", "redacted_thinking", "reasoning"})
CALL_PARTS = frozenset({"tool_use", "server_tool_use", "function_call", "custom_tool_call", "mcp_call"})
RESULT_PARTS = frozenset({"tool_result", "function_call_output", "custom_tool_call_output"})
# No word of any language is this long; a shorter run of base64 is left as text.
BLOB_CHARACTERS = 200
BLOB_PATTERN = f"[A-Za-z0-9+/]{{{BLOB_CHARACTERS}}}"
_BLOB = re.compile(rf"(?:data:[^,\s]{{0,100}};base64,)?([A-Za-z0-9+/]{{{BLOB_CHARACTERS},}}={{0,2}})")
_DATA_URL = re.compile(r"data:[^,\s]{0,100};base64,")
_PAYLOADS = ("image_url", "video_url", "input_audio", "audio", "file", "source", "document", "image", "url")
_CONTENTS = ("url", "data", "file_data", "file_id", "file_url", "content", "text")


def kind_of_part(part: object) -> str:
    """Return the type that a part or an item names; empty where it names none."""
    kind = part.get("type") if isinstance(part, Mapping) else None
    return kind if isinstance(kind, str) else ""


def known_role(role: str) -> str:
    """Return the role as the exchange table names it.

    >>> known_role("developer")
    'system'
    """
    known = ROLES.get(role) or ROLES.get(role.lower())
    if known is None:
        raise MalformedError(f"a message has an unknown role; known are {', '.join(sorted(ROLES))}")
    return known


def canonical(value: object) -> str:
    """Return a value as JSON with sorted keys, so that equal values have equal text."""
    return msgspec.json.encode(value, order="sorted").decode()


def tool_text(tool: object) -> str:
    """Return the definition of a tool as text; one that is text already stays as it is."""
    return tool if isinstance(tool, str) else canonical(tool)


def media_token(payload: str) -> str:
    """Return the one line that stands for a picture, a sound or a file.

    >>> media_token("data:image/png;base64,QUJD") == media_token("QUJD")
    True
    """
    digest = hashlib.sha256(_DATA_URL.sub("", payload, count=1).encode()).hexdigest()
    return f"[media:sha256:{digest[:16]}]"


def without_blobs(text: str) -> str:
    """Return a text in which every long run of base64, with or without its data URL, is a media token."""
    return _BLOB.sub(lambda found: media_token(found.group(1)), text)


def call_text(name: object, arguments: object) -> str:
    """Return a tool call as text.

    >>> call_text("weather", '{"town": "Oulu", "days": 2}')
    'weather({"days":2,"town":"Oulu"})'
    """
    if isinstance(arguments, str):
        try:
            arguments = msgspec.json.decode(arguments)
        except (msgspec.MsgspecError, UnicodeDecodeError):
            return f"{name}({arguments})"
    return f"{name}({canonical(arguments if arguments is not None else {})})"


def calls_text(calls: Iterable[object]) -> list[str]:
    """Return the texts of OpenAI ``tool_calls``."""
    texts = []
    for call in calls:
        if isinstance(call, Mapping):
            function = call.get("function") or call.get("custom") or call
            if isinstance(function, Mapping):
                arguments = function.get("arguments", function.get("input"))
                texts.append(call_text(function.get("name"), arguments))
    return texts


def part_text(part: object) -> str:
    """Return the text of one typed part of a content list."""
    if not isinstance(part, Mapping):
        return part if isinstance(part, str) else canonical(part)
    kind = kind_of_part(part)
    if kind in REASONING_PARTS:
        return ""
    if kind in CALL_PARTS:
        return call_text(part.get("name"), part.get("input", part.get("arguments")))
    if kind in RESULT_PARTS:
        return content_text(part.get("content", part.get("output")))
    text = part.get("text", part.get("refusal"))
    return text if isinstance(text, str) else media_token(_payload(part))


def _payload(part: Mapping[str, Any]) -> str:
    """Return what of a media part is the same however it is sent: its address or its bytes as base64."""
    for key in _PAYLOADS:
        inner = part.get(key)
        if isinstance(inner, str):
            return inner
        if isinstance(inner, Mapping):
            for name in _CONTENTS:
                if isinstance(inner.get(name), str):
                    return str(inner[name])
    return canonical(part)


def content_text(content: object) -> str:
    """Return the text of a content: text as it is, parts joined by a newline.

    >>> content_text(["what is this", {"type": "image_url", "image_url": {"url": "u"}}])
    'what is this\\n[media:sha256:0bfe935e70c321c7]'
    """
    if isinstance(content, str):
        return content
    if isinstance(content, list):
        return "\n".join(text for text in map(part_text, content) if text)
    return "" if content is None else part_text(content)


def add_turns(messages: Iterable[StatedMessage], roles: list[str], contents: list[str]) -> None:
    """Add the role and text of each message to two flat lists; a tool's result becomes a message of its own.

    >>> roles, contents = [], []
    >>> messages = [StatedMessage("developer", "Be brief."), StatedMessage("user", ["Hello"])]
    >>> add_turns(messages, roles, contents)
    >>> roles, contents
    (['system', 'user'], ['Be brief.', 'Hello'])
    """
    # Flat lists: a tuple for each message would cost more in garbage collection than the work itself.
    for message in messages:
        role = ROLES.get(message.role) or known_role(message.role)
        content = message.content
        if isinstance(content, str) and message.tool_calls is None and message.function_call is None:
            roles.append(role)
            contents.append(content)
        else:
            for typed_role, text in _typed_turns(role, message):
                roles.append(typed_role)
                contents.append(text)


def _typed_turns(role: str, message: StatedMessage) -> Iterable[tuple[str, str]]:
    content = message.content
    if isinstance(content, list) and role == "user":
        told = [part for part in content if kind_of_part(part) in RESULT_PARTS]
        yield from (("tool", part_text(part)) for part in told)
        if told and len(told) == len(content):
            return
        content = [part for part in content if kind_of_part(part) not in RESULT_PARTS]
    texts = [content_text(content)] if content else []
    if message.tool_calls:
        texts += calls_text(message.tool_calls)
    if message.function_call:
        texts += calls_text([message.function_call])
    yield role, "\n".join(texts)


def stated_messages(value: object) -> list[StatedMessage]:
    """Return untyped messages, of a chat or of the items of a Responses request, as stated ones."""
    if value is None:
        return []
    if isinstance(value, str):
        return [StatedMessage("user", value)]
    if isinstance(value, Mapping):
        value = [value]
    if not isinstance(value, list):
        raise MalformedError("messages are neither text nor a list")
    return [_stated_message(item) for item in value if kind_of_part(item) not in REASONING_PARTS]


def _stated_message(item: object) -> StatedMessage:
    if isinstance(item, str):
        return StatedMessage("user", item)
    if not isinstance(item, Mapping):
        raise MalformedError("a message is neither text nor an object")
    kind = kind_of_part(item)
    if kind in CALL_PARTS or kind in RESULT_PARTS:
        return StatedMessage("assistant" if kind in CALL_PARTS else "tool", part_text(item))
    role, content, calls = item.get("role"), item.get("content"), item.get("tool_calls")
    if not isinstance(role, str):
        raise MalformedError("a message has no role")
    if content is not None and not isinstance(content, str | list):
        content = [content]
    legacy = item.get("function_call")
    return StatedMessage(
        role,
        content,
        calls if isinstance(calls, list) else None,
        legacy if isinstance(legacy, dict) else None,
    )
