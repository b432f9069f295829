"""Companions: the same principals share another rare suspect family."""

from __future__ import annotations

from math import log2

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
        for (first, second), common in overlaps(suspects.principals).items():
            small, large = sorted((len(suspects.principals[first]), len(suspects.principals[second])))
            expected = small * large / suspects.all_principals
            if (
                common < max(self.least, self.of_smaller * small, self.of_larger * large)
                or common < self.lift * expected
            ):
                continue
            reason = f"{common:,} of {small:,} principals send both templates; {expected:.1f} would by chance"
            bits = log2(common / max(expected, 1 / 1024))
            found.append(
                Linked(self.name, int(suspects.family[first]), int(suspects.family[second]), bits, reason)
            )
        return found


LINK = Companions()
