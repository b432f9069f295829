"""Signals that count in the whole log: against plain counting, and against logs in which everybody does it."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pyarrow as pa
import pytest

from stillwatch.engine.duckdb import DuckDBEngine
from stillwatch.signals.base import Signal
from stillwatch.signals.harvest import Harvest
from stillwatch.signals.load import Load
from stillwatch.signals.pivot import Pivot
from stillwatch.signals.place import Place
from stillwatch.signals.reach import Reach
from stillwatch.signals.rhythm import Rhythm
from stillwatch.signals.routine import Routine
from stillwatch.signals.succession import HOUR_US, QUIET_US, SOON_US, Succession
from stillwatch.streams import register_streams

DAY_US = 24 * HOUR_US
MEMBERS, OTHERS = 30, 300


def measured(signal: Signal, tables: dict[str, pa.Table]) -> float | None:
    engine = DuckDBEngine("256MB", threads=1)
    try:
        engine.register(tables)
        if "principals" in tables:
            register_streams(engine, tables)
        found = signal.value(engine.query(signal.statistics))
    finally:
        engine.close()
    return found["value"].to_pylist()[0] if found.num_rows else None


def members(first_us: int = 0, last_us: int = DAY_US, model: int = 0) -> pa.Table:
    """Cells of one stream of which the first principals of the log are members."""
    ones = np.ones(MEMBERS, np.int64)
    columns = {
        "stream_id": 0 * ones,
        "principal": np.arange(MEMBERS),
        "model": model * ones,
        "exchanges": ones,
    }
    return pa.table(columns | {"first_us": first_us * ones, "last_us": last_us * ones})


def principals(lives: list[tuple[int, int]] | None = None) -> pa.Table:
    count = MEMBERS + OTHERS
    first, last = np.array(lives or [(0, DAY_US)] * count).T
    return pa.table({"principal": range(count), "account": range(count), "first_us": first, "last_us": last})


def harvested(by_others: int) -> float | None:
    asking = np.arange(MEMBERS + by_others)
    ones = np.ones(MEMBERS, np.int64)
    settings = {"stream_id": 0 * ones, "principal": np.arange(MEMBERS), "exchanges": 5 * ones}
    stated = {"temperature_milli": 700, "sample_count": 1, "top_logprobs": 20, "max_tokens": -1}
    settings |= {name: value * ones for name, value in stated.items()}
    traits = {"principal": asking, "kind": ["top_logprobs"] * len(asking), "value": [20] * len(asking)}
    tables = {"settings": pa.table(settings), "cells": members(), "traits": pa.table(traits)}
    return measured(Harvest(), tables | {"principals": principals()})


def test_what_everybody_asks_for_weighs_nothing() -> None:
    assert harvested(0) == 4.0
    assert harvested(OTHERS) == 0.0
    assert 1.5 < (harvested(OTHERS // 4) or 0.0) < 2.0


def test_harvest_is_silent_in_a_stream_that_states_nothing() -> None:
    empty = {
        "temperature_milli",
        "sample_count",
        "top_logprobs",
        "max_tokens",
        "stream_id",
        "principal",
        "exchanges",
    }
    tables = {
        "settings": pa.table({name: pa.array([], pa.int64()) for name in sorted(empty)}),
        "cells": members(),
    }
    traits = pa.table(
        {"principal": pa.array([], pa.int64()), "kind": pa.array([], pa.string()), "value": [] * 0}
    )
    assert measured(Harvest(), tables | {"traits": traits, "principals": principals()}) is None


@pytest.mark.parametrize(("share", "least", "most"), [(1_000_000, -0.1, 0.0), (50_000, 3.1, 3.3)])
def test_a_move_of_all_weighs_only_where_others_wait(share: int, least: float, most: float) -> None:
    cells = pa.concat_tables([members(last_us=DAY_US), members(3 * DAY_US, 3 * DAY_US, model=1)])
    releases = pa.table({"model": [1], "at_us": [3 * DAY_US - HOUR_US], "millionths": [share]})
    value = measured(Pivot(), {"cells": cells, "releases": releases})
    assert value is not None
    assert least <= value <= most


def test_pivot_is_silent_for_who_was_not_there_before() -> None:
    releases = pa.table({"model": [1], "at_us": [3 * DAY_US - HOUR_US], "millionths": [50_000]})
    cells = members(3 * DAY_US, 3 * DAY_US, model=1)
    assert measured(Pivot(), {"cells": cells, "releases": releases}) is None
    assert measured(Pivot(), {"cells": cells, "releases": releases.slice(0, 0)}) is None


@pytest.mark.parametrize(("others", "expected"), [(0, 3.0), (OTHERS, 0.0)])
def test_odd_places_weigh_only_where_others_have_none(others: int, expected: float) -> None:
    placeless = 24 * (np.arange(MEMBERS + OTHERS) < MEMBERS + others)
    nowhere = np.zeros_like(placeless)
    whereabouts = {"account": np.arange(len(placeless)), "exchanges": nowhere + 24, "placeless": placeless}
    tables = {
        "whereabouts": pa.table(whereabouts | {"outside": nowhere, "hops": nowhere}),
        "cells": members(),
    }
    assert measured(Reach(), tables | {"principals": principals()}) == expected


@pytest.mark.parametrize("seed", range(3))
def test_succession_is_that_counted_pair_by_pair(seed: int) -> None:
    rng = np.random.default_rng(seed)
    lives = []
    for place in range(MEMBERS + OTHERS):
        begins = (
            float(rng.uniform(0, 400))
            if place % 3 or not place
            else lives[-1][1] / HOUR_US + rng.uniform(0, 5)
        )
        lives.append((int(begins * HOUR_US), int((begins + rng.uniform(0, max(475 - begins, 0))) * HOUR_US)))
    lives[-1] = (0, 20 * DAY_US)
    opens, closes = 0, 20 * DAY_US
    whole = [tuple(moment - moment % HOUR_US for moment in life) for life in lives[:MEMBERS]]
    lean: dict[int, int] = {}
    for mine, (begins, _) in enumerate(whole):
        if not opens + QUIET_US <= begins <= closes - QUIET_US - SOON_US:
            continue
        for other, (_, ends) in enumerate(whole):
            if ends <= closes - QUIET_US and other != mine and 0 < abs(begins - ends) <= SOON_US:
                lean[begins] = lean.get(begins, 0) + (1 if ends < begins else -1)
    expected = sum(lean.values()) / sqrt(sum(value**2 for value in lean.values()))
    tables = {"cells": members(), "principals": principals(lives)}
    assert measured(Succession(), tables) == pytest.approx(np.clip(expected, -4, 10))


def test_succession_of_a_crowd_is_within_the_integers() -> None:
    count = 400_000
    first = np.where(np.arange(count) % 2, 5 * DAY_US + HOUR_US, 0)
    last = np.where(np.arange(count) % 2, 20 * DAY_US, 5 * DAY_US)
    one = np.ones(count, np.int64)
    cells = pa.table({"stream_id": 0 * one, "principal": np.arange(count), "exchanges": one})
    lives = pa.table({"principal": np.arange(count), "account": one, "first_us": first, "last_us": last})
    assert measured(Succession(), {"cells": cells, "principals": lives}) == 1.0


@pytest.mark.parametrize("signal", [Rhythm(), Routine()], ids=["rhythm", "routine"])
@pytest.mark.parametrize(("days", "speaks"), [(5, False), (6, True)])
def test_habits_take_six_days(signal: Signal, days: int, speaks: bool) -> None:
    """A week of exams has five, and nobody keeps in it the hours that he keeps at home."""
    rng = np.random.default_rng(days)
    when = rng.integers(24 * days, size=20 * MEMBERS)
    cells = pa.table(
        {
            "stream_id": np.zeros(len(when), np.int64),
            "principal": np.tile(np.arange(MEMBERS), 20),
            "hour": when,
            "exchanges": np.ones(len(when), np.int64),
        }
    )
    assert (measured(signal, {"cells": cells}) is not None) == speaks


@pytest.mark.parametrize(("exchanges", "speaks"), [(199, False), (200, True)])
def test_loads_are_compared_from_two_exchanges_each(exchanges: int, speaks: bool) -> None:
    stats = pa.table({"stream_id": [0], "principals": [100], "n": [exchanges], "squares": [3 * exchanges]})
    assert Load().value(stats)["value"].is_valid().to_pylist() == [speaks]


@pytest.mark.parametrize(("accounts", "expected"), [(10, 0.9), (4, None)])
def test_an_account_counts_once_at_a_place_however_many_networks_it_has(
    accounts: int, expected: float | None
) -> None:
    """All but the last call from network 1, and each from one of its own besides."""
    own = [(account, 100 + account, int(account == accounts - 1)) for account in range(accounts)]
    common = [(account, 1, 1) for account in range(accounts - 1)]
    account, value, counted = zip(*own, *common, strict=True)
    tables = {
        "holders": pa.table({"stream_id": [0] * accounts, "account": range(accounts)}),
        "belongings": pa.table(
            {"account": account, "kind": ["network"] * len(account), "value": value, "counted": counted}
        ),
    }
    assert measured(Place(), tables) == expected
