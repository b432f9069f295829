"""What a case says would change its verdict."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stillwatch.corroboration import SIGNAL
from stillwatch.dossier import _takes_without, _would_change
from stillwatch.doubts import ONE_PAYER, doubts_of
from stillwatch.evidence import Evidence, Measured
from stillwatch.signals import all_signals
from stillwatch.verdict import Bar, Verdict, needed

NAMES = tuple(signal.name for signal in all_signals())
START = -6.5


def told(bits: dict[str, float], one_payer: bool = False, value: dict[str, float] | None = None) -> Any:
    """A case on a reworded text of which nothing is in doubt but for these; every other signal weighs one bit."""
    weighed = np.ones((1, len(NAMES)))
    weighed[:, NAMES.index("wordings")] = 8.0
    for name, one in bits.items():
        weighed[:, NAMES.index(name)] = one
    values = np.ones_like(weighed)
    for name, one in (value or {}).items():
        values[:, NAMES.index(name)] = one
    measured = Measured(NAMES, values, np.full(weighed.shape, 20_000, np.int64), weighed, START)
    (doubts,) = doubts_of(measured, np.array([one_payer]))
    case = SimpleNamespace(
        bits=float(measured.total[0]),
        doubts=doubts,
        doubted=sum(doubt.times for doubt in doubts),
        objective=0.9,
    )
    judged = SimpleNamespace(case=case, ruling=SimpleNamespace(verdict=Verdict.EXTRACTION))
    return SimpleNamespace(
        scanned=SimpleNamespace(by_group=measured), groups=[judged], options=SimpleNamespace(bar=Bar())
    )


def without_strongest(context: Any) -> str:
    """The sentence on the strongest signal."""
    weighed = context.scanned.by_group.bits[0].tolist()
    evidence = [Evidence(name, 1.0, 1, bits, "") for name, bits in zip(NAMES, weighed, strict=True)]
    (found,) = [line for line in _would_change(context, 0, evidence) if "the strongest signal" in line]
    return found


def test_a_text_that_is_reworded_by_its_strongest_signal_alone_is_doubted_without() -> None:
    """It has the bits that nothing in doubt takes, and not those of a text that is the same every time."""
    context = told({"objective": 4.0})
    left = context.groups[0].case.bits - 8.0
    assert needed(Bar()) <= left < needed(Bar(), 1)
    assert without_strongest(context).startswith("without the strongest signal (wordings, +8.0 bits)")
    assert _takes_without(context, 0, "wordings") == needed(Bar(), 1)


def test_a_doubt_that_no_signal_bears_stays() -> None:
    assert without_strongest(told({"objective": 12.0})).startswith(
        "even without the strongest signal (objective"
    )
    assert without_strongest(told({"objective": 12.0}, one_payer=True)).startswith(
        "without the strongest signal"
    )
    assert _takes_without(told({}, one_payer=True), 0, "objective") == needed(Bar(), ONE_PAYER.times)


def test_a_doubt_may_go_with_the_signal() -> None:
    """What is sent in a few hours of the day is doubted for them; without them it is a text that people copy."""
    context = told({"wordings": 0.0}, value={"rhythm": 0.3})
    assert context.groups[0].case.doubted == 2
    assert _takes_without(context, 0, "rhythm") == needed(Bar(), 1)
    assert _takes_without(context, 0, "objective") == needed(Bar(), 2)


@pytest.mark.parametrize("one_payer", [False, True])
def test_nothing_is_doubted_for_a_peers_word(one_payer: bool) -> None:
    context = told({"wordings": 0.0}, one_payer)
    assert _takes_without(context, 0, SIGNAL) == needed(Bar(), context.groups[0].case.doubted)
