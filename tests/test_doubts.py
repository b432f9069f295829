"""What innocent crowds have in common takes more than the bar, and the verdict says why."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from stillwatch.doubts import DOUBTS, ONE_PAYER, Doubt, doubts, doubts_of
from stillwatch.evidence import DOSE, Measured
from stillwatch.signals import all_signals
from stillwatch.verdict import Bar, Case, Verdict, margin, rule, threshold

NAMES = tuple(signal.name for signal in all_signals())
SILENT, SUBJECTS, GUESTS, DESKS, APART, OWN_TIME, FIRMS, CLASS, OFFICE, TIMETABLE, *OTHERS = DOUBTS
NAMELESS, EVENT, RETOLD, KNOWN = OTHERS


def told(value: dict[str, float], bits: dict[str, float], counted: int = 20_000) -> Measured:
    """One stream of which nothing is in doubt, but for these values and bits."""
    values, weighed = np.ones((1, len(NAMES))), np.ones((1, len(NAMES)))
    weighed[:, NAMES.index("wordings")] = 0.0
    for name, one in value.items():
        values[:, NAMES.index(name)] = one
    for name, one in bits.items():
        weighed[:, NAMES.index(name)] = one
    return Measured(NAMES, values, np.full(values.shape, counted), weighed, -6.5)


def test_a_dispatcher_is_not_doubted() -> None:
    assert doubts(told({}, {})).tolist() == [0]


@pytest.mark.parametrize("signal", ["mixing", "pacing"])
def test_conduct_without_a_value_is_doubted(signal: str) -> None:
    assert doubts_of(told({signal: np.nan}, {}))[0] == (SILENT,)


def test_few_who_come_back_say_little_of_the_others() -> None:
    assert doubts_of(told({DOSE: 0.59}, {}))[0] == (SILENT,)


@pytest.mark.parametrize(("pacing", "found"), [(2.0, ()), (0.0, (SILENT,)), (-1.0, (SILENT,))])
def test_routine_is_not_waited_for_where_pacing_speaks_for(pacing: float, found: tuple[Doubt, ...]) -> None:
    assert doubts_of(told({"routine": np.nan}, {"pacing": pacing, "routine": 0.0}))[0] == found


@pytest.mark.parametrize(("mixing", "found"), [(-0.9, ()), (-1.0, (SUBJECTS,))])
def test_subjects_of_their_own_are_doubted(mixing: float, found: tuple[Doubt, ...]) -> None:
    assert doubts_of(told({}, {"mixing": mixing}))[0] == found


@pytest.mark.parametrize(
    ("load", "rhythm", "wordings", "found"),
    [
        (0.5, 0.7, 0.0, (GUESTS,)),
        (0.5, 1.0, 0.0, (GUESTS,)),  # firms with one job, round the clock
        (0.8, np.nan, 0.0, (GUESTS,)),  # nobody can tell the hours yet
        (0.9, np.nan, 0.0, ()),
        (0.8, 0.7, 0.0, ()),
        (0.9, 0.7, 0.0, ()),  # even shares: dealt out
        (0.5, 0.7, 4.0, ()),  # reworded from one exchange to the next: made not to be recognised
        (np.nan, 0.7, 0.0, ()),
    ],
)
def test_guests_of_one_host_take_uneven_shares(
    load: float, rhythm: float, wordings: float, found: tuple[Doubt, ...]
) -> None:
    assert doubts_of(told({"load": load, "rhythm": rhythm}, {"wordings": wordings}))[0] == found


@pytest.mark.parametrize(
    ("pacing", "routine", "wordings", "found"),
    [
        (-1.1, 6.0, 0.0, (DESKS,)),
        (2.0, 6.0, 0.0, ()),  # dealt out within the same hours
        (-1.1, 6.0, 8.0, ()),
    ],
)
def test_desks_of_one_profession_are_doubted(
    pacing: float, routine: float, wordings: float, found: tuple[Doubt, ...]
) -> None:
    bits = {"pacing": pacing, "routine": routine, "wordings": wordings}
    assert doubts_of(told({}, bits))[0] == found


@pytest.mark.parametrize(
    ("load", "routine", "wordings", "found"),
    [
        (0.94, 0.5, 0.0, (APART,)),  # a firm's rollout
        (1.0, 0.5, 0.0, ()),  # people's hours are feigned, and shares dealt out
        (0.94, 3.0, 0.0, ()),
        (0.94, 0.5, 8.0, ()),
        (0.5, 0.5, 0.0, (GUESTS,)),
    ],
)
def test_neither_hours_nor_shares_of_one_hand_are_doubted(
    load: float, routine: float, wordings: float, found: tuple[Doubt, ...]
) -> None:
    bits = {"pacing": -0.7, "routine": routine, "wordings": wordings}
    assert doubts_of(told({"load": load}, bits))[0] == found


def test_guests_at_desks_are_doubted_once() -> None:
    bits = {"pacing": -1.1, "routine": 6.0}
    assert doubts(told({"load": 0.5}, bits)).tolist() == [1]


@pytest.mark.parametrize(
    ("pacing", "routine", "load", "wordings", "found"),
    [
        (-0.6, -0.3, 1.0, 0.0, (OWN_TIME,)),
        (-0.6, -0.3, 0.8, 0.0, (OWN_TIME, FIRMS)),
        (-0.6, -0.3, 0.5, 0.0, (GUESTS, OWN_TIME)),
        (-0.6, -0.1, 0.8, 0.0, ()),  # all come back at the operator's time
        (-0.2, -0.3, 0.8, 0.0, ()),
        (-0.6, -0.3, 0.8, 8.0, ()),
        (np.nan, -0.3, 0.8, 0.0, (SILENT,)),
    ],
)
def test_firms_with_one_job_keep_a_time_of_their_own(
    pacing: float, routine: float, load: float, wordings: float, found: tuple[Doubt, ...]
) -> None:
    values = {"pacing": pacing, "routine": routine, "load": load}
    assert doubts_of(told(values, {"wordings": wordings}))[0] == found


@pytest.mark.parametrize(("counted", "found"), [(20_000, (OWN_TIME,)), (1_600, ())])
def test_what_few_pairs_leave_open_is_no_time_of_their_own(counted: int, found: tuple[Doubt, ...]) -> None:
    assert doubts_of(told({"pacing": -0.6, "routine": -0.3}, {}, counted))[0] == found


@pytest.mark.parametrize(
    ("load", "rhythm", "found"),
    [(0.3, 0.45, (GUESTS, CLASS)), (0.3, 0.9, (GUESTS,)), (1.0, 0.45, ()), (1.0, 0.3, (TIMETABLE,))],
)
def test_a_class_takes_uneven_shares_in_the_hours_of_one_place(
    load: float, rhythm: float, found: tuple[Doubt, ...]
) -> None:
    assert doubts_of(told({"load": load, "rhythm": rhythm}, {}))[0] == found


@pytest.mark.parametrize(
    ("rhythm", "pacing", "known", "wordings", "found"),
    [
        (0.5, -0.4, True, 0.0, (OFFICE,)),
        (0.5, -0.4, False, 0.0, (OFFICE, NAMELESS)),
        (0.5, 0.0, False, 0.0, ()),  # dealt out within these hours
        (0.3, 0.0, True, 0.0, (TIMETABLE,)),  # lessons
        (0.3, 0.0, False, 0.0, (TIMETABLE, NAMELESS)),
        (0.9, -0.4, False, 0.0, ()),
        (0.3, -0.4, False, 8.0, ()),
    ],
)
def test_office_hours_may_be_those_of_one_house(
    rhythm: float, pacing: float, known: bool, wordings: float, found: tuple[Doubt, ...]
) -> None:
    named = {} if known else {"lockstep": np.nan, "infrastructure_payment": np.nan}
    values = {"rhythm": rhythm, "pacing": pacing, "routine": 0.0, **named}
    assert doubts_of(told(values, {"wordings": wordings}))[0] == found


@pytest.mark.parametrize(
    ("rhythm", "lockstep", "payment", "counts"),
    [(np.nan, 4.2, 0.0, 1), (np.nan, 2.0, 2.4, 1), (np.nan, 2.0, 0.9, 0), (0.9, 4.2, 2.4, 0)],
)
def test_accounts_of_an_event_have_one_host(
    rhythm: float, lockstep: float, payment: float, counts: int
) -> None:
    bits = {"lockstep": lockstep, "infrastructure_payment": payment}
    assert doubts(told({"rhythm": rhythm}, bits)).tolist() == [counts]


@pytest.mark.parametrize(
    ("coverage", "wordings", "found"),
    [
        (0.3, 8.0, (RETOLD,)),
        (0.1, 8.0, (RETOLD, KNOWN)),
        (0.1, 0.0, ()),  # seeds asked often
        (0.9, 8.0, ()),
        (np.nan, 8.0, ()),
    ],
)
def test_the_same_items_in_other_words_are_doubted(
    coverage: float, wordings: float, found: tuple[Doubt, ...]
) -> None:
    assert doubts_of(told({"coverage": coverage}, {"wordings": wordings}))[0] == found


@pytest.mark.parametrize(("times", "beyond"), [(0, 1.0), (1, -5.0), (2, -11.0)])
def test_each_doubt_takes_more_bits(times: int, beyond: float) -> None:
    bar = Bar()
    assert float(margin(threshold(bar) + 1.0, times, bar)) == pytest.approx(beyond)


@pytest.mark.parametrize(
    ("held", "reason"),
    [
        ((SILENT,), "a signal of conduct says nothing, and 6 bits more"),
        ((EVENT,), "as at an event, and 12 bits more"),
        ((ONE_PAYER,), "as an employer or a school does, and 12 bits more"),
        ((SUBJECTS, RETOLD), "in ever other words, as a test of robustness does, and 12 bits more"),
    ],
)
def test_who_is_not_accused_for_doubt_is_told_why(held: tuple[Doubt, ...], reason: str) -> None:
    found = rule(case(held), Bar())
    assert found.verdict is Verdict.UNDETERMINED
    assert reason in found.reasons[0]


def test_without_doubt_the_same_evidence_accuses() -> None:
    assert rule(case(()), Bar()).verdict is Verdict.EXTRACTION


@pytest.mark.parametrize(
    ("independent", "verdict"),
    [(30, Verdict.EXTRACTION), (15, Verdict.EXTRACTION), (14, Verdict.UNDETERMINED)],
)
def test_accounts_of_a_few_declared_organizations_are_not_accused(independent: int, verdict: Verdict) -> None:
    found = rule(replace(case(()), independent=independent), Bar())
    assert found.verdict is verdict
    assert ("counted once each they are 14" in found.reasons[0]) is (verdict is Verdict.UNDETERMINED)


def case(held: tuple[Doubt, ...]) -> Case:
    return Case(
        12.0, 0.9, 9.0, 5.0, 1.0, 0.9, SILENT in held, held, 30, 30, 0.0, 0.0, 0.0, 30, 0.0, math.nan, 2,
    )  # fmt: skip
