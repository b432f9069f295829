"""What every signal promises, found without being named: pure, silent without power, blind to row order, one
direction."""

from __future__ import annotations

from collections import Counter
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stillwatch.engine.duckdb import DuckDBEngine
from stillwatch.evidence import load_weights
from stillwatch.exchange import COLUMNS
from stillwatch.signals import all_signals
from stillwatch.signals.base import Signal
from stillwatch.streams import OBJECTIVE_SUMS, SETTINGS, TRAIT_KINDS

HOUR_US = 3_600_000_000
KINDS = ("network", "payment", "opened")
SIGNALS = pytest.mark.parametrize("signal", all_signals(), ids=lambda signal: signal.name)


def tables(seed: int = 0) -> dict[str, pa.Table]:
    """Tables of three streams: 0 as a dispatcher makes it, 1 as people make it, 2 too small to say
    anything."""
    rng, spoken = np.random.default_rng(seed), np.random.default_rng([seed, 1])
    cells: list[dict[str, Any]] = []
    topics: list[dict[str, Any]] = []
    fills: list[dict[str, Any]] = []
    for principal in range(60):
        stream = 0 if principal < 30 else 1
        amount = 24 if stream == 0 else int(rng.integers(2, 120))
        own_hour, own_words = int(rng.integers(0, 24)), rng.integers(0, 400, 6)
        for number in range(amount):
            day = int(rng.integers(0, 7))
            hour = int(rng.integers(0, 24)) if stream == 0 else own_hour
            sums = {
                name: 90 if name == "sum_rubric_grading" and stream == 0 else 5 for name in OBJECTIVE_SUMS
            }
            first = (24 * day + hour) * HOUR_US + number
            cells.append(
                {
                    "stream_id": stream,
                    "principal": principal,
                    "hour": 24 * day + hour,
                    "model": int(stream == 0 and day >= 2),
                    "exchanges": 1,
                    "variety": 600 if stream == 0 else 0,
                    "first_us": first,
                    "last_us": first,
                    **sums,
                }
            )
            for word in spoken.choice(400 if stream == 0 else own_words, 3, replace=False).tolist():
                topics.append({"stream_id": stream, "principal": principal, "word": word, "exchanges": 1})
            shared = stream == 1 and rng.random() < 0.5
            fills.append(
                {
                    "stream_id": stream,
                    "fill": int(rng.integers(0, 10)) if shared else len(fills) + 1000,
                    "exchanges": 20 if shared else 1,
                    "principals": 20 if shared else 1,
                }
            )
    cells.append(cells[0] | {"stream_id": 2, "principal": 99})
    cells.append(cells[0] | {"stream_id": 2, "principal": 98})
    topics.append({"stream_id": 2, "principal": 99, "word": 1, "exchanges": 1})
    fills.append({"stream_id": 2, "fill": 1, "exchanges": 1, "principals": 1})
    principals, traits, lives = [], [], lives_of(rng)
    for principal in range(100):
        together = principal < 30
        created = 100 * 24 * HOUR_US if together else int(rng.integers(0, 300)) * 24 * HOUR_US
        principals.append(
            {
                "principal": principal,
                "first_us": lives[principal][0],
                "last_us": lives[principal][1],
                "created_us": created,
                "account": principal,
            }
        )
        for kind in [kind for kind in TRAIT_KINDS if kind not in SETTINGS]:
            value = principal // 6 if together else 1000 + principal
            traits.append({"principal": principal, "kind": kind, "value": value})
    settings = [
        {"stream_id": entry["stream_id"], "principal": entry["principal"], "exchanges": 1}
        | settings_of(entry["stream_id"] == 0, number)
        for number, entry in enumerate(cells)
    ]
    for entry in settings:
        for kind in SETTINGS:
            traits.append({"principal": entry["principal"], "kind": kind, "value": entry[kind]})
    entries = pa.Table.from_pylist(cells)
    counted = [("exchanges", "sum"), ("first_us", "min"), ("last_us", "max")]
    scored = [(name, "sum") for name in ("exchanges", "variety", *OBJECTIVE_SUMS)]
    takers = grouped(entries, ["stream_id", "principal"], [("exchanges", "sum")])
    belongings = [
        {"account": one["principal"], "kind": one["kind"], "value": one["value"], "counted": 1}
        for one in traits
        if one["kind"] not in SETTINGS
    ] + [
        {"account": one["account"], "kind": "opened", "value": one["created_us"], "counted": 1}
        for one in principals
    ]
    accounts = [sum(one["kind"] == kind for one in belongings) for kind in KINDS]
    return {
        "agreements": pa.table({"kind": KINDS, "all_pairs": pairs_of(belongings), "all_accounts": accounts}),
        "takers": takers,
        "holders": takers.select(["stream_id", "principal"]).rename_columns(["stream_id", "account"]),
        "belongings": pa.Table.from_pylist(belongings),
        "cells": grouped(entries, ["stream_id", "principal", "hour", "model"], counted),
        "scores": grouped(entries, ["stream_id"], scored),
        "topics": words_of(topics),
        "fills": pa.Table.from_pylist(fills),
        "principals": pa.Table.from_pylist(principals),
        "traits": grouped(pa.Table.from_pylist(traits), ["principal", "kind", "value"], []),
        "settings": pa.Table.from_pylist(settings),
        "whereabouts": pa.table({
            "account": range(100), "exchanges": [24] * 100, "placeless": [24 * (p < 30) for p in range(100)],
            "outside": [24 * (p < 30) for p in range(100)], "hops": [5 * (p < 30) for p in range(100)],
        }),
        "releases": pa.table({"model": [1], "at_us": [48 * HOUR_US], "principals": [1000], "moved": [50],
                              "millionths": [50_000]}),
    }  # fmt: skip


