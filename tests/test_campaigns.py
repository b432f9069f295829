"""Which suspects are judged together though none of them clears the bar."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pytest

from stillwatch.campaigns import (
    Groups,
    Suspicion,
    _find,
    _find_alike,
    _find_beside,
    _nested,
    asking,
    group,
)  # fmt: skip
from stillwatch.evidence import Measured
from stillwatch.links.base import Suspects
from stillwatch.memberships import Members
from stillwatch.principals import Principals
from stillwatch.regrouping import split

if TYPE_CHECKING:
    from numpy.typing import NDArray

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


def test_what_asks_for_nothing_is_judged_with_a_suspect_of_the_same_principals_and_not_with_its_like() -> (
    None
):
    asks, frame, other_frame, popular = range(30), range(30), range(1, 31), range(25, 400)
    beside = np.array([False, True, True, True])
    found = _find_beside(suspects(asks, frame, other_frame, popular), beside, Suspicion().same)
    assert {(link.first, link.second) for link in found} == {(0, 1), (0, 2)}


def measured(*bits: float) -> Measured:
    """Streams with so many bits, all of them of the dose."""
    names = ("mixing", "pacing", "routine", "dose", "load", "rhythm", "wordings")
    value = np.zeros((len(bits), len(names)))
    value[:, 3] = bits
    return Measured(names, value, value.astype(np.int64), value, 0.0)


@pytest.mark.parametrize(
    ("families", "groups", "cleared", "apart"),
    [
        ((12.0, 9.0), (11.0,), ([0, 1], [0]), False),
        ((12.0, 9.0), (5.9,), ([0, 1], [0]), True),
        ((12.0, 9.0), (8.0,), ([0, 1], []), True),
        ((7.0, 6.0), (5.0,), ([], []), False),
    ],
    ids=["still accused", "lost too much", "below the bar that one clears", "never accused"],
)
def test_a_group_is_taken_apart_where_joining_cost_the_accusation(
    families: tuple[float, ...], groups: tuple[float, ...], cleared: tuple[list[int], list[int]], apart: bool
) -> None:
    joined = Groups(np.zeros(2, np.int32), np.ones(2, bool), ())
    found = split(joined, measured(*families), measured(*groups), cleared, Suspicion().loss)
    assert (found is not None) == apart
    if found is not None:
        assert found.label.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("bits", "returning", "objective", "asks"),
    [
        (-1.0, 0.0, 0.5, True),
        (-5.0, 0.4, 0.5, True),  # a piece of a recombined template: its senders come back for it
        (-5.0, 0.1, 0.5, False),  # what goes round once
        (-9.5, 0.4, 0.5, False),
        (-5.0, 0.4, 0.0, False),
    ],
)
def test_pieces_that_principals_come_back_for_are_suspects_though_they_weigh_little(
    bits: float, returning: float, objective: float, asks: bool
) -> None:
    names = ("objective", "mixing", "pacing", "routine", "dose", "load", "rhythm", "wordings")
    value, weight = np.zeros((1, len(names))), np.zeros((1, len(names)))
    value[0, 0], value[0, 4], weight[0, 1] = objective, returning, bits
    found = asking(Measured(names, value, value.astype(np.int64), weight, 0.0), Suspicion())
    assert found.tolist() == [asks]


def test_families_that_no_pair_holds_together_are_not_compared() -> None:
    pairs = suspects(range(20), range(1, 21), range(500, 520), range(501, 521), range(19, 22))
    found = _find_alike(pairs, Suspicion().alike)
    assert {(link.first, link.second) for link in found} == {(0, 1), (2, 3)}


def grouped(
    own: list[NDArray[np.int64]], returning: list[float], whole: list[int], accused: list[int]
) -> list[int]:
    """The group of each of four families, of which ``own`` gives who sends each of their exchanges."""
    of_row = np.concatenate(own).astype(np.int32)
    stream = np.repeat(np.arange(4, dtype=np.int32), [len(rows) for rows in own])
    none = np.empty(0, np.int32)
    members = Members(
        stream, np.arange(len(of_row), dtype=np.int32), np.zeros((len(of_row), 11), np.int8),
        np.zeros(len(of_row), np.int32), none, none, none.astype(np.int64),
    )  # fmt: skip
    count = np.arange(60, dtype=np.int64)
    nobody = pa.array([""] * 60)
    principals = Principals(
        count, of_row, nobody, nobody, nobody, count, 0 * count, 0 * count + 10**12, count.astype(np.int32),
        count, (none, none.astype(np.int64)),
    )  # fmt: skip
    names = ("objective", "mixing", "pacing", "routine", "dose", "load", "rhythm", "wordings")
    value, weight = np.zeros((4, len(names))), np.zeros((4, len(names)))
    value[:, 0], value[:, 4], weight[:, 1] = 0.5, returning, -5.0
    weighed = Measured(names, value, value.astype(np.int64), weight, 0.0)
    nothing = np.zeros(4, bool)
    found = group(members, weighed, principals, Suspicion(), accused, nothing, np.array(whole, np.int32))
    judged: list[int] = found.judged.tolist()
    return judged


def test_pieces_of_one_whole_are_judged_together_though_the_small_ones_are_no_suspects() -> None:
    """Family 0 is a suspect, 1 and 2 are sent once by some of its principals, 3 is another suspect."""
    own = [np.repeat(np.arange(20), 3), np.arange(10), np.arange(5, 15), np.repeat(np.arange(40, 60), 3)]
    returning = [0.9, 0.0, 0.0, 0.9]
    assert grouped(own, returning, [-1, -1, -1, -1], []) == [0, -1, -1, 1]
    assert grouped(own, returning, [0, 0, 0, -1], []) == [0, 0, 0, 1]


@pytest.mark.filterwarnings("error")
def test_a_suspect_that_nobody_sends_any_more_attaches_itself_to_nothing() -> None:
    """Families that overlap are told apart, and one may lose all that it had to the others."""
    own = [np.repeat(np.arange(20), 3), np.arange(0), np.arange(5, 15), np.repeat(np.arange(40, 60), 3)]
    label = grouped(own, [0.9, 0.9, 0.9, 0.9], [-1, -1, -1, -1], [0])
    assert label[0] == 0
    assert label[1] not in (label[0], label[2], label[3])


@pytest.mark.parametrize(
    ("users", "lies_around"),
    [
        (range(30), False),  # a frame that the operator alone sends
        (range(300), True),  # a public agent's prompt
    ],
)
def test_what_an_operator_alone_sends_lies_not_around_its_template(users: range, lies_around: bool) -> None:
    known = suspects(range(30), users)
    rows = [np.arange(400, dtype=np.int32), np.arange(1000, dtype=np.int32)]
    value = np.array([[20.0], [19.0]])
    names = ("mixing", "pacing", "routine", "dose", "load", "rhythm", "wordings")
    bits = np.hstack([value, np.zeros((2, len(names) - 1))])
    found = Measured(names, np.zeros_like(bits), np.zeros(bits.shape, np.int64), bits, 0.0)
    inner, around = _nested(replace(known, rows=rows), np.array([True, True]), found)
    assert (inner, around) == ({}, [1] if lies_around else [])
