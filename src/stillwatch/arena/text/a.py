"""Text source a: everyday English, and templates for code."""

from __future__ import annotations

from stillwatch.arena.text.source import TextSource, load

FILES: tuple[str, ...] = ("words.txt", "pools.txt", "objectives.txt", "honest.txt")


def source() -> TextSource:
    """Load the source."""
    return load("a", FILES)
