"""Doubts: what innocent crowds have in common and weighs like one hand. For each, more is asked of all evidence together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stillwatch.signals.base import cautious_lift
from stillwatch.signals.routine import BLOCK_HOURS

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.evidence import Measured

OWN_SUBJECTS = -1.0
"""Bits of mixing from which a stream's principals come back to subjects of their own."""

UNEVEN, NOT_EVEN, WORDED = 0.75, 0.85, 1.0
"""Value of the load up to which shares are uneven; up to which it does not speak for a dispatcher, which is what counts as
long as ``rhythm`` is silent, since few exchanges have not yet spread apart; and bits of the wordings beyond which a text
is varied on purpose."""

OWN_HOURS, COMMON_DAY = -0.9, 1.5
"""Bits of pacing and routine up to and from which principals sit down to work each by itself on a day that all have in
common."""

OWN_PACE, OWN_TIME = -0.25, -0.15
"""Values of pacing and routine up to which each principal keeps a time of its own, if not strictly."""

PEOPLE, LESSONS = 0.5, 0.4
"""Values of the rhythm up to which a stream keeps the hours of people at one place, and those of a timetable."""

NO_HOURS, DEALT = 1.0, 0.95
"""Bits of pacing and routine together below which hours do not speak of one hand, and value of the load from which shares
do."""

HOSTED = 3.0
"""Bits that days of opening and means of payment weigh together from which they may be the host's of an event."""

RETOLD, KNOWN = 0.5, 0.2
"""Values of the coverage below which most items, and nearly all, are sent by several."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """One reason to ask for more than the bar."""

    holds: Callable[[Measured], NDArray[np.bool_]] | None
    """Streams that it holds of, bool[s]; None where it is not read off signals."""

    reason: str

    times: int = 1
    """How often more is asked for by it."""


def _silent(measured: Measured) -> NDArray[np.bool_]:
    return measured.silent


def _subjects(measured: Measured) -> NDArray[np.bool_]:
    """Common hours are then a timetable, such as that of a course."""
    return (measured.bits_of("mixing") <= OWN_SUBJECTS) & ~measured.silent


def _guests(measured: Measured) -> NDArray[np.bool_]:
    """What customers of one vendor have in common is their host's, and firms with one job run it round the clock."""
    uneven = measured.of("load") <= np.where(np.isnan(measured.of("rhythm")), NOT_EVEN, UNEVEN)
    return uneven & (measured.bits_of("wordings") <= WORDED)


def _desks(measured: Measured) -> NDArray[np.bool_]:
    """A profession works on the same days, each at its own desk when it sits down to it."""
    by_themselves = measured.bits_of("pacing") <= OWN_HOURS
    worded = measured.bits_of("wordings") > WORDED
    return by_themselves & (measured.bits_of("routine") >= COMMON_DAY) & ~worded & ~_guests(measured)


def _apart(measured: Measured) -> NDArray[np.bool_]:
    """Then all that is left is what a rollout gives: accounts of the same days, and a quota."""
    hours = measured.bits_of("pacing") + measured.bits_of("routine")
    worded = measured.bits_of("wordings") > WORDED
    return (
        (hours < NO_HOURS) & (measured.of("load") < DEALT) & ~worded & ~_guests(measured) & ~measured.silent
    )


def _own_time(measured: Measured) -> NDArray[np.bool_]:
    """What an operator deals out comes when the operator works, and a firm's job when that firm runs it."""
    worded = measured.bits_of("wordings") > WORDED
    by_chance = measured.counted("routine") / (24 / BLOCK_HOURS)
    least = np.minimum(OWN_TIME, cautious_lift(by_chance, by_chance + np.sqrt(2 * by_chance)))
    return (measured.of("pacing") <= OWN_PACE) & (measured.of("routine") <= least) & ~worded


def _firms(measured: Measured) -> NDArray[np.bool_]:
    """Each has as much to do as comes in; an operator that lets shares drift as well is left with few signs."""
    return _own_time(measured) & (measured.of("load") < DEALT) & ~_guests(measured)


