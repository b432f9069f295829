"""The template of a family as a gateway needs it: keyed fragments, and how much of them a request must hold.

A fragment is a keyed hash (see :mod:`stillwatch.fingerprint`), so nothing of the text can be read back, and whoever lacks
the key can neither make nor match one. The rule is that of :mod:`stillwatch.families.assign`: the weights of the distinct
fragments that a request shares with the family reach ``least_weight``, and there are ``least_fragments`` of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

_WORD = 1 << 64


@dataclass(frozen=True, slots=True)
class Template:
    """What a request must hold to belong to one family."""

    family_id: str
    key: str
    """Public name of the key under which the fragments were made; those of another key never match."""
    least_weight: float
    """Weight that the request must hold."""
    least_fragments: int
    """Fragments that it must hold."""
    fragments: Mapping[int, int]
    """Weight of each fragment."""

    def as_json(self) -> dict[str, Any]:
        """The template as the snapshot holds it; a fragment is sixteen hexadecimal digits."""
        return {
            "key": self.key,
            "least_weight": self.least_weight,
            "least_fragments": self.least_fragments,
            "fragments": {
                f"{fragment % _WORD:016x}": weight for fragment, weight in sorted(self.fragments.items())
            },
        }

    @staticmethod
    def from_json(family_id: str, told: Mapping[str, Any]) -> Template:
        """The template that :meth:`as_json` made; raises what reading a wrong one raises."""
        return Template(
            family_id,
            str(told["key"]),
            float(told["least_weight"]),
            int(told["least_fragments"]),
            {signed(int(word, 16)): int(weight) for word, weight in told["fragments"].items()},
        )


def signed(word: int) -> int:
    """A 64-bit word as the signed integer that a sketch holds.

    >>> signed(0xFFFFFFFFFFFFFFFF), signed(5)
    (-1, 5)
    """
    return word - _WORD if word >= _WORD >> 1 else word


class Templates:
    """Which of some families a request belongs to; one look-up a fragment, however many the families are."""

    def __init__(self, templates: Iterable[Template]) -> None:
        self._templates = tuple(templates)
        self._holding: dict[int, list[tuple[int, int]]] = {}
        for place, template in enumerate(self._templates):
            for fragment, weight in template.fragments.items():
                self._holding.setdefault(fragment, []).append((place, weight))

    def match(self, fragments: Iterable[int]) -> frozenset[str]:
        """Ids of the families to which a request with these fragments belongs."""
        held: dict[int, list[int]] = {}
        for fragment in self._holding.keys() & fragments:  # most fragments of a request are no template's
            for place, weight in self._holding[fragment]:
                count = held.setdefault(place, [0, 0])
                count[0] += weight
                count[1] += 1
        return frozenset(
            self._templates[place].family_id
            for place, (weight, count) in held.items()
            if weight >= self._templates[place].least_weight
            and count >= self._templates[place].least_fragments
        )
