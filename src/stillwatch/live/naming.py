"""Names of campaigns that stay while the campaigns grow.

A scan names a campaign after the smallest of its fragments, which changes when more of them become heavy. Here a
campaign keeps the name under which it was first accused: at each look, an accused group is the campaign with which
it has at least half of the fragments of the smaller of the two in common. Where several are, the group goes by the
one that was accused first, and the names of the others lead to it from then on; where a campaign falls apart, the
part with the most fragments keeps its name.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SAME = 0.5
"""Share of the fragments of the smaller of two that both must have to be one campaign."""


@dataclass(frozen=True, slots=True)
class Group:
    """An accused group of one look."""

    fragments: NDArray[np.int64]
    """Fragments of its families, ascending."""

    suggested: Sequence[str]
    """Names that it may get, the one that a scan would give first."""


@dataclass(frozen=True, slots=True)
class Named:
    """The campaign that a group is."""

    name: str
    also: frozenset[str]
    """Names under which what it consists of was accused before, its own among them."""


class Names:
    """The campaigns that were accused so far, by name, in the order in which they were."""

    def __init__(self) -> None:
        self._known: dict[str, NDArray[np.int64]] = {}

    def give(self, groups: Sequence[Group]) -> list[Named]:
        """Name the accused groups of one look."""
        common = {
            (name, place): len(np.intersect1d(held, group.fragments, assume_unique=True))
            for name, held in self._known.items()
            for place, group in enumerate(groups)
        }
        same = {
            (name, place)
            for (name, place), shared in common.items()
            if shared and shared >= SAME * min(len(self._known[name]), len(groups[place].fragments))
        }
        names: dict[int, str] = {}
        for name in self._known:
            free = [place for place in range(len(groups)) if (name, place) in same and place not in names]
            if free:
                names[max(free, key=lambda place: (common[name, place], -place))] = name
        result = []
        for place, group in enumerate(groups):
            name = names.get(place) or self._new(group)
            self._known[name] = group.fragments
            result.append(Named(name, frozenset({name} | {known for known, at in same if at == place})))
        return result

    def _new(self, group: Group) -> str:
        free = [name for name in group.suggested if name not in self._known]
        if free:
            return free[0]
        number = 2
        while (name := f"{group.suggested[0]}-{number}") in self._known:
            number += 1
        return name
