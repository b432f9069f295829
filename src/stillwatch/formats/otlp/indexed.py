"""Lists that are written as attributes: one attribute a field, with the place in its name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_LONGEST_PLACE = 9


def indexed(attributes: Mapping[str, Any], prefix: str) -> list[dict[str, Any]]:
    """Return the items of a list, each with its fields by what follows their place.

    >>> indexed({"m.0.role": "user", "m.10.role": "tool", "m.2.role": "system", "m.x": 1}, "m.")
    [{'role': 'user'}, {'role': 'system'}, {'role': 'tool'}]
    """
    items: dict[int, dict[str, Any]] = {}
    for name, value in attributes.items():
        if name.startswith(prefix):
            place, _, field = name[len(prefix) :].partition(".")
            if field and len(place) <= _LONGEST_PLACE and place.isascii() and place.isdigit():
                items.setdefault(int(place), {})[field] = value
    return [items[place] for place in sorted(items)]
