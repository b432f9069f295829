"""Sampling parameters and token counts, which every API of the OpenAI family names nearly alike."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# Column -> the names it goes by, the newest first.
PARAMETERS = {
    "max_tokens": ("max_completion_tokens", "max_output_tokens", "max_tokens"),
    "temperature": ("temperature",),
    "sample_count": ("n",),
    "top_logprobs": ("top_logprobs", "logprobs"),
}
USAGE = {
    "input_tokens": ("prompt_tokens", "input_tokens"),
    "output_tokens": ("completion_tokens", "output_tokens"),
}


def stated_numbers(
    record: Mapping[str, Any], names: Mapping[str, tuple[str, ...]]
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the numbers of a record by column, and the columns of which the value is no number.

    >>> stated_numbers({"max_tokens": 9, "temperature": "hot", "logprobs": True}, PARAMETERS)
    ({'max_tokens': 9}, ('temperature',))
    """
    found: dict[str, Any] = {}
    nulled = []
    for column, candidates in names.items():
        for name in candidates:
            value = record.get(name)
            if value is not None:
                break
        else:
            continue
        # logprobs is a switch in one API and a number in another.
        if isinstance(value, bool):
            continue
        if isinstance(value, int | float):
            found[column] = value
        else:
            nulled.append(column)
    return found, tuple(nulled)


def stated_tools(record: Mapping[str, Any]) -> list[Any] | None:
    """Return the tool definitions of a request."""
    tools = record.get("tools") or record.get("functions")
    return tools if isinstance(tools, list) else None
