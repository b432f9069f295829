"""Infrastructure: accounts of two suspect families pay by the same means, weighted by how rare the means
are."""

from __future__ import annotations

from math import log2
from typing import TYPE_CHECKING

import numpy as np

from stillwatch.distinct import distinct
from stillwatch.links.base import Linked, Suspects, overlaps

if TYPE_CHECKING:
    from numpy.typing import NDArray


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
        values = [distinct(pairs[1]) for pairs in suspects.payments]
        payers = [distinct(pairs[0]) for pairs in suspects.payments]
        candidates = (
            (first, second)
            for first, others, common in overlaps(values)
            for second in others[common >= self.least_values].tolist()
        )
        for first, second in candidates:
            shared = _between(
                _of_others(suspects.payments[first], payers[second]),
                _of_others(suspects.payments[second], payers[first]),
            )
            if len(shared) < self.least_values:
                continue
            bits = sum(
                max(log2(suspects.all_principals / (4 * suspects.payment_holders[value])), 0.0)
                for value in shared
            )
            if bits >= self.least_bits:
                reason = f"their accounts share {len(shared):,} means of payment, weighing {bits:.0f} bits by rarity"
                found.append(
                    Linked(self.name, int(suspects.family[first]), int(suspects.family[second]), bits, reason)
                )
        return found


def _between(first: NDArray[np.int64], second: NDArray[np.int64]) -> list[int]:
    """Means by which an account of one family alone and an account of the other alone pay."""
    if not len(first) or not len(second):
        return []
    shared: list[int] = np.intersect1d(first, second).tolist()
    return shared


def _of_others(pairs: NDArray[np.int64], payers: NDArray[np.int64]) -> NDArray[np.int64]:
    """Means of payment in ``pairs`` (of principal and means) of those who are not among ``payers``, ascending."""
    means: NDArray[np.int64] = pairs[1]
    if not len(payers):
        return means
    place = np.minimum(np.searchsorted(payers, pairs[0]), len(payers) - 1)
    outside: NDArray[np.bool_] = payers[place] != pairs[0]
    return means[outside]


LINK = Infrastructure()
