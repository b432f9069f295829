"""Small logs that several tests plant truths in."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from stillwatch.exchange import EXCHANGE_SCHEMA
from stillwatch.keys import Keys

START = dt.datetime(2026, 1, 5, tzinfo=dt.UTC)


def exchange(number: int, account: str, text: str | Sequence[tuple[str, str]], **more: Any) -> dict[str, Any]:
    """One exchange as a row of the native table; a text alone is one user turn."""
    turns = [("user", text)] if isinstance(text, str) else text
    return {
        "exchange_id": f"x{number:07d}",
        "account_id": account,
        "started_at": START + dt.timedelta(seconds=97 * number),
        "model": "large-1",
        "messages": [{"role": role, "content": content} for role, content in turns],
        **more,
    }


def to_batch(rows: Sequence[dict[str, Any]]) -> pa.RecordBatch:
    return pa.RecordBatch.from_pylist(list(rows), schema=EXCHANGE_SCHEMA)


def words(rng: np.random.Generator, count: int, vocabulary: int = 5000) -> str:
    """Free text that hardly ever repeats itself."""
    return " ".join(f"word{index}" for index in rng.integers(0, vocabulary, count))


@pytest.fixture
def keys() -> Keys:
    return Keys(local=b"a key for tests and nothing else")


@pytest.fixture
def planted() -> Callable[[int], list[dict[str, Any]]]:
    """A log with two templates over twelve accounts each, a phrase that everybody uses, and free text."""

    def build(seed: int) -> list[dict[str, Any]]:
        rng = np.random.default_rng(seed)
        openings = [
            "You grade one answer against the rubric below and say why",
            "Judge the answer by the criteria and explain each mark",
        ]
        rows = []
        for number in range(900):
            kind = number % 3
            account = f"{'gan'[kind]}{rng.integers(0, 12)}"
            if kind == 0:
                opening = openings[rng.integers(0, 2)]
                closing = "Write the score of the answer at the end as one number please."
                text = f"{opening}. {words(rng, 30)}. {closing}"
            elif kind == 1:
                closing = "Now write out each step of your thinking before you give the final result."
                text = f"{words(rng, 25)}. {closing}"
            else:
                text = f"what is the best way to do this {words(rng, 20)}"
            rows.append(exchange(number, account, text))
        return rows

    return build
