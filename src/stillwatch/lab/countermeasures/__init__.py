"""What an owner puts between teacher and channel, one file each: the paper, what it changes, and what honest users lose."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from stillwatch.lab.countermeasures.base import Countermeasure, CountermeasureError

__all__ = ["Countermeasure", "CountermeasureError", "all_countermeasures"]


def all_countermeasures() -> dict[str, Countermeasure]:
    """Every countermeasure by name; a file with a ``COUNTERMEASURE`` is found by itself."""
    found: dict[str, Countermeasure] = {}
    for module in sorted(iter_modules(__path__), key=lambda each: each.name):
        countermeasure = getattr(import_module(f"{__name__}.{module.name}"), "COUNTERMEASURE", None)
        if countermeasure is not None:
            found[countermeasure.name] = countermeasure
    return found
