"""The fragments of one request, made as those of a log are, so that both can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from stillwatch.fingerprint import fragments
from stillwatch.formats._bodies import prompt_of
from stillwatch.formats._content import add_turns, tool_text, without_blobs
from stillwatch.formats._stated import MalformedError

if TYPE_CHECKING:
    from stillwatch.keys import Keys


class RequestError(Exception):
    """A request of which no fragments can be made; the text says why and repeats nothing of it."""


def fragments_of(request: Mapping[str, Any], keys: Keys) -> frozenset[int]:
    """Fragments of a request body of OpenAI's or Anthropic's interfaces.

    Earlier turns of a conversation are left aside, as a scan does where it cannot tell that a conversation begins.
    Raises :class:`RequestError`.
    """
    roles: list[str] = []
    contents: list[str] = []
    try:
        messages, stated = prompt_of(request)
        add_turns(messages, roles, contents)
        tools = [tool_text(tool) for tool in stated or ()]
    except MalformedError as error:
        raise RequestError(str(error)) from None
    except RecursionError:
        raise RequestError("nested too deeply") from None
    return fragments(roles, [without_blobs(text) for text in contents], tools, keys)
