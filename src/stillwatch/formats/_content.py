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
# Calls and results are told by the end of their names (web_search_call, mcp_tool_result); the rest is here.
CALL_PARTS = frozenset({"tool_use", "server_tool_use", "mcp_tool_use", "mcp_approval_request"})
CALL_ENDING = "_call"
RESULT_ENDINGS = ("_call_output", "tool_result")
# Items of a Responses request that hold no text of anyone: pointers, switches and lists of tools.
SILENT_ITEMS = frozenset({"item_reference", "compaction", "mcp_list_tools", "mcp_approval_response"})
# No word of any language is this long; a shorter run of base64 is left as text.
BLOB_CHARACTERS = 200
_BLOB = re.compile(rf"(?:data:[^,\s]{{0,100}};base64,)?([A-Za-z0-9+/]{{{BLOB_CHARACTERS},}}={{0,2}})")
_DATA_URL = re.compile(r"data:[^,\s]{0,100};base64,")
_PAYLOADS = ("image_url", "video_url", "input_audio", "audio", "file", "source", "document", "image", "url")
_CONTENTS = ("url", "data", "file_data", "file_id", "file_url", "content", "text")
_UNSAID = REASONING_PARTS | SILENT_ITEMS
# What a call says of itself and not of what it asks for, and what it may carry of its answer.
_OF_THE_CALL = frozenset({"type", "id", "call_id", "status", "name", "container_id", "created_by", "agent"})
_ANSWERS = ("output", "outputs", "results", "result")


def kind_of_part(part: object) -> str:
    """Return the type that a part or an item names; empty where it names none."""
    # A dict, not any mapping: decoded JSON holds no other, and the check is made for every message.
    kind = part.get("type") if isinstance(part, dict) else None
    return kind if isinstance(kind, str) else ""


def is_call(kind: str) -> bool:
    """Whether a type of part or item is a call of a tool."""
    return kind in CALL_PARTS or kind.endswith(CALL_ENDING)


def is_result(kind: str) -> bool:
    """Whether a type of part or item is what a tool answered."""
    return kind.endswith(RESULT_ENDINGS)


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
    if not _may_hold_blob(text):
        return text
    return _BLOB.sub(lambda found: media_token(found.group(1)), text)


def _may_hold_blob(text: str) -> bool:
    """Whether somewhere there is no space in so many characters; a tenth of the time of the search itself.

    A run of ``BLOB_CHARACTERS`` covers one of the places looked at, and half of it lies on one side of that place.
    """
    half = BLOB_CHARACTERS // 2
    return any(
        " " not in text[at + 1 - half : at + 1] or " " not in text[at : at + half]
        for at in range(BLOB_CHARACTERS - 1, len(text), BLOB_CHARACTERS)
    )


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


def calls_text(calls: object) -> list[str]:
    """Return the texts of OpenAI ``tool_calls``; of what is no list there are none."""
    texts = []
    for call in calls if isinstance(calls, list) else ():
        if isinstance(call, dict):
            function = call.get("function") or call.get("custom") or call
            if isinstance(function, dict):
                arguments = function.get("arguments", function.get("input"))
                texts.append(call_text(function.get("name"), arguments))
    return texts


def part_text(part: object) -> str:
    """Return the text of one typed part of a content list."""
    if not isinstance(part, dict):
        return part if isinstance(part, str) else canonical(part)
    kind = kind_of_part(part)
    if kind in REASONING_PARTS:
        return ""
    if is_call(kind):
        return _call_part_text(kind, part)
    if is_result(kind):
        return content_text(part.get("content", part.get("output")))
    text = part.get("text", part.get("refusal"))
    return text if isinstance(text, str) else _other_text(kind, part)


def _call_part_text(kind: str, part: Mapping[str, Any]) -> str:
    """Return a call with its arguments, and what it carries of its answer on the next line."""
    asked = part.get("input", part.get("arguments"))
    if asked is None:
        asked = {
            name: value for name, value in part.items() if name not in _OF_THE_CALL and name not in _ANSWERS
        }
    text = call_text(part.get("name") or kind.removesuffix(CALL_ENDING), asked)
    answer = next((part[name] for name in _ANSWERS if part.get(name)), None)
    if answer is None:
        return text
    # The one answer that is a picture, as bare base64.
    told = media_token(str(answer)) if kind == "image_generation_call" else content_text(answer)
    return f"{text}\n{told}"


def _other_text(kind: str, part: Mapping[str, Any]) -> str:
    """Return the text inside of a part that has it elsewhere, else the token of a medium."""
    if kind == "search_result":
        return content_text(part.get("content"))
    if kind == "document":
        source = part.get("source")
        if isinstance(source, dict) and source.get("type") in ("text", "content"):
            return content_text(source.get("data", source.get("content")))
    for name in ("logs", "stdout"):
        if isinstance(part.get(name), str):
            error = part.get("stderr")
            return "\n".join(text for text in (part[name], error) if text and isinstance(text, str))
    return media_token(_payload(part))


def _payload(part: Mapping[str, Any]) -> str:
    """Return what of a media part is the same however it is sent: its address or its bytes as base64."""
    for key in _PAYLOADS:
        inner = part.get(key)
        if isinstance(inner, str):
            return inner
        if isinstance(inner, dict):
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
        told = [part for part in content if is_result(kind_of_part(part))]
        yield from (("tool", part_text(part)) for part in told)
        if told and len(told) == len(content):
            return
        content = [part for part in content if not is_result(kind_of_part(part))]
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
    if isinstance(value, dict):
        value = [value]
    if not isinstance(value, list):
        raise MalformedError("messages are neither text nor a list")
    return [_stated_message(item) for item in value if kind_of_part(item) not in _UNSAID]


def _role_of_item(kind: str) -> str:
    """Return whose item it is where it does not say so itself."""
    if not kind:
        raise MalformedError("a message has no role")
    if is_result(kind):
        return "tool"
    return "user" if kind == "text" or kind.startswith("input_") else "assistant"


def _stated_message(item: object) -> StatedMessage:
    if isinstance(item, str):
        return StatedMessage("user", item)
    if not isinstance(item, dict):
        raise MalformedError("a message is neither text nor an object")
    role, content, calls = item.get("role"), item.get("content"), item.get("tool_calls")
    kind = kind_of_part(item)
    if not isinstance(role, str) or (kind and (is_call(kind) or is_result(kind))):
        return StatedMessage(_role_of_item(kind), part_text(item))
    if content is not None and not isinstance(content, str | list):
        content = [content]
    legacy = item.get("function_call")
    return StatedMessage(
        role,
        content,
        calls if isinstance(calls, list) else None,
        legacy if isinstance(legacy, dict) else None,
    )
