"""What innocent crowds have in common takes more than the bar, and the verdict says why."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from stillwatch.doubts import (
    DOUBTS,
    EMPLOYED,
    HOSTED,
    ONE_PAYER,
    PASTED,
    Doubt,
    doubts,
    doubts_of,
    times_of_one_payer,
)
from stillwatch.evidence import DOSE, Measured
from stillwatch.signals import all_signals
from stillwatch.verdict import Bar, Case, Verdict, margin, rule, threshold

NAMES = tuple(signal.name for signal in all_signals())
SILENT, SUBJECTS, TIMETABLE, NAMELESS, VAGUE, UNLIKELY, EVENT, UNTIED, POPULAR, RETOLD, KNOWN = DOUBTS


def told(value: dict[str, float], bits: dict[str, float]) -> Measured:
    """One stream of a reworded text of which nothing is in doubt, but for these values and bits."""
    values, weighed = np.ones((1, len(NAMES))), np.ones((1, len(NAMES)))
    weighed[:, NAMES.index("wordings")] = 8.0
    for name, one in value.items():
        values[:, NAMES.index(name)] = one
    for name, one in bits.items():
        weighed[:, NAMES.index(name)] = one
    return Measured(NAMES, values, np.full(values.shape, 20_000, np.int64), weighed, -6.5)


def held(measured: Measured, one_payer: bool = False) -> tuple[Doubt, ...]:
    return doubts_of(measured, np.array([one_payer]))[0]


PLAIN = {"wordings": 0.0}


def test_a_dispatcher_who_rewords_is_not_doubted() -> None:
    assert held(told({}, {})) == ()
    assert doubts(told({}, {})).tolist() == [0]


@pytest.mark.parametrize(("wordings", "found"), [(0.0, (PASTED,)), (1.0, (PASTED,)), (1.1, ())])
def test_a_text_that_is_the_same_every_time_is_doubted(wordings: float, found: tuple[Doubt, ...]) -> None:
    assert held(told({}, {"wordings": wordings})) == found


@pytest.mark.parametrize(
    ("lockstep", "harvest", "found"),
    [
        (3.0, 6.0, ()),
        (2.9, 8.0, (PASTED,)),
        (5.0, 5.9, (PASTED,)),
        (np.nan, 8.0, (PASTED,)),
        (5.0, np.nan, (PASTED,)),
    ],
)
def test_who_was_opened_together_and_takes_all_it_can_get_has_pasted_nothing(
    lockstep: float, harvest: float, found: tuple[Doubt, ...]
) -> None:
    assert held(told({"lockstep": lockstep, "harvest": harvest}, PLAIN)) == found


@pytest.mark.parametrize(
    ("change", "principals", "exchanges", "found"),
    [
        ({}, 20, 240, ()),
        ({}, 20, 239, (PASTED,)),  # as often as people paste
        ({}, 19, 600, (PASTED,)),  # so few may be alike by chance
        ({"load": 0.97}, 20, 600, (PASTED,)),  # as often as each has use for it
        ({"partition": 0.89}, 20, 600, (PASTED,)),  # the same items, as in a benchmark
        ({"rhythm": 0.59}, 20, 600, (PASTED,)),  # the hours of one place
        ({"rhythm": np.nan}, 20, 600, (PASTED,)),  # an event, for all that can be told
        ({"load": np.nan}, 20, 600, (PASTED,)),
        ({"partition": np.nan}, 20, 600, (PASTED,)),
    ],
)
def test_a_queue_that_is_worked_off_in_like_amounts_has_not_been_pasted(
    change: dict[str, float], principals: int, exchanges: int, found: tuple[Doubt, ...]
) -> None:
    dealt = {"load": 0.98, "partition": 0.9, "rhythm": 0.6}
    stream = told({**dealt, **change}, PLAIN)
    stream.n[:, NAMES.index("load")], stream.n[:, NAMES.index("rhythm")] = principals, exchanges
    assert held(stream) == found


SUPPLIED = {
    "lockstep": 4.0, "infrastructure_payment": 4.0, "coverage": 0.7, "partition": 0.95, "load": 0.95, "place": 0.39,
}  # fmt: skip


@pytest.mark.parametrize("young", [{}, {"mixing": np.nan}, {"rhythm": np.nan}])
def test_a_text_that_came_with_accounts_and_cards_has_not_been_pasted(young: dict[str, float]) -> None:
    assert held(told({**SUPPLIED, **young}, PLAIN)) == ()


@pytest.mark.parametrize(
    "change",
    [
        {"lockstep": 3.9},  # opened when each had use for it
        {"infrastructure_payment": 3.9},  # each pays for itself
        {"coverage": 0.69},  # the items of an event
        {"partition": 0.94},
        {"load": 0.94},  # as often as each has work for it
        {"place": 0.4},  # an office
        *({name: np.nan} for name in SUPPLIED),
    ],
)
def test_a_house_and_an_event_have_not_all_of_that(change: dict[str, float]) -> None:
    assert held(told({**SUPPLIED, **change}, PLAIN)) == (PASTED,)
    assert held(told({**SUPPLIED, **change, "mixing": np.nan}, PLAIN)) == (SILENT,)


def test_whom_one_means_of_payment_pays_for_has_one_employer() -> None:
    assert held(told(SUPPLIED, PLAIN), one_payer=True) == (PASTED, ONE_PAYER)
    assert held(told({**SUPPLIED, "mixing": np.nan}, PLAIN), one_payer=True) == (SILENT, ONE_PAYER)


def test_of_a_text_in_doubt_it_is_not_asked_again_whether_it_is_pasted() -> None:
    assert held(told({"mixing": np.nan}, PLAIN)) == (SILENT,)
    assert doubts(told({"mixing": np.nan}, PLAIN)).tolist() == [1]


@pytest.mark.parametrize("signal", ["mixing", "pacing"])
def test_conduct_without_a_value_is_doubted(signal: str) -> None:
    assert held(told({signal: np.nan}, {})) == (SILENT,)


def test_few_who_come_back_say_little_of_the_others() -> None:
    assert held(told({DOSE: 0.59}, {})) == (SILENT,)


@pytest.mark.parametrize(("pacing", "found"), [(2.0, ()), (0.0, (SILENT,)), (-1.0, (SILENT,))])
def test_routine_is_not_waited_for_where_pacing_speaks_for(pacing: float, found: tuple[Doubt, ...]) -> None:
    assert held(told({"routine": np.nan}, {"pacing": pacing, "routine": 0.0})) == found


@pytest.mark.parametrize(("mixing", "found"), [(-0.9, ()), (-1.0, (SUBJECTS,))])
def test_subjects_of_their_own_are_doubted(mixing: float, found: tuple[Doubt, ...]) -> None:
    assert held(told({}, {"mixing": mixing})) == found


@pytest.mark.parametrize(
    ("rhythm", "wordings", "found"),
    [(0.3, 0.0, (TIMETABLE,)), (0.45, 0.0, (PASTED,)), (0.3, 8.0, ()), (np.nan, 0.0, (PASTED,))],
)
def test_lessons_are_given_in_a_few_hours(rhythm: float, wordings: float, found: tuple[Doubt, ...]) -> None:
    assert held(told({"rhythm": rhythm}, {"wordings": wordings})) == found


@pytest.mark.parametrize(
    ("rhythm", "pacing", "known", "wordings", "found"),
    [
        (0.5, -0.4, True, 0.0, (PASTED,)),
        (0.5, -0.4, False, 0.0, (NAMELESS,)),
        (0.5, 0.0, False, 0.0, (PASTED,)),  # dealt out within these hours
        (0.9, -0.4, False, 0.0, (PASTED,)),
        (0.5, -0.4, False, 8.0, ()),
    ],
)
def test_nobody_can_see_one_house_where_the_log_names_nobody(
    rhythm: float, pacing: float, known: bool, wordings: float, found: tuple[Doubt, ...]
) -> None:
    named = {} if known else {"lockstep": np.nan, "infrastructure_payment": np.nan}
    values = {"rhythm": rhythm, "pacing": pacing, **named}
    assert held(told(values, {"wordings": wordings})) == found


@pytest.mark.parametrize(
    ("objective", "wordings", "found"),
    [
        (0.19, 0.0, (VAGUE, UNLIKELY)),
        (0.2, 0.0, (VAGUE,)),
        (0.29, 0.0, (VAGUE,)),
        (0.3, 0.0, (PASTED,)),
        (0.19, 8.0, ()),
    ],
)
def test_one_hand_does_not_say_what_for(objective: float, wordings: float, found: tuple[Doubt, ...]) -> None:
    assert held(told({"objective": objective}, {"wordings": wordings})) == found


def test_accounts_that_came_with_a_text_do_not_say_what_for_either() -> None:
    equipped = {"lockstep": 6.0, "harvest": 8.0}
    assert held(told(equipped, PLAIN)) == ()
    assert held(told({"objective": 0.25, **equipped}, PLAIN)) == (VAGUE,)


@pytest.mark.parametrize(
    ("rhythm", "lockstep", "network", "place", "wordings", "found"),
    [
        (np.nan, 5.4, 8.0, 1.0, 0.0, (EVENT,)),
        (np.nan, 5.4, 8.0, 0.4, 0.0, (EVENT,)),
        (np.nan, 5.4, 8.0, np.nan, 0.0, (EVENT,)),
        (np.nan, 5.4, 8.0, 0.39, 0.0, (PASTED,)),  # a few in each of many networks
        (np.nan, 5.4, 4.0, 1.0, 0.0, (PASTED,)),  # opened on one day, and called from anywhere
        (np.nan, 2.9, 8.0, 1.0, 0.0, (PASTED,)),  # opened in batches
        (0.9, 5.4, 8.0, 1.0, 0.0, (HOSTED,)),  # no event lasts so long, and a course does
        (0.9, 5.4, 8.0, 0.4, 0.0, (HOSTED,)),
        (0.9, 5.4, 8.0, 0.39, 0.0, (PASTED,)),
        (0.9, 5.4, 4.0, 1.0, 0.0, (PASTED,)),
        (0.9, 2.9, 8.0, 1.0, 0.0, (PASTED,)),
        (0.9, 5.4, 8.0, 1.0, 8.0, ()),
        (np.nan, 5.4, 8.0, 1.0, 8.0, ()),
    ],
)
def test_an_event_is_held_at_one_place(
    rhythm: float, lockstep: float, network: float, place: float, wordings: float, found: tuple[Doubt, ...]
) -> None:
    values = {"rhythm": rhythm, "lockstep": lockstep, "infrastructure_network": network, "place": place}
    assert held(told(values, {"wordings": wordings})) == found


@pytest.mark.parametrize(
    ("load", "value", "wordings", "found"),
    [
        (0.9, {}, 0.0, (UNTIED,)),
        (0.95, {}, 0.0, (PASTED,)),  # as much of each: dealt out
        (np.nan, {}, 0.0, (PASTED,)),
        (0.9, {"lockstep": 1.0}, 0.0, (PASTED,)),
        (0.9, {"infrastructure_payment": 1.0}, 0.0, (PASTED,)),
        (0.9, {"infrastructure_network": 1.0}, 0.0, (PASTED,)),
        (0.9, dict.fromkeys(("lockstep", "infrastructure_payment", "infrastructure_network"), np.nan), 0.0, (UNTIED,)),
        (0.9, {}, 8.0, ()),
    ],
)  # fmt: skip
def test_users_of_one_program_are_not_tied_to_each_other(
    load: float, value: dict[str, float], wordings: float, found: tuple[Doubt, ...]
) -> None:
    apart = dict.fromkeys(("lockstep", "infrastructure_payment", "infrastructure_network"), 0.9)
    assert held(told({**apart, **value, "load": load}, {"wordings": wordings})) == found


@pytest.mark.parametrize(
    ("coverage", "wordings", "found"),
    [
        (0.3, 8.0, (RETOLD,)),
        (0.1, 8.0, (RETOLD, KNOWN)),
        (0.1, 0.0, (PASTED,)),  # seeds asked often
        (0.09, 0.0, (PASTED,)),  # by accounts that were bought for it
        (0.9, 8.0, ()),
        (np.nan, 8.0, ()),
    ],
)
def test_items_of_several_principals_are_doubted(
    coverage: float, wordings: float, found: tuple[Doubt, ...]
) -> None:
    bought = {"lockstep": 4.0, "infrastructure_payment": 4.0, "place": 0.39}
    assert held(told({**bought, "coverage": coverage}, {"wordings": wordings})) == found


@pytest.mark.parametrize(
    "change",
    [
        {"lockstep": 3.9}, {"infrastructure_payment": 3.9}, {"place": 0.4}, {"load": 0.94}, {"lockstep": np.nan},
    ],
)  # fmt: skip
def test_items_that_everybody_has_are_of_a_benchmark_unless_accounts_were_bought(
    change: dict[str, float],
) -> None:
    bought = {"lockstep": 4.0, "infrastructure_payment": 4.0, "place": 0.39, "coverage": 0.09}
    assert held(told({**bought, **change}, PLAIN)) == (POPULAR,)


def test_one_payer_is_doubted_besides() -> None:
    assert held(told({}, {}), one_payer=True) == (ONE_PAYER,)
    assert held(told({}, PLAIN), one_payer=True) == (PASTED, ONE_PAYER)


@pytest.mark.parametrize(
    ("load", "found"), [(0.94, (ONE_PAYER, EMPLOYED)), (0.95, (ONE_PAYER,)), (np.nan, (ONE_PAYER,))]
)
def test_people_whom_one_employer_pays_send_unlike_amounts(load: float, found: tuple[Doubt, ...]) -> None:
    measured = told({"load": load}, {})
    assert held(measured, one_payer=True) == found
    assert held(measured) == ()
    assert times_of_one_payer(measured).tolist() == [sum(doubt.times for doubt in found)]


def test_streams_are_told_apart() -> None:
    every = [told({}, {}), told({"mixing": np.nan}, {}), told({}, PLAIN), told({}, {})]
    together = Measured(
        NAMES,
        *(np.concatenate([getattr(one, name) for one in every]) for name in ("value", "n", "bits")),
        -6.5,
    )
    assert doubts_of(together, np.zeros(4, bool)) == [(), (SILENT,), (PASTED,), ()]
    assert doubts(together).tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(("times", "beyond"), [(0, 1.0), (1, -5.0), (2, -11.0)])
def test_each_doubt_takes_more_bits(times: int, beyond: float) -> None:
    bar = Bar()
    assert float(margin(threshold(bar) + 1.0, times, bar)) == pytest.approx(beyond)


@pytest.mark.parametrize(
    ("doubted", "reason"),
    [
        ((SILENT,), "a signal of conduct says nothing, and 6 bits more"),
        ((EVENT,), "as at an event, and 18 bits more"),
        ((PASTED,), "people copy or a program sends, and 6 bits more"),
        ((ONE_PAYER,), "as an employer or a school does, and 12 bits more"),
        ((SUBJECTS, RETOLD), "in ever other words, as a test of robustness does, and 12 bits more"),
    ],
)
def test_who_is_not_accused_for_doubt_is_told_why(doubted: tuple[Doubt, ...], reason: str) -> None:
    found = rule(case(doubted), Bar())
    assert found.verdict is Verdict.UNDETERMINED
    assert reason in found.reasons[0]


def test_without_doubt_the_same_evidence_accuses() -> None:
    assert rule(case(()), Bar()).verdict is Verdict.EXTRACTION


@pytest.mark.parametrize(
    ("partition", "verdict"),
    [(0.34, Verdict.EVALUATION), (0.69, Verdict.UNDETERMINED), (0.79, Verdict.EXTRACTION)],
)
def test_who_sends_each_others_items_is_not_accused_however_strong_the_rest(
    partition: float, verdict: Verdict
) -> None:
    assert rule(replace(case(()), partition=partition, bits=25.0), Bar()).verdict is verdict


@pytest.mark.parametrize(
    ("independent", "verdict"),
    [(30, Verdict.EXTRACTION), (15, Verdict.EXTRACTION), (14, Verdict.UNDETERMINED)],
)
def test_accounts_of_a_few_declared_organizations_are_not_accused(independent: int, verdict: Verdict) -> None:
    found = rule(replace(case(()), independent=independent), Bar())
    assert found.verdict is verdict
    assert ("counted once each they are 14" in found.reasons[0]) is (verdict is Verdict.UNDETERMINED)


def case(doubted: tuple[Doubt, ...]) -> Case:
    return Case(
        12.0, 0.9, 9.0, 5.0, 1.0, 0.9, SILENT in doubted, doubted, 30, 30, 0.0, 0.0, 0.0, 30, 0.0, math.nan, 2,
    )  # fmt: skip
