"""Companions: the same principals share another rare suspect family."""

from __future__ import annotations

from math import log2

import numpy as np

from stillwatch.links.base import Linked, Suspects, overlaps


class Companions:
    """Joins suspect families that share principals far beyond chance: half of the smaller and a fifth of the
    larger.

    Only suspects are asked, so a public client that everybody uses joins nothing.
    """

    name = "companions"
    of_smaller, of_larger, least, lift = 0.5, 0.2, 5, 4.0

    def find(self, suspects: Suspects) -> list[Linked]:
        """Pairs whose principals are largely the same."""
        found = []
        sizes = np.array([len(own) for own in suspects.principals], np.int64)
        for first, others, common in overlaps(suspects.principals):
            small, large = np.minimum(sizes[first], sizes[others]), np.maximum(sizes[first], sizes[others])
            expected = small * large / suspects.all_principals
            joined = common >= np.maximum(self.of_smaller * small, self.of_larger * large)
            joined &= (common >= self.least) & (common >= self.lift * expected)
            for second, both, few, chance in zip(
                *(each[joined].tolist() for each in (others, common, small, expected)), strict=True
            ):
                reason = f"{both:,} of {few:,} principals send both templates; {chance:.1f} would by chance"
                bits = log2(both / max(chance, 1 / 1024))
                found.append(
                    Linked(self.name, int(suspects.family[first]), int(suspects.family[second]), bits, reason)
                )
        return found


LINK = Companions()
