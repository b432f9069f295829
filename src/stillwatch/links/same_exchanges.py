"""Same exchanges: two families that are parts of one template, in the system prompt and in the new text,
say."""

from __future__ import annotations

from math import log2

import numpy as np

from stillwatch.links.base import Linked, Suspects, overlaps


class SameExchanges:
    """Joins families where half of the exchanges with either have both (Jaccard 1912), or one lies inside the
    other."""

    name = "same_exchanges"
    least, inside = 0.5, 0.8

    def find(self, suspects: Suspects) -> list[Linked]:
        """Pairs whose exchanges are the same."""
        found = []
        sizes = np.array([len(own) for own in suspects.rows], np.int64)
        for first, others, common in overlaps(suspects.rows):
            small, large = np.minimum(sizes[first], sizes[others]), np.maximum(sizes[first], sizes[others])
            joined = common >= np.minimum(self.least * (small + large - common), self.inside * small)
            for second, both, few, many in zip(
                *(each[joined].tolist() for each in (others, common, small, large)), strict=True
            ):
                reason = (
                    f"{both:,} exchanges hold both templates, of {few:,} that hold one and {many:,} the other"
                )
                pair = int(suspects.family[first]), int(suspects.family[second])
                found.append(Linked(self.name, *pair, log2(1 + both), reason))
        return found


LINK = SameExchanges()
