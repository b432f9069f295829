"""Bits and their sums: an object with other bits has other sums."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from stillwatch.evidence import CONDUCT, DOSE, Measured, load_weights
from stillwatch.signals import all_signals
from stillwatch.verdict import Bar, Case, Verdict, margin, rule, threshold

NAMES = tuple(signal.name for signal in all_signals())


def measured(streams: int = 5) -> Measured:
    rng = np.random.default_rng(1)
    shape = streams, len(NAMES)
    return Measured(NAMES, rng.normal(size=shape), np.ones(shape, np.int64), rng.normal(size=shape), -6.5)


def test_the_sums_are_those_of_the_bits_and_the_start() -> None:
    found = measured()
    of_conduct = np.stack([found.bits_of(name) for name in CONDUCT])
    assert found.total == pytest.approx([float(sum(row)) - 6.5 for row in found.bits])
    assert found.conduct == pytest.approx(of_conduct.sum(axis=0) + found.bits_of(DOSE))
    assert found.against == pytest.approx(of_conduct.min(axis=0))


@pytest.mark.parametrize("name", sorted(load_weights().curves))
def test_without_a_signal_its_bits_are_missing_from_the_sums(name: str) -> None:
    whole = measured()
    bits = whole.bits.copy()
    bits[:, NAMES.index(name)] = 0.0
    without = replace(whole, bits=bits)
    assert whole.total - without.total == pytest.approx(whole.bits_of(name))
    of_conduct = whole.bits_of(name) if name in (*CONDUCT, DOSE) else np.zeros(5)
    assert whole.conduct - without.conduct == pytest.approx(of_conduct)


def test_a_stream_is_doubtful_where_a_signal_of_conduct_has_no_value_or_subjects_are_own() -> None:
    whole = measured(4)
    value, bits = whole.value.copy(), whole.bits.copy()
    bits[:, NAMES.index("mixing")] = [2.0, 2.0, -0.9, -1.0]
    value[:, NAMES.index("load")] = [np.nan, 1.0, 1.0, 1.0]
    value[1, NAMES.index(CONDUCT[0])] = np.nan
    value[:, NAMES.index(DOSE)] = 0.9
    assert replace(whole, value=value, bits=bits).doubts.tolist() == [0, 1, 0, 1]


@pytest.mark.parametrize(("pacing", "silent"), [(2.0, False), (0.0, True), (-1.0, True)])
def test_routine_is_not_waited_for_where_pacing_speaks_for(pacing: float, silent: bool) -> None:
    whole = measured(1)
    value, bits = whole.value.copy(), whole.bits.copy()
    value[:, NAMES.index("routine")] = np.nan
    bits[:, NAMES.index("routine")], bits[:, NAMES.index("pacing")] = 0.0, pacing
    bits[:, NAMES.index("mixing")], value[:, NAMES.index(DOSE)] = 1.0, 0.9
    value[:, NAMES.index("load")] = 1.0
    assert replace(whole, value=value, bits=bits).doubts.tolist() == [int(silent)]
    value[:, NAMES.index("mixing")] = np.nan
    assert replace(whole, value=value, bits=bits).doubts.all()


@pytest.mark.parametrize(
    ("load", "rhythm", "wordings", "doubts"),
    [
        (0.5, 0.7, 0.0, 1),
        (0.5, 1.0, 0.0, 1),  # firms with one job, round the clock
        (0.5, np.nan, 0.0, 1),
        (0.9, 0.7, 0.0, 0),  # even shares: dealt out
        (0.9, np.nan, 0.0, 0),
        (0.5, 0.7, 4.0, 0),  # reworded from one exchange to the next: made not to be recognised
        (np.nan, 0.7, 0.0, 0),
    ],
)
def test_guests_of_one_host_take_uneven_shares(
    load: float, rhythm: float, wordings: float, doubts: int
) -> None:
    whole = measured(1)
    value, bits = whole.value.copy(), whole.bits.copy()
    for name, one in {
        "load": load,
        "rhythm": rhythm,
        "mixing": 0.0,
        "pacing": 0.0,
        "routine": 0.0,
        "coverage": 0.9,
        DOSE: 0.9,
    }.items():
        value[:, NAMES.index(name)] = one
    bits[:, NAMES.index("wordings")], bits[:, NAMES.index("mixing")] = wordings, 1.0
    found = replace(whole, value=value, bits=bits)
    assert found.doubts.tolist() == [doubts]
    assert found.guests.tolist() == [doubts > 0]


@pytest.mark.parametrize(
    ("rhythm", "lockstep", "payment", "coverage", "wordings", "doubts"),
    [
        (0.9, 4.2, 2.4, 0.9, 0.0, 0),
        (np.nan, 4.2, 0.0, 0.9, 0.0, 1),  # accounts of an event
        (np.nan, 2.0, 1.0, 0.9, 0.0, 0),
        (0.9, 0.0, 0.0, 0.2, 8.0, 1),  # the same items in other words
        (0.9, 0.0, 0.0, 0.2, 0.0, 0),  # each seed asked several times
        (0.9, 0.0, 0.0, np.nan, 8.0, 0),
    ],
)
def test_an_event_and_items_that_are_told_again_are_doubted(
    rhythm: float, lockstep: float, payment: float, coverage: float, wordings: float, doubts: int
) -> None:
    whole = measured(1)
    value, bits = np.ones_like(whole.value), np.ones_like(whole.bits)
    value[:, NAMES.index("rhythm")], value[:, NAMES.index("coverage")] = rhythm, coverage
    for name, one in {
        "lockstep": lockstep,
        "infrastructure_payment": payment,
        "wordings": wordings,
    }.items():
        bits[:, NAMES.index(name)] = one
    assert replace(whole, value=value, bits=bits).doubts.tolist() == [doubts]


@pytest.mark.parametrize(("doubts", "beyond"), [(0, 1.0), (1, -5.0), (2, -11.0)])
def test_each_doubt_takes_more_bits(doubts: int, beyond: float) -> None:
    bar = Bar()
    assert float(margin(threshold(bar) + 1.0, doubts, bar)) == pytest.approx(beyond)


@pytest.mark.parametrize(
    ("silent", "guests", "doubts", "verdict", "reason"),
    [
        (False, False, 0, Verdict.EXTRACTION, "evidence"),
        (True, False, 1, Verdict.UNDETERMINED, "a signal of conduct says nothing"),
        (False, True, 1, Verdict.UNDETERMINED, "or people at one event do, and 6 bits more"),
        (False, True, 2, Verdict.UNDETERMINED, "or people at one event do, and 12 bits more"),
        (False, False, 1, Verdict.UNDETERMINED, "subjects of their own"),
    ],
)
def test_who_is_not_accused_for_doubt_is_told_why(
    silent: bool, guests: bool, doubts: int, verdict: Verdict, reason: str
) -> None:
    found = rule(
        Case(12.0, 0.9, 9.0, 5.0, 1.0, 0.9, silent, guests, doubts, 30, 30, 0.0, 0.0, 0.0, 0.0, math.nan, 2),
        Bar(),
    )
    assert found.verdict is verdict
    assert reason in found.reasons[0]
