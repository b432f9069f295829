"""Signals: one file, one measured property of a stream. Adding one is adding a file with a ``SIGNAL`` in
it."""

from __future__ import annotations

import pkgutil
from functools import lru_cache
from importlib import import_module

from stillwatch.signals.base import Signal


@lru_cache(maxsize=1)
def all_signals() -> tuple[Signal, ...]:
    """Every signal of this package, in order of name."""
    found = []
    for module in pkgutil.iter_modules(__path__, f"{__name__}."):
        if (signal := getattr(import_module(module.name), "SIGNAL", None)) is not None:
            found.append(signal)
    return tuple(sorted(found, key=lambda signal: signal.name))
