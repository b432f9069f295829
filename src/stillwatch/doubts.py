"""Doubts: what innocent crowds have in common and weighs like one hand. For each, more is asked of all evidence together."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.evidence import Measured

WORDED = 1.0
"""Bits of the wordings beyond which a text is varied on purpose."""

OWN_SUBJECTS = -1.0
"""Bits of mixing from which a stream's principals come back to subjects of their own."""

PEOPLE, LESSONS = 0.5, 0.4
"""Values of the rhythm up to which a stream keeps the hours of people at one place, and those of a timetable."""

OWN_PACE = -0.25
"""Value of pacing up to which each principal sits down by itself within those hours."""

ON_ONE_DAY, AT_ONE_PLACE = 4.0, 5.0
"""Doublings by which the accounts of a stream were opened on one day, and call from one network, more often than those of
the log, from which an event has hosted them."""

GATHERED = 0.4
"""Share of its accounts that call from one network, from which a stream is at one place. Of 809 groups of eleven authors'
innocents who ask for training data, were opened on one day and share networks like that, all but 15 have more (classes of
several schools, two vendors at once: 14.6 bits at most); of 197 of operators, 186 have less."""

EVEN, TIED = 0.95, 1.0
"""Value of the load from which principals send like amounts, as work that is dealt out; and doublings beyond chance from
which accounts are tied to each other by the day that they were opened, by a payment or by a network."""

TOGETHER, GREEDY = 3.0, 6.0
"""Doublings by which accounts were opened on one day more often than those of the log, and bits of the harvest, from
which a text came with accounts and settings. Of eight authors' innocents who ask for training data, those with both
reach 3.2 bits."""

PAID_ALIKE, UNSHARED, NOT_DRAWN = 4.0, 0.7, 0.95
"""Doublings by which accounts share means of payment more often than those of the log, and values of coverage and partition
from which most items are sent by nobody else. Accounts that were opened together and share cards, at many places, and send
like amounts of items of their own, were bought for it."""

DEALT, OWN, ROUND = 0.98, 0.9, 0.6
"""Values of load, partition and rhythm from which principals send like amounts, of items that hardly anybody else has, and
not in the hours of people at one place."""

EACH, WORKERS = 12, 20
"""Exchanges of each principal on average, and principals, from which that is a queue that is worked off. People do not
paste a text that often for a week or more, and all of them alike; what so few send may be alike by chance."""

PLAIN, LIKELY = 0.3, 0.2
"""Values of the objective from which it is plain, and likely, that a text asks for training data. One in six of honest texts
has a value of 0.1 to 0.3 by accident, and of campaigns one in forty. Of twelve authors' innocents with such a text whom
neither a declared organization nor one card tells, one has 18.1 bits, the others up to 14.9, and all from 12.3 on have a
value below 0.2; campaigns of that kind that are found have 15.6 and more, and below 0.2 21.2."""

RETOLD, KNOWN, POPULAR = 0.5, 0.2, 0.1
"""Values of the coverage below which most items are sent by several, nearly all, and all but what is cut short."""


@dataclass(frozen=True, slots=True)
class Doubt:
    """One reason to ask for more than the bar."""

    holds: Callable[[Measured], NDArray[np.bool_]] | None
    """Streams that it holds of, bool[s]; None where it is not read off signals alone."""

    reason: str

    times: int = 1
    """How often more is asked for by it."""


def _silent(measured: Measured) -> NDArray[np.bool_]:
    return measured.silent


def _subjects(measured: Measured) -> NDArray[np.bool_]:
    """Common hours are then a timetable, such as that of a course."""
    return (measured.bits_of("mixing") <= OWN_SUBJECTS) & ~measured.silent


def _worded(measured: Measured) -> NDArray[np.bool_]:
    return measured.bits_of("wordings") > WORDED


def _equipped(measured: Measured) -> NDArray[np.bool_]:
    """People copy a text without settings, and the users of a program were not opened together."""
    return (measured.of("lockstep") >= TOGETHER) & (measured.of("harvest") >= GREEDY)


