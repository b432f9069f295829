"""Which suspects are judged together though none of them clears the bar."""

from __future__ import annotations

import numpy as np

from stillwatch.campaigns import Suspicion, _find, _find_alike
from stillwatch.links.base import Suspects

EVERYBODY = 4_000


def suspects(*principals: range) -> Suspects:
    """Families that these principals send, each with exchanges of its own."""
    own = [np.array(members, np.int32) for members in principals]
    rows = [np.arange(1000 * place, 1000 * place + len(members)) for place, members in enumerate(own)]
    lives = np.zeros(EVERYBODY, np.int64), np.full(EVERYBODY, 10**12)
    unpaid = [np.empty((2, 0), np.int64) for _ in own]
    numbers = np.arange(len(own), dtype=np.int32)
    return Suspects(numbers, [row.astype(np.int32) for row in rows], own, unpaid, EVERYBODY, {}, *lives)


def test_two_templates_of_the_same_accounts_are_judged_together() -> None:
    found = _find_alike(suspects(range(250), range(20, 260)), Suspicion().alike)
    assert [(link.first, link.second) for link in found] == [(0, 1)]


def test_what_the_accounts_of_an_operator_and_many_others_send_is_judged_apart() -> None:
    pasted = suspects(range(260), range(200, 300))
    assert [link.kind for link in _find(pasted)] == ["companions"], "the accounts share it far beyond chance"
    assert not _find_alike(pasted, Suspicion().alike)
