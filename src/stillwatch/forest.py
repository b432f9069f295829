"""Which names are joined, directly or through others."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable


class Forest:
    """Union-find over a few names, each tree rooted in its smallest."""

    def __init__(self, names: Iterable[int]) -> None:
        """Each name is a tree of its own."""
        self._parent = {name: name for name in names}

    def root(self, name: int) -> int:
        """Smallest name of the tree that a name is in."""
        while self._parent[name] != name:
            self._parent[name] = name = self._parent[self._parent[name]]
        return name

    def join(self, first: int, second: int) -> None:
        """Make the trees of two names one."""
        low, high = sorted((self.root(first), self.root(second)))
        self._parent[high] = low