def _bought(measured: Measured) -> NDArray[np.bool_]:
    """A house that opens accounts for its people and pays them with a few cards has them at one place, or use for a text as
    each has work for it."""
    opened = (measured.of("lockstep") >= ON_ONE_DAY) & (measured.of("infrastructure_payment") >= PAID_ALIKE)
    bought: NDArray[np.bool_] = opened & (measured.of("load") >= EVEN) & (measured.of("place") < GATHERED)
    return bought


def _supplied(measured: Measured) -> NDArray[np.bool_]:
    """Guests of an event send the event's items."""
    own = (measured.of("coverage") >= UNSHARED) & (measured.of("partition") >= NOT_DRAWN)
    return _bought(measured) & own


def _dealt(measured: Measured) -> NDArray[np.bool_]:
    """Whoever pastes a text sends it now and then, and the users of a program as often as each has use for it."""
    workers, exchanges = measured.counted("load"), measured.counted("rhythm")
    alike = (
        (measured.of("load") >= DEALT) & (measured.of("partition") >= OWN) & (measured.of("rhythm") >= ROUND)
    )
    return alike & (workers >= WORKERS) & (exchanges >= EACH * workers)


def _timetable(measured: Measured) -> NDArray[np.bool_]:
    """Hardly an operator leaves its accounts idle but for a few hours of the day, and lessons are given in them."""
    return (measured.of("rhythm") <= LESSONS) & ~_worded(measured)


def _nameless(measured: Measured) -> NDArray[np.bool_]:
    """Where the log knows nothing of the accounts, nobody can see that one house declared them or pays for them."""
    unknown = np.isnan(measured.of("lockstep")) & np.isnan(measured.of("infrastructure_payment"))
    people = (measured.of("rhythm") <= PEOPLE) & (measured.of("pacing") <= OWN_PACE)
    return unknown & people & ~_worded(measured)


def _vague(measured: Measured) -> NDArray[np.bool_]:
    """That one hand moves its principals does not say what for; whoever rewords a text hides what it is for."""
    return (measured.of("objective") < PLAIN) & ~_worded(measured)


def _unlikely(measured: Measured) -> NDArray[np.bool_]:
    return (measured.of("objective") < LIKELY) & ~_worded(measured)


def _hosted(measured: Measured) -> NDArray[np.bool_]:
    """An event, a course or an office opens accounts for its people, and has them at one place."""
    opened = (measured.of("lockstep") >= ON_ONE_DAY) & (measured.of("infrastructure_network") >= AT_ONE_PLACE)
    hosted: NDArray[np.bool_] = opened & ~(measured.of("place") < GATHERED)
    return hosted


def _event(measured: Measured) -> NDArray[np.bool_]:
    """Too short for a rhythm: its guests have had no time to show how they live."""
    return _hosted(measured) & np.isnan(measured.of("rhythm")) & ~_worded(measured)


def _untied(measured: Measured) -> NDArray[np.bool_]:
    """Whoever installs the same program sends the same text, as often as there is use for it."""
    ties = "lockstep", "infrastructure_payment", "infrastructure_network"
    tied: NDArray[np.bool_] = np.any([measured.of(one) >= TIED for one in ties], axis=0)
    return (measured.of("load") < EVEN) & ~tied & ~_worded(measured)


def _popular(measured: Measured) -> NDArray[np.bool_]:
    """Who draws from a public benchmark shares few items with each, and nearly all with somebody; nobody buys accounts for
    that."""
    return (measured.of("coverage") < POPULAR) & ~_worded(measured) & ~_bought(measured)


def _retold(measured: Measured) -> NDArray[np.bool_]:
    """A test of robustness sends the same items in ever other words."""
    return (measured.of("coverage") < RETOLD) & _worded(measured)


def _known(measured: Measured) -> NDArray[np.bool_]:
    """All who run such a test have its items, whenever they run it."""
    return _retold(measured) & (measured.of("coverage") < KNOWN)


SILENT = Doubt(_silent, "a signal of conduct says nothing")

