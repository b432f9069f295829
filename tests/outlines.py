"""Outlines made by hand, for the tests of what is asked of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from stillwatch.families.outlines import KINDS, Outlines
from stillwatch.fingerprint import NEW


def outlines_of(texts: Sequence[Sequence[int]], principals: Sequence[int]) -> Outlines:
    """The outlines of exchanges whose new text holds these fragments; equal texts are one outline."""
    number: dict[tuple[int, ...], int] = {}
    of_row = np.full((len(texts), KINDS), -1, np.int32)
    users: list[Counter[int]] = []
    for row, (text, principal) in enumerate(zip(texts, principals, strict=True)):
        own = number.setdefault(tuple(text), len(number))
        of_row[row, NEW] = own
        if own == len(users):
            users.append(Counter())
        users[own][principal] += 1
    return Outlines(
        bounds=np.cumsum([0, *map(len, number)]).astype(np.int64),
        fragment=np.array([code for text in number for code in text], np.int32),
        role=np.full(len(number), NEW, np.uint8),
        of_row=of_row,
        times=np.array([sum(own.values()) for own in users], np.int64),
        user_bounds=np.cumsum([0, *map(len, users)]).astype(np.int64),
        user=np.array([user for own in users for user in own], np.int32),
        user_times=np.array([times for own in users for times in own.values()], np.int32),
    )
