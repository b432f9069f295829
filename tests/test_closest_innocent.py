"""The innocent families that a report shows lack the fewest bits of an accusation, as the verdict counts them."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from stillwatch.doubts import EMPLOYED, ONE_PAYER, PASTED, Doubt
from stillwatch.findings import closest_innocent
from stillwatch.verdict import Bar, needed

BAR = Bar()
PAID, ALONE = 0, 1
"""Two sets of four principals each: those that one card pays for, and those that pay for themselves."""


class Rows:
    """What is asked of the rows of families: bits, doubts, verdict and principals of each."""

    def __init__(
        self,
        *families: tuple[float, tuple[Doubt, ...], int],
        verdicts: dict[int, str] | None = None,
        load: float = 1.0,
    ):
        count = len(families)
        self.names = [f"f-{number}" for number in range(count)]
        self.judged = [
            SimpleNamespace(
                case=SimpleNamespace(doubted=sum(doubt.times for doubt in doubts)),
                principals=np.arange(4, dtype=np.int32) + 4 * payer,
            )
            for _, doubts, payer in families
        ]
        self.scanned = SimpleNamespace(
            by_family=SimpleNamespace(
                total=np.array([bits for bits, _, _ in families]),
                value=np.ones((count, 3)),
                of={"load": np.full(count, load)}.__getitem__,
            ),
            in_full=np.ones(count, bool),
            principals=SimpleNamespace(
                account=np.arange(8, dtype=np.int32),
                payments=(np.arange(8, dtype=np.int32), np.array([70] * 4 + [71, 72, 73, 74], np.int64)),
                count=8,
            ),
        )
        self._verdicts = verdicts or {}

    def verdict(self, family: int) -> str:
        return self._verdicts.get(family, "popular_prompt")


def told(rows: Rows, most: int = 6) -> list[tuple[int, float]]:
    given: Any = rows
    return closest_innocent(given, BAR, most)


def test_the_closest_lacks_the_fewest_bits_and_has_not_the_most() -> None:
    rows = Rows((12.0, (PASTED, ONE_PAYER), PAID), (6.0, (), ALONE), (7.0, (PASTED,), ALONE))
    assert told(rows) == [(1, needed(BAR)), (2, needed(BAR, 1)), (0, needed(BAR, 3))]


def test_one_payer_is_counted_of_who_has_no_evidence_too() -> None:
    """Its case does not say who pays: nobody is asked who has no evidence."""
    rows = Rows((-1.0, (PASTED,), PAID), (-2.0, (PASTED,), ALONE), (1.0, (PASTED, ONE_PAYER), PAID))
    assert told(rows) == [(1, needed(BAR, 1)), (2, needed(BAR, 3)), (0, needed(BAR, 3))]


def test_people_whom_one_employer_pays_lack_more_where_they_send_unlike_amounts() -> None:
    families = (-1.0, (PASTED,), PAID), (-2.0, (PASTED,), ALONE)
    paid = 1 + ONE_PAYER.times + EMPLOYED.times
    assert told(Rows(*families, load=0.9)) == [(1, needed(BAR, 1)), (0, needed(BAR, paid))]
    assert told(Rows(*families)) == [(1, needed(BAR, 1)), (0, needed(BAR, 3))]


@pytest.mark.parametrize("most", [1, 2, 3])
def test_the_first_are_the_same_however_many_are_asked_for(most: int) -> None:
    random = np.random.default_rng(most)
    families = [
        (
            float(bits),
            (PASTED,) * int(doubts) + ((ONE_PAYER,) if bits > 0 and payer == PAID else ()),
            int(payer),
        )
        for bits, doubts, payer in zip(
            random.normal(-3, 8, 60), random.integers(0, 3, 60), random.integers(0, 2, 60), strict=True
        )
    ]
    every = told(Rows(*families), 60)
    short = [takes - families[family][0] for family, takes in every]
    assert short == sorted(short)
    for family, takes in every:
        _, doubts, payer = families[family]
        plainly = [doubt for doubt in doubts if doubt is not ONE_PAYER] + [ONE_PAYER] * (payer == PAID)
        assert takes == pytest.approx(needed(BAR, sum(doubt.times for doubt in plainly)))
    assert told(Rows(*families), most) == every[:most]


def test_who_is_shown_to_a_person_is_not_innocent_and_an_empty_log_has_none() -> None:
    rows = Rows((6.0, (), ALONE), (5.0, (), ALONE), verdicts={0: "undetermined"})
    assert [family for family, _ in told(rows)] == [1]
    assert told(Rows()) == []
