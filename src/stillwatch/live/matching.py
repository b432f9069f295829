"""The fragments of one request, made as those of a log are, so that both can be compared."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from stillwatch.fingerprint import fragments
from stillwatch.formats._bodies import PROMPTS, prompt_of
from stillwatch.formats._content import add_turns, tool_text, without_blobs
from stillwatch.formats._parameters import stated_tools
from stillwatch.formats._stated import MalformedError

if TYPE_CHECKING:
    from stillwatch.keys import Keys

_UNREAD = (MalformedError, RecursionError)
Turns = tuple[list[str], list[str]]
"""Roles and texts of messages."""


class RequestError(Exception):
    """A request of which no fragments can be made; the text says why and repeats nothing of it."""


def fragments_of(request: Mapping[str, Any], keys: Keys) -> frozenset[int]:
    """Fragments of a request body of OpenAI's or Anthropic's interfaces.

    Earlier turns of a conversation are left aside, as a scan does where it cannot tell that a conversation begins. A server
    reads one of several prompts and may pass over what is odd, so all prompts are read, and whatever of them can be.
    Raises :class:`RequestError`.
    """
    tools = _tools(request)
    around: Mapping[str, Any] = {name: value for name, value in request.items() if name not in PROMPTS}
    found: frozenset[int] = frozenset()
    read = False
    for name, prompt in _prompts(request):
        roles, contents = _turns(around, name, prompt)
        read = read or bool(contents)
        found |= fragments(roles, [without_blobs(text) for text in contents], tools, keys)
        around, tools = {}, []  # what stands around all of them is read once
    if not read:
        raise RequestError(f"the request has none of {', '.join(PROMPTS)} that can be read")
    return found


def _prompts(request: Mapping[str, Any]) -> Iterator[tuple[str, object]]:
    """Every prompt of a request with the name of its field; a batch of conversations holds one each."""
    for name in PROMPTS:
        prompt = request.get(name)
        if isinstance(prompt, list) and prompt and all(isinstance(one, list) for one in prompt):
            yield from ((name, one) for one in prompt)
        elif prompt is not None:
            yield name, prompt


def _turns(around: Mapping[str, Any], name: str, prompt: object) -> Turns:
    """The turns of a prompt and of what stands before it; where they cannot be read together, those that can alone."""
    whole = _read({**around, name: prompt})
    if whole is not None:
        return whole
    roles: list[str] = []
    contents: list[str] = []
    pieces = [_read({**around, name: []})]
    pieces += [_item(name, item) for item in prompt] if isinstance(prompt, list) else []
    for piece in pieces:
        if piece is not None:
            roles += piece[0]
            contents += piece[1]
    return roles, contents


def _item(name: str, item: object) -> Turns | None:
    """One message; whose role no log knows is taken for a user's, as templates of chats may write it out."""
    found = _read({name: [item]})
    return _read({name: [{**item, "role": "user"}]}) if found is None and isinstance(item, dict) else found


def _read(request: Mapping[str, Any]) -> Turns | None:
    roles: list[str] = []
    contents: list[str] = []
    try:
        # Some servers have one model and need no name of it.
        add_turns(prompt_of({**request, "model": ""})[0], roles, contents)
    except _UNREAD:
        return None
    return roles, contents


def _tools(request: Mapping[str, Any]) -> list[str]:
    texts = []
    for tool in stated_tools(request) or ():
        try:
            texts.append(tool_text(tool))
        except RecursionError:
            continue
    return texts
