"""Same exchanges: two families that are parts of one template, in the system prompt and in the new text,
say."""

from __future__ import annotations

from math import log2

from stillwatch.links.base import Linked, Suspects, overlaps


class SameExchanges:
    """Joins families where half of the exchanges with either have both (Jaccard 1912), or one lies inside the
    other."""

    name = "same_exchanges"
    least, inside = 0.5, 0.8

    def find(self, suspects: Suspects) -> list[Linked]:
        """Pairs whose exchanges are the same."""
        found = []
        for (first, second), common in overlaps(suspects.rows).items():
            small, large = sorted((len(suspects.rows[first]), len(suspects.rows[second])))
            if common >= min(self.least * (small + large - common), self.inside * small):
                reason = (
                    f"{common:,} exchanges hold both templates, "
                    f"of {small:,} that hold one and {large:,} the other"
                )
                pair = int(suspects.family[first]), int(suspects.family[second])
                found.append(Linked(self.name, *pair, log2(1 + common), reason))
        return found


LINK = SameExchanges()