DOUBTS = (
    SILENT,
    Doubt(_subjects, "its principals come back to subjects of their own"),
    Doubt(_timetable, "it is sent in a few hours of the day, as in lessons", 2),
    Doubt(
        _nameless,
        "its principals sit down to it in the hours of people at one place, and the log says nothing of who opened or "
        "pays their accounts",
        2,
    ),
    Doubt(_vague, "it is not plain that its text asks for training data"),
    Doubt(_unlikely, "its text is rather like honest ones"),
    Doubt(
        _event,
        "it lasted a few days, and its accounts were opened on one day and call from one place, as at an event",
        3,
    ),
    Doubt(
        _untied,
        "its principals send unlike amounts of the same text, and nothing in the log ties their accounts to each other, "
        "as with users of one program",
        2,
    ),
    Doubt(_popular, "hardly an item is sent by one principal alone, as of a public benchmark", 2),
    Doubt(_retold, "it sends the same items in ever other words, as a test of robustness does"),
    Doubt(_known, "hardly an item is sent by one principal alone"),
)
"""What signals tell of, each for itself."""

PASTED = Doubt(None, "its text is the same every time, as one is that people copy or a program sends")
"""Held where none of ``DOUBTS`` is, nobody rewords the text on purpose, and it neither came with accounts, whether with
settings or with means of payment, nor is dealt out. Firms that run one job, guests of an event, professions at their
desks, customers of one vendor and the workers of an office look each like an operator in some of the signals. In logs of
four authors they weigh up to 13.8 bits, and campaigns that are found 14.5 and more; a few of the authors since weigh more
all the same."""

HOSTED = Doubt(
    None,
    "its text is the same every time, and its accounts were opened on one day and call from one place, as those of a "
    "course or an office",
    times=2,
)
"""Held in place of ``PASTED`` of accounts like that. Of twelve authors' innocents who ask for training data, those whom
neither a declared organization nor one card tells reach 15.1 bits; operators in no other doubt have 21.4 and more."""

ONE_PAYER = Doubt(
    None, "one means of payment pays for most of its accounts, as an employer or a school does", times=2
)

EMPLOYED = Doubt(None, "they send unlike amounts of it, as an employer's people do")
"""Held besides. Of twelve authors' 386 groups that one card pays for, three are of operators, who deal evenly."""


def doubts(measured: Measured) -> NDArray[np.int64]:
    """How often more is asked for of each stream: int64[s]."""
    times = np.array([one.times for one in (*DOUBTS, PASTED, HOSTED)], np.int64)
    held: NDArray[np.int64] = times @ _holding(measured, np.zeros(len(measured.total), np.bool_))
    return held


def times_of_one_payer(measured: Measured) -> NDArray[np.int64]:
    """How often more is asked for of each stream besides, if one means of payment pays for it: int64[s]."""
    return ONE_PAYER.times + EMPLOYED.times * _employed(measured).astype(np.int64)


def doubts_of(measured: Measured, one_payer: NDArray[np.bool_]) -> list[tuple[Doubt, ...]]:
    """Those that hold of each stream; ``one_payer``: bool[s], streams that one means of payment pays for."""
    held = np.vstack([_holding(measured, one_payer), one_payer, one_payer & _employed(measured)])
    every = (*DOUBTS, PASTED, HOSTED, ONE_PAYER, EMPLOYED)
    code = (1 << np.arange(len(every))) @ held
    _, first, which = np.unique(code, return_index=True, return_inverse=True)
    told = [
        tuple(one for one, holds in zip(every, held[:, stream], strict=True) if holds)
        for stream in first.tolist()
    ]
    return [told[number] for number in which.tolist()]


def _employed(measured: Measured) -> NDArray[np.bool_]:
    return measured.of("load") < EVEN


def _holding(measured: Measured, one_payer: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """bool[doubts + 2, s]: ``DOUBTS``, ``PASTED`` and ``HOSTED``."""
    told = np.array([one.holds(measured) for one in DOUBTS if one.holds is not None])
    supplied = _supplied(measured) & ~one_payer
    told[DOUBTS.index(SILENT)] &= ~supplied
    came = _worded(measured) | _equipped(measured) | _dealt(measured) | supplied
    pasted, hosted = ~told.any(axis=0) & ~came, _hosted(measured)
    return np.vstack([told, pasted & ~hosted, pasted & hosted])
