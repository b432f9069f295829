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
    assert replace(whole, value=value, bits=bits).doubtful.tolist() == [False, True, False, True]


@pytest.mark.parametrize(("pacing", "silent"), [(2.0, False), (0.0, True), (-1.0, True)])
def test_routine_is_not_waited_for_where_pacing_speaks_for(pacing: float, silent: bool) -> None:
    whole = measured(1)
    value, bits = whole.value.copy(), whole.bits.copy()
    value[:, NAMES.index("routine")] = np.nan
    bits[:, NAMES.index("routine")], bits[:, NAMES.index("pacing")] = 0.0, pacing
    bits[:, NAMES.index("mixing")], value[:, NAMES.index(DOSE)] = 1.0, 0.9
    value[:, NAMES.index("load")] = 1.0
    assert replace(whole, value=value, bits=bits).doubtful.tolist() == [silent]
    value[:, NAMES.index("mixing")] = np.nan
    assert replace(whole, value=value, bits=bits).doubtful.all()


@pytest.mark.parametrize(
    ("load", "rhythm", "wordings", "guests"),
    [
        (0.5, 0.7, 0.0, True),
        (0.9, 0.7, 0.0, False),  # even shares: dealt out
        (0.8, np.nan, 0.0, True),  # an event of two days, of which nobody can tell the hours yet
        (0.9, np.nan, 0.0, False),
        (0.8, 0.7, 0.0, False),
        (0.5, 1.0, 0.0, False),  # round the clock: no people
        (0.5, 0.7, 4.0, False),  # reworded from one exchange to the next: made not to be recognised
        (np.nan, 0.7, 0.0, False),
    ],
)
def test_guests_of_one_host_take_uneven_shares_at_their_own_hours(
    load: float, rhythm: float, wordings: float, guests: bool
) -> None:
    whole = measured(1)
    value, bits = whole.value.copy(), whole.bits.copy()
    for name, one in {
        "load": load,
        "rhythm": rhythm,
        "mixing": 0.0,
        "pacing": 0.0,
        "routine": 0.0,
        DOSE: 0.9,
    }.items():
        value[:, NAMES.index(name)] = one
    bits[:, NAMES.index("wordings")], bits[:, NAMES.index("mixing")] = wordings, 1.0
    found = replace(whole, value=value, bits=bits)
    assert found.guests.tolist() == found.doubtful.tolist() == [guests]


@pytest.mark.parametrize(("silent", "beyond"), [(False, 1.0), (True, -5.0)])
def test_silent_conduct_takes_more_bits(silent: bool, beyond: float) -> None:
    bar = Bar()
    assert float(margin(threshold(bar) + 1.0, silent, bar)) == pytest.approx(beyond)


@pytest.mark.parametrize(
    ("silent", "guests", "doubtful", "verdict", "reason"),
    [
        (False, False, False, Verdict.EXTRACTION, "evidence"),
        (True, False, True, Verdict.UNDETERMINED, "a signal of conduct says nothing"),
        (False, True, True, Verdict.UNDETERMINED, "as customers of one vendor or people at one event do"),
        (False, False, True, Verdict.UNDETERMINED, "subjects of their own"),
    ],
)
def test_who_is_not_accused_for_doubt_is_told_why(
    silent: bool, guests: bool, doubtful: bool, verdict: Verdict, reason: str
) -> None:
    found = rule(
        Case(
            12.0, 0.9, 9.0, 5.0, 1.0, 0.9, silent, guests, doubtful, 30, 30, 0.0, 0.0, 0.0, 0.0, math.nan, 2
        ),
        Bar(),
    )
    assert found.verdict is verdict
    assert reason in found.reasons[0]
