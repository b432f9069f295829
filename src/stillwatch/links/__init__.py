"""Links: what joins suspect families into the campaign of one operator. One file, one kind of link."""

from __future__ import annotations

import pkgutil
from functools import lru_cache
from importlib import import_module

from stillwatch.links.base import Link


@lru_cache(maxsize=1)
def all_links() -> tuple[Link, ...]:
    """Every kind of link in this package, in order of name."""
    found = []
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        if (link := getattr(import_module(module.name), "LINK", None)) is not None:
            found.append(link)
    return tuple(sorted(found, key=lambda link: link.name))