def grouped(entries: pa.Table, keys: list[str], values: list[tuple[str, str]]) -> pa.Table:
    """Entries with the same keys as one, under the names that they had."""
    found = entries.group_by(keys).aggregate(values)
    return found.select([*keys, *map("_".join, values)]).rename_columns(
        [*keys, *(name for name, _ in values)]
    )


def pairs_of(belongings: list[dict[str, Any]]) -> list[int]:
    """Ordered pairs of the log's accounts that have a value in common, by kind."""
    held = Counter((one["kind"], one["value"]) for one in belongings)
    return [sum(n * (n - 1) for (of, _), n in held.items() if of == kind) for kind in KINDS]


def words_of(topics: list[dict[str, Any]]) -> pa.Table:
    """Exchanges of each word in a stream, and the ordered pairs of them that are one principal's."""
    own = grouped(pa.Table.from_pylist(topics), ["stream_id", "word", "principal"], [("exchanges", "sum")])
    count = own["exchanges"].to_numpy()
    pairs = own.append_column("own_pairs", pa.array(count * (count - 1)))
    return grouped(pairs, ["stream_id", "word"], [("exchanges", "sum"), ("own_pairs", "sum")])


def settings_of(harvests: bool, number: int) -> dict[str, int]:
    """How a request is to be answered: with all there is at ever other temperatures, or as usual."""
    temperature = 200 * (number % 5) if harvests else 700
    asked = (temperature, 4, 20, 8192) if harvests else (temperature, 1, -1, 1024)
    return dict(zip(SETTINGS, asked, strict=True))


def lives_of(rng: np.random.Generator) -> list[tuple[int, int]]:
    """First and last moment of 100 principals in twenty days: of the first 30, each begins after another's end."""
    lives = []
    for principal in range(100):
        if principal < 30:
            begins = 30.0 * (principal // 2) + 200.0 * (principal % 2)
            lives.append((begins, begins + 27.0))
        else:
            begins = float(rng.uniform(0, 400))
            lives.append((begins, begins + float(rng.uniform(0, 479 - begins))))
    lives[90:] = [(0.0, 479.0)] * 10
    return [(int(first * HOUR_US), int(min(last, 479.0) * HOUR_US)) for first, last in lives]


def values(signal: Signal, given: dict[str, pa.Table]) -> dict[int, float | None]:
    engine = DuckDBEngine("256MB", threads=1)
    try:
        engine.register({name: given[name] for name in signal.reads})
        stats = engine.query(signal.statistics)
    finally:
        engine.close()
    assert all(pa.types.is_integer(field.type) for field in stats.schema), "statistics are integers"
    table = signal.value(stats)
    assert table.column_names == ["stream_id", "value", "n"]
    return dict(zip(table["stream_id"].to_pylist(), table["value"].to_pylist(), strict=True))


@SIGNALS
def test_more_is_more_suspicious(signal: Signal) -> None:
    found = values(signal, tables())
    assert found[0] is not None
    assert found[1] is not None
    assert found[0] > found[1]


@SIGNALS
def test_too_little_is_silence(signal: Signal) -> None:
    found = values(signal, tables()).get(2)
    assert signal.name == "objective" or found is None


@SIGNALS
def test_row_order_and_repetition_change_nothing(signal: Signal) -> None:
    given = tables()
    rng = np.random.default_rng(1)
    shuffled = {name: table.take(pa.array(rng.permutation(table.num_rows))) for name, table in given.items()}
    assert values(signal, given) == values(signal, shuffled) == values(signal, given)


@SIGNALS
def test_a_signal_says_what_it_needs_and_speaks_plainly(signal: Signal) -> None:
    assert set(signal.needs) <= {column.name for column in COLUMNS}
    found = values(signal, tables())
    assert found[0] is not None
    sentence = signal.describe(found[0], 1234)
    assert "nan" not in sentence
    assert sentence[0].islower() or sentence[0].isdigit()
    assert not sentence.endswith(".")


def test_every_signal_that_is_weighed_has_a_curve_that_never_falls() -> None:
    curves = load_weights().curves
    assert {signal.name for signal in all_signals()} - set(curves) == {"place"}, "it is read by doubts alone"
    for curve in curves.values():
        assert list(curve.values) == sorted(curve.values)
        assert list(curve.bits) == sorted(curve.bits)


def test_silence_weighs_nothing() -> None:
    for curve in load_weights().curves.values():
        assert curve.weigh(np.array([np.nan]))[0] == 0
