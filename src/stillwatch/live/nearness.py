"""Whether a look sooner than the next one would pay: evidence that is nearly enough, of a stream that grows fast.

What a campaign gets before it is flagged is what it sends while nobody looks. A campaign that begins sends a good part of
all that it has sent within the last step; one that is weeks old, and what innocents have sent for weeks, does not, so
traffic at rest is looked at no more often than without this.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from stillwatch.judging import SHOWN
from stillwatch.verdict import threshold

if TYPE_CHECKING:
    from collections.abc import Collection, Sequence

    from stillwatch.examine import Scanned
    from stillwatch.judging import Judged
    from stillwatch.verdict import Bar

NEAR_BITS = 2.0
"""Bits below the threshold of a scan from which evidence is near; what doubt asks for besides is left aside, as it goes in
one look."""

GROWN = 0.02
"""Share of a stream's exchanges since the last step from which it grows fast."""


def comes_near(
    scanned: Scanned, groups: Sequence[Judged], flagged: Collection[int], since_us: int, bar: Bar
) -> bool:
    """Whether a group that is not ``flagged`` comes near the bar, by what it has sent since ``since_us`` among others."""
    at = scanned.sketches["at_us"].to_numpy()
    for number, judged in enumerate(groups):
        case = judged.case
        if number in flagged or judged.ruling.verdict not in SHOWN:
            continue
        gates = case.conduct >= bar.conduct and case.returning >= bar.returning
        if not gates or case.bits - threshold(bar) < -NEAR_BITS:
            continue
        own = at[scanned.merged.row[scanned.merged.stream == number]]
        if np.count_nonzero(own >= since_us) >= GROWN * len(own):
            return True
    return False