def _class(measured: Measured) -> NDArray[np.bool_]:
    """Homework is done before one deadline, by seats that were opened for the course, by some more than by others."""
    return _guests(measured) & (measured.of("rhythm") <= PEOPLE)


def _office(measured: Measured) -> NDArray[np.bool_]:
    """The workers of one house have a quota, and sit down to it in the house's hours, each when it comes to it."""
    worded = measured.bits_of("wordings") > WORDED
    people = (measured.of("rhythm") <= PEOPLE) & (measured.of("pacing") <= OWN_PACE)
    return people & ~worded & ~_guests(measured) & ~_desks(measured)


def _nameless(measured: Measured) -> NDArray[np.bool_]:
    """Where the log knows nothing of the accounts, nobody can see that one house declared them."""
    unknown = np.isnan(measured.of("lockstep")) & np.isnan(measured.of("infrastructure_payment"))
    return (_office(measured) | _timetable(measured)) & unknown


def _timetable(measured: Measured) -> NDArray[np.bool_]:
    """Hardly an operator leaves its accounts idle but for a few hours of the day, and lessons are given in them."""
    return (measured.of("rhythm") <= LESSONS) & (measured.bits_of("wordings") <= WORDED)


def _event(measured: Measured) -> NDArray[np.bool_]:
    """A stream too short for a rhythm, of accounts that were opened or paid for together."""
    hosted = measured.bits_of("lockstep") + measured.bits_of("infrastructure_payment") >= HOSTED
    return hosted & np.isnan(measured.of("rhythm"))


def _retold(measured: Measured) -> NDArray[np.bool_]:
    """A test of robustness sends the same items in ever other words."""
    return (measured.of("coverage") < RETOLD) & (measured.bits_of("wordings") > WORDED)


def _known(measured: Measured) -> NDArray[np.bool_]:
    """All who run such a test have its items, whenever they run it."""
    return _retold(measured) & (measured.of("coverage") < KNOWN)


DOUBTS = (
    Doubt(_silent, "a signal of conduct says nothing"),
    Doubt(_subjects, "its principals come back to subjects of their own"),
    Doubt(_guests, "its principals take uneven shares, as customers of one vendor and firms with one job do"),
    Doubt(_desks, "its principals work on common days, each when it sits down to it, as a profession does"),
    Doubt(_apart, "neither hours nor shares of its principals speak of one hand"),
    Doubt(_own_time, "its principals keep a time of their own, as firms do that run one job"),
    Doubt(_firms, "their shares are uneven as well"),
    Doubt(_class, "they keep the hours of people at one place, as a class does"),
    Doubt(
        _office,
        "its principals work in the hours of people at one place, as the workers of one house do",
    ),
    Doubt(_timetable, "it is sent in a few hours of the day, as in lessons", 2),
    Doubt(_nameless, "the log says nothing of who opened or pays their accounts"),
    Doubt(_event, "it lasted a few days and its accounts have one host, as at an event", 2),
    Doubt(_retold, "it sends the same items in ever other words, as a test of robustness does"),
    Doubt(_known, "hardly an item is sent by one principal alone"),
)
"""All that signals tell of."""

ONE_PAYER = Doubt(
    None, "one means of payment pays for most of its accounts, as an employer or a school does", times=2
)


def doubts(measured: Measured) -> NDArray[np.int64]:
    """How often more is asked for of each stream: int64[s]."""
    times = np.array([one.times for one in DOUBTS], np.int64)
    held: NDArray[np.int64] = times @ _holding(measured)
    return held


def doubts_of(measured: Measured) -> list[tuple[Doubt, ...]]:
    """Those that hold of each stream."""
    held = _holding(measured)
    code = (1 << np.arange(len(DOUBTS))) @ held
    _, first, which = np.unique(code, return_index=True, return_inverse=True)
    told = [
        tuple(one for one, holds in zip(DOUBTS, held[:, stream], strict=True) if holds)
        for stream in first.tolist()
    ]
    return [told[number] for number in which.tolist()]


def _holding(measured: Measured) -> NDArray[np.bool_]:
    """bool[doubts, s]."""
    return np.array([one.holds(measured) for one in DOUBTS if one.holds is not None])
