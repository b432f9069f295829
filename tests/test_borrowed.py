"""Who is suspect beside the accounts of a stronger campaign alone is judged without them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from stillwatch.arena import Operator, Recipe, simulate
from stillwatch.borrowed import without_borrowers
from stillwatch.memberships import Members
from tests.scans import having, operated, scan_log

POOL, USERS = range(20), range(20, 26)


def log(*streams: Mapping[int, int]) -> tuple[Members, NDArray[np.int32]]:
    """Streams of so many exchanges by each principal, none in two of them; and the principal of each exchange."""
    owner = [np.repeat(list(sent), list(sent.values())) for sent in streams]
    stream = np.repeat(np.arange(len(streams), dtype=np.int32), [len(own) for own in owner])
    return members(stream, np.arange(len(stream), dtype=np.int32)), np.concatenate(owner).astype(np.int32)


def members(stream: NDArray[np.int32], row: NDArray[np.int32]) -> Members:
    none = np.empty(0, np.int32)
    scores = np.zeros((len(row), 11), np.int8)
    return Members(stream, row, scores, np.zeros(len(row), np.int32), none, none, none.astype(np.int64))


def sent(who: range, each: int) -> dict[int, int]:
    return dict.fromkeys(who, each)


class Bar:
    """Accuses the streams of so many principals, and notes who was in what it measured."""

    def __init__(self, of_row: NDArray[np.int32], least: int) -> None:
        self.of_row, self.least = of_row, least
        self.measured: list[list[int]] = []

    def __call__(self, some: Members, count: int) -> list[int]:
        self.measured = [
            np.unique(self.of_row[some.row[some.stream == stream]]).tolist() for stream in range(count)
        ]
        return [stream for stream, own in enumerate(self.measured) if len(own) >= self.least]


def of_stream(found: Members, of_row: NDArray[np.int32], stream: int) -> set[int]:
    return set(of_row[found.row[found.stream == stream]].tolist())


def test_users_whose_own_exchanges_accuse_nobody_are_left_out() -> None:
    own, of_row = log(sent(POOL, 9), sent(POOL, 5) | sent(USERS, 6))
    bar = Bar(of_row, 12)
    found = without_borrowers(own, of_row, [0, 1], bar)
    assert found is not None
    assert bar.measured == [list(USERS)], "the others, and nobody else"
    assert of_stream(found, of_row, 1) == set(POOL)
    assert of_stream(found, of_row, 0) == set(POOL)


def test_whoever_is_accused_without_the_stronger_campaign_stays() -> None:
    own, of_row = log(sent(POOL, 9), sent(POOL, 5) | sent(USERS, 6))
    assert without_borrowers(own, of_row, [0, 1], Bar(of_row, len(USERS))) is None


def test_each_stream_is_judged_by_its_own_others() -> None:
    crowd = range(40, 60)
    own, of_row = log(sent(POOL, 9), sent(POOL, 5) | sent(USERS, 6), sent(POOL, 5) | sent(crowd, 6))
    bar = Bar(of_row, 12)
    found = without_borrowers(own, of_row, [0, 1, 2], bar)
    assert found is not None
    assert bar.measured == [list(USERS), list(crowd)]
    assert [of_stream(found, of_row, stream) for stream in (1, 2)] == [set(POOL), {*POOL, *crowd}]


@pytest.mark.parametrize(
    ("weaker", "accused"),
    [
        (sent(POOL, 5) | sent(USERS, 6), [1]),
        (sent(POOL, 5) | sent(USERS, 6), [1, 0]),
        (sent(POOL, 1) | sent(USERS, 9), [0, 1]),
        (sent(POOL, 5), [0, 1]),
    ],
    ids=["nothing stronger", "itself the stronger", "mostly sent by others", "sent by the same alone"],
)
def test_nobody_else_is_judged_again(weaker: dict[int, int], accused: list[int]) -> None:
    own, of_row = log(sent(POOL, 9), weaker)
    bar = Bar(of_row, 100)
    assert without_borrowers(own, of_row, accused, bar) is None
    assert not bar.measured


def test_a_piece_of_the_stronger_campaign_is_no_other_text() -> None:
    _, of_row = log(sent(POOL, 9), sent(USERS, 6))
    piece = np.flatnonzero(np.arange(len(of_row)) % 2 == 0).astype(np.int32)
    both = members(
        np.r_[np.zeros(9 * len(POOL), np.int32), np.ones(len(piece), np.int32)],
        np.r_[np.arange(9 * len(POOL), dtype=np.int32), piece],
    )
    assert without_borrowers(both, of_row, [0, 1], Bar(of_row, 100)) is None


def test_whoever_met_the_stronger_text_once_is_no_principal_of_it() -> None:
    own, of_row = log(sent(POOL, 9) | sent(USERS, 1), sent(POOL, 5) | sent(USERS, 6))
    found = without_borrowers(own, of_row, [0, 1], Bar(of_row, 12))
    assert found is not None
    assert of_stream(found, of_row, 1) == set(POOL)


def test_users_of_clients_that_a_pool_fills_are_not_accused_with_it(tmp_path: Path) -> None:
    # Nine in ten of all exchanges are the pool's. At this moment twelve texts of clients are joined and clear the bar.
    recipe = Recipe(
        seed=7, text="b", days=4, innocents=1_500, exchanges=9_000,
        operators=(Operator(accounts=75, exchanges_per_account=136, camouflage=0.9, days=4),),
    )  # fmt: skip
    log = pq.read_table(simulate(recipe, tmp_path / "simulated").exchanges_path)
    begin = pc.floor_temporal(pc.min(log["started_at"]), unit="hour").as_py()
    early = log.filter(pc.less(log["started_at"], begin + dt.timedelta(hours=36)))
    (pool,) = operated(pq.read_table(tmp_path / "simulated" / "truth.parquet")).values()
    assert having(scan_log(early, tmp_path), "extraction") == pool
