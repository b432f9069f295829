"""Infrastructure: accounts of two suspect families pay by the same means, weighted by how rare the means
are."""

from __future__ import annotations

from math import log2

from stillwatch.links.base import Linked, Suspects, overlaps


class Infrastructure:
    """Joins suspect families that share several rare means of payment, never on a single shared value.

    The weight of an agreement is log2(N / holders), N the accounts of the log (Fellegi & Sunter 1969): a
    prepaid card brand that thousands use weighs next to nothing.
    """

    name = "infrastructure"
    least_values, least_bits = 3, 20.0

    def find(self, suspects: Suspects) -> list[Linked]:
        """Pairs whose accounts pay by the same rare means."""
        found = []
        for (first, second), common in overlaps(suspects.payments).items():
            if common < self.least_values:
                continue
            shared = set(suspects.payments[first].tolist()) & set(suspects.payments[second].tolist())
            bits = sum(
                max(log2(suspects.all_principals / (4 * suspects.payment_holders[value])), 0.0)
                for value in shared
            )
            if bits >= self.least_bits:
                reason = (
                    f"their accounts share {common:,} means of payment, weighing {bits:.0f} bits by rarity"
                )
                found.append(
                    Linked(self.name, int(suspects.family[first]), int(suspects.family[second]), bits, reason)
                )
        return found


LINK = Infrastructure()
