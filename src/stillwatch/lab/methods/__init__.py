"""Ways to train a student, one file each: the paper, the equation with its shapes, the loss and the loop."""

from __future__ import annotations

from importlib import import_module
from pkgutil import iter_modules

from stillwatch.lab.methods.base import Material, Method

__all__ = ["Material", "Method", "all_methods"]


def all_methods() -> dict[str, Method]:
    """Every method by name; a file with a ``METHOD`` is found by itself."""
    found: dict[str, Method] = {}
    for module in sorted(iter_modules(__path__), key=lambda each: each.name):
        method = getattr(import_module(f"{__name__}.{module.name}"), "METHOD", None)
        if method is not None:
            found[method.name] = method
    return found
