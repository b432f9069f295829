"""Calls of which a log tells twice: by a span and by an event, or by a span that was sent again."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from stillwatch.formats._conform import Piece

TOLD = "a call that was told of before, by its span or its event"


class Told:
    """The calls that a log told of so far, in eight bytes each.

    >>> told = Told()
    >>> told.first(np.array([5, 5, 7], np.uint64)).tolist(), told.first(np.array([7, 8], np.uint64)).tolist()
    ([True, False, True], [False, True])
    """

    def __init__(self) -> None:
        self._numbers = np.empty(0, np.uint64)

    def first_only(self, piece: Piece) -> Piece:
        """Return a piece without the exchanges that were told of before, which are counted instead."""
        if piece.calls is None:
            return piece
        first = self.first(piece.calls)
        again = len(first) - int(first.sum())
        if not again:
            return piece
        skipped = {**piece.skipped, TOLD: piece.skipped.get(TOLD, 0) + again}
        batch, calls = piece.batch.filter(pa.array(first)), piece.calls[first]
        return replace(piece, batch=batch, skipped=skipped, calls=calls)

    def first(self, calls: np.ndarray) -> np.ndarray:
        """Say of each call whether it is told of for the first time."""
        numbers, places = np.unique(calls, return_index=True)
        at = np.searchsorted(self._numbers, numbers)
        known = np.zeros(len(numbers), bool)
        inside = at < len(self._numbers)
        known[inside] = self._numbers[at[inside]] == numbers[inside]
        self._numbers = np.insert(self._numbers, at[~known], numbers[~known])
        first = np.zeros(len(calls), bool)
        first[places[~known]] = True
        return first
