"""Who takes part in a campaign: against the plain definition, and against schedules of which the truth is known."""

from __future__ import annotations

from collections import Counter
from statistics import median
from types import SimpleNamespace

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from stillwatch.judging import _vouched
from stillwatch.participants import (
    CROWDED,
    DEVIATIONS,
    MADE_OF_SITTINGS,
    MOST_CROWDED,
    OFTEN,
    SEATED,
    WHOLE,
    keeps_own_hours,
    of_one_hand,
    opened_for_it,
    pays_with_them,
    sends_whole,
    takes_part,
)
from stillwatch.principals import Principals

HOUR = 3_600_000_000
DAYS = 14


def plain_keeps_own_hours(principal: list[int], at_us: list[int], principals: int) -> list[bool]:
    """Every pair of exchanges, looked at one by one."""
    together, own_together, own_of_a_day = Counter[str](), Counter[int](), Counter[int]()
    for first in range(len(at_us)):
        for second in range(len(at_us)):
            if first == second or at_us[first] // (24 * HOUR) != at_us[second] // (24 * HOUR):
                continue
            within = at_us[first] // HOUR == at_us[second] // HOUR
            if principal[first] == principal[second]:
                own_of_a_day[principal[first]] += 1
                own_together[principal[first]] += within
            else:
                together["day"] += 1
                together["hour"] += within
    rate = together["hour"] / max(together["day"], 1)
    expected = [own_of_a_day[owner] * rate for owner in range(principals)]
    crowded = [own_together[owner] > CROWDED * expected[owner] for owner in range(principals)]
    if rate > MOST_CROWDED or sum(crowded) > MADE_OF_SITTINGS * sum(1 for n in own_of_a_day.values() if n):
        return [False] * principals
    sent, at_once = Counter(principal), Counter[int]()
    for owner, at in zip(principal, at_us, strict=True):
        own = [other for each, other in zip(principal, at_us, strict=True) if each == owner]
        hour = sum(other // HOUR == at // HOUR for other in own)
        day = sum(other // (24 * HOUR) == at // (24 * HOUR) for other in own)
        at_once[owner] += hour > 1 and hour - 1 > CROWDED * rate * (day - 1)
    return [
        crowded[owner]
        and at_once[owner] >= SEATED * sent[owner]
        and own_together[owner] - expected[owner] > DEVIATIONS * (2 * expected[owner] + 1) ** 0.5
        for owner in range(principals)
    ]


def dispatched(rng: np.random.Generator, accounts: int, each: int, first: int = 0) -> list[tuple[int, int]]:
    """Requests of accounts that one schedule feeds, at all hours."""
    at = rng.integers(0, DAYS * 24 * HOUR, accounts * each)
    return [(first + index // each, int(moment)) for index, moment in enumerate(at)]


def sitting(rng: np.random.Generator, people: int, each: int, first: int = 0) -> list[tuple[int, int]]:
    """Requests of people who sit down to eight of them at once, now and then."""
    found = []
    for person in range(people):
        for _ in range(each // 8):
            begin = int(rng.integers(0, DAYS * 24)) * HOUR
            found += [(first + person, begin + int(moment)) for moment in rng.integers(0, HOUR // 2, 8)]
    return found


def flagged(rows: list[tuple[int, int]], principals: int) -> set[int]:
    owner, at = np.array(rows, np.int64).reshape(-1, 2).T
    return set(np.flatnonzero(keeps_own_hours(owner, at, principals)).tolist())


@given(
    st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, 6 * 24), st.integers(1, 9), st.integers(0, HOUR - 1)),
        max_size=30,
    )
)
def test_own_hours_are_what_the_plain_definition_says(sittings: list[tuple[int, int, int, int]]) -> None:
    rows = [(owner, hour * HOUR + minute) for owner, hour, count, minute in sittings for _ in range(count)]
    owner, at = [row[0] for row in rows], [row[1] for row in rows]
    found = keeps_own_hours(np.array(owner, np.int64), np.array(at, np.int64), 6)
    assert found.tolist() == plain_keeps_own_hours(owner, at, 6)


@pytest.mark.parametrize("seed", range(3))
def test_the_plain_definition_agrees_where_some_sit_and_most_are_fed(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = dispatched(rng, 30, 50) + sitting(rng, 1, 24, first=30)
    owner, at = zip(*rows, strict=True)
    expected = {index for index, sits in enumerate(plain_keeps_own_hours(list(owner), list(at), 31)) if sits}
    assert flagged(rows, 31) == expected
    assert 30 in expected


@pytest.mark.parametrize("seed", range(5))
def test_people_in_sittings_are_told_from_a_dispatchers_accounts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = dispatched(rng, 100, 100) + sitting(rng, 10, 40, first=100)
    assert flagged(rows, 110) == set(range(100, 110))


@pytest.mark.parametrize("people", [3, 10])
def test_a_few_people_in_sittings_do_not_hide_each_other(people: int) -> None:
    rng = np.random.default_rng(people)
    rows = dispatched(rng, 80, 25) + sitting(rng, people, 40, first=80)
    assert flagged(rows, 80 + people) >= set(range(80, 80 + people))


@pytest.mark.parametrize("at_once", [3, 5, 11])
def test_an_account_that_is_fed_is_not_set_apart_for_what_it_sends_at_once(at_once: int) -> None:
    rows = dispatched(np.random.default_rng(at_once), 30, 25)
    moment = rows[0][1]
    burst = [(0, moment + minute) for minute in range(at_once)]
    assert flagged(burst + rows[at_once:], 30) == set()
    assert flagged(rows + [(30, moment + minute) for minute in range(25)], 31) == {30}


def test_nobody_of_a_stream_that_is_made_of_sittings_is_set_apart() -> None:
    assert flagged(sitting(np.random.default_rng(1), 60, 40), 60) == set()


def test_hardly_ever_is_an_account_of_a_purely_dispatched_stream_set_apart() -> None:
    # 30 logs of 200 accounts: a rule that errs for one account in ten thousand passes.
    wrong = sum(len(flagged(dispatched(np.random.default_rng(seed), 200, 25), 200)) for seed in range(30))
    assert wrong <= 2


def test_the_order_of_rows_and_whole_days_of_shift_change_nothing() -> None:
    rng = np.random.default_rng(3)
    rows = dispatched(rng, 40, 60) + sitting(rng, 2, 24, first=40)
    before = flagged(rows, 42)
    assert before
    shuffled = [rows[place] for place in rng.permutation(len(rows))]
    assert flagged(shuffled, 42) == before
    assert flagged([(owner, at + 365 * 24 * HOUR) for owner, at in rows], 42) == before


def test_principals_without_an_exchange_are_not_set_apart() -> None:
    assert not keeps_own_hours(np.empty(0, np.int64), np.empty(0, np.int64), 4).any()
    assert keeps_own_hours(np.array([3]), np.array([7]), 9).tolist() == [False] * 9


@given(st.lists(st.integers(1, 400), max_size=60))
def test_taking_part_is_what_the_plain_definition_says(exchanges: list[int]) -> None:
    several = sorted(count for count in exchanges if count >= 2)
    half = len(several) // 2
    median = 0.0
    if several:
        median = several[half] if len(several) % 2 else (several[half - 1] + several[half]) / 2
    expected = [count >= 2 and count >= 0.1 * median for count in exchanges]
    assert takes_part(np.array(exchanges, np.int64)).tolist() == expected


def test_once_is_never_taking_part() -> None:
    assert takes_part(np.ones(50, np.int64)).tolist() == [False] * 50


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2), st.integers(1, 20)), max_size=40))
def test_sending_it_whole_is_what_the_plain_definition_says(held: list[tuple[int, int, int]]) -> None:
    usual = {family: median(m for _, f, m in held if f == family) for _, family, _ in held}
    best: dict[int, float] = {}
    for row, family, matched in held:
        best[row] = max(best.get(row, 0.0), (matched + 1) / (usual[family] + 1))
    shares = [[share for row, share in best.items() if row % 4 == owner] for owner in range(6)]
    row, family, matched = (
        np.array(column, np.int32) for column in (zip(*held, strict=True) if held else [()] * 3)
    )
    found = sends_whole(row % np.int64(4), row, family, matched, 6)
    whole = [sum(share >= WHOLE for share in own) for own in shares]
    assert found.tolist() == [
        count > 0 and count >= OFTEN * len(own) for count, own in zip(whole, shares, strict=True)
    ]


def test_the_last_fragment_of_a_short_template_decides_about_nobody() -> None:
    # What stands beside a template of a few words decides whether two or four of its fragments are kept.
    owner, matched = np.repeat([0, 1, 2], 4), np.array([3, 3, 4, 3, 2, 2, 4, 2, 1, 1, 1, 2])
    rows = np.arange(12, dtype=np.int32)
    assert sends_whole(owner, rows, np.zeros(12, np.int32), matched, 3).tolist() == [True, True, False]


def test_of_two_templates_with_a_part_in_common_chance_decides_about_nobody() -> None:
    """Of ten exchanges 0 sends the shorter one in six, 1 in four, 2 in none; 3 has a phrase of it in all, 4 in eight."""
    short, long, phrase = [18], [29], [5]
    sent = [short * 6 + long * 4, short * 4 + long * 6, long * 10, phrase * 10, phrase * 8 + long * 2]
    exchanges = [3, 3, 30, 1, 1]  # tens, so that the median of the family is 29 fragments
    matched = np.concatenate([np.array(ten * times) for ten, times in zip(sent, exchanges, strict=True)])
    owner = np.repeat(np.arange(5), 10 * np.array(exchanges))
    rows = np.arange(len(owner), dtype=np.int32)
    found = sends_whole(owner, rows, np.zeros(len(owner), np.int32), matched, 5)
    assert found.tolist() == [True, True, True, False, False]


def test_who_sends_the_whole_is_not_judged_by_a_piece_of_it() -> None:
    # Two of three exchanges match one of a piece's two fragments; the same exchanges match the template whole. The last
    # principal's text has the piece alone.
    owner = np.array([0, 0, 0, 1, 1, 1, 0, 0, 0, 2, 2, 2])
    rows = np.array([0, 1, 2, 3, 4, 5, 0, 1, 2, 6, 7, 8], np.int32)
    family = np.array([0] * 6 + [1] * 3 + [0] * 3, np.int32)
    matched = np.array([1, 1, 2, 2, 2, 2, 8, 8, 8, 1, 1, 2])
    assert sends_whole(owner, rows, family, matched, 3).tolist() == [True, True, False]


def test_an_account_of_human_hours_is_no_person_in_sittings() -> None:
    # Its hours are few, so several requests fall into one: three times the schedule of all, not eight times.
    rng = np.random.default_rng(5)
    own = [(80, int((day * 24 + 9 + rng.integers(0, 6)) * HOUR + rng.integers(0, HOUR))) for day in range(14)
           for _ in range(7)]  # fmt: skip
    assert flagged(dispatched(rng, 80, 25) + own, 81) == set()


def test_a_new_account_is_opened_for_the_campaign_and_an_old_customer_is_not() -> None:
    day = 24 * HOUR
    begun = np.array([10, 10, 3, -1, 20]) * day
    first = np.array([10, 13, 10, 10, 21]) * day
    assert opened_for_it(begun, first, 9 * day).tolist() == [True, False, False, False, True]


def test_a_card_that_strangers_hold_too_vouches_for_nobody() -> None:
    own, brand = 100, 200
    principal = np.arange(12, dtype=np.int32)
    payment = np.array([own] * 4 + [brand] * 8)
    part = np.isin(principal, [0, 1, 4, 5])
    assert np.flatnonzero(pays_with_them(principal, payment, part)).tolist() == [0, 1, 2, 3]


def test_who_shares_only_a_piece_of_a_stronger_campaign_is_left_out_of_it() -> None:
    strong, piece, other = (np.arange(*span, dtype=np.int32) for span in ((0, 30), (10, 32), (28, 60)))
    kept = of_one_hand([strong, piece, other], [30.0, 12.0, 11.0])
    assert [int(stays.sum()) for stays in kept] == [30, 20, 32]
    assert piece[~kept[1]].tolist() == [30, 31]


@given(
    st.lists(st.tuples(st.frozensets(st.integers(0, 12)), st.integers(0, 3)), max_size=5),
)
def test_of_one_hand_is_what_the_plain_definition_says(drawn: list[tuple[frozenset[int], int]]) -> None:
    parts = [np.array(sorted(part), np.int32) for part, _ in drawn]
    found = of_one_hand(parts, [float(bits) for _, bits in drawn])
    for (part, bits), stays in zip(drawn, found, strict=True):
        stronger = [other for other, more in drawn if more > bits and len(part & other) >= 0.9 * len(part)]
        left = part.intersection(*stronger)
        assert [p for p, stay in zip(sorted(part), stays, strict=True) if stay] == sorted(left)


def test_of_two_campaigns_the_weaker_is_the_piece_and_nobody_is_left_out_of_both() -> None:
    first, second = np.arange(0, 20, dtype=np.int32), np.arange(1, 21, dtype=np.int32)
    kept = of_one_hand([first, second], [12.0, 30.0])
    assert [part[stays].tolist() for part, stays in zip((first, second), kept, strict=True)] == [
        list(range(1, 20)),
        list(range(1, 21)),
    ]
    assert all(stays.all() for stays in of_one_hand([first, first], [12.0, 12.0]))


@pytest.mark.parametrize(("cards", "vouched"), [([7, 7, 7, 7, 7], True), ([7, 7, 7, 8, 9], False)])
def test_a_common_card_vouches_for_as_many_as_hold_it_and_a_young_account_for_few(
    cards: list[int], vouched: bool
) -> None:
    """Three take part; two more send the whole template at hours of their own, from accounts opened for it."""
    day_us = 24 * HOUR
    begun = np.array([1, 1, 1, 40, 40], np.int64) * day_us
    known = Principals(
        np.arange(5), np.arange(5, dtype=np.int32), *(pa.nulls(5, pa.string()),) * 3, np.ones(5, np.int64),
        begun, begun, np.arange(5, dtype=np.int32), begun, (np.arange(5, dtype=np.int32), np.array(cards)),
    )  # fmt: skip
    part, own = np.array([True, True, True, False, False]), np.arange(5, dtype=np.int32)
    at = np.array([40, 40, 40, 41, 41], np.int64) * day_us
    found = _vouched(SimpleNamespace(principals=known), own, part, np.ones(5, bool), np.arange(5), at)  # type: ignore[arg-type]
    assert found.tolist() == [False, False, False, vouched, vouched]
