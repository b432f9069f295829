"""Whatever a log holds: never an error without a name, never a lost good record (see :mod:`tests.fuzzing`)."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from stillwatch.formats import MalformedError, line_formats
from tests.fuzzing import (
    CANARY,
    BrokenPromiseError,
    check_lines,
    corpus,
    names_of_binaries,
    try_binary,
    try_lines,
)

NAMES = [format_.name for format_ in line_formats()]
# Over all formats some two thousand inputs; benchmarks/fuzz reads 100,000 of each.
INPUTS = 8
SEEDS = st.integers(0, 2**64 - 1)


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(seed=SEEDS)
def test_no_good_record_is_lost_among_changed_ones(name: str, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try_lines(name, seed, INPUTS, Path(folder))


@pytest.mark.parametrize("name", names_of_binaries())
@settings(max_examples=100, deadline=None, derandomize=True, database=None)
@given(seed=SEEDS)
def test_a_changed_binary_file_is_read_or_refused_by_name(name: str, seed: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        try_binary(name, seed, Path(folder))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=15, deadline=None, derandomize=True, database=None)
@given(noise=st.lists(st.binary(max_size=40).filter(lambda text: b"\n" not in text), max_size=4))
@example(noise=[b"[", b"]"])
@example(noise=[b"{"])
def test_no_good_record_is_lost_among_noise(name: str, noise: list[bytes]) -> None:
    good = next(unit for unit in corpus(name) if unit.rows)
    lines = [*noise[:1], *good.texts, *noise[1:]]
    with tempfile.TemporaryDirectory() as folder:
        check_lines(name, lines, list(good.rows), Path(folder), random.Random(0))


@pytest.mark.parametrize("name", NAMES)
def test_the_fuzzer_sees_a_record_that_was_lost_or_read_otherwise(name: str, tmp_path: Path) -> None:
    good = next(unit for unit in corpus(name) if unit.rows)
    with pytest.raises(BrokenPromiseError, match="lost or read otherwise: another row"):
        check_lines(name, good.texts, [*good.rows, "another row"], tmp_path, random.Random(0))


@pytest.mark.parametrize(
    ("error", "found"),
    [
        (MalformedError(f"the field {CANARY}"), "holds text of the record"),
        (ValueError("?"), "ValueError where"),
    ],
)
def test_the_fuzzer_sees_a_secret_that_was_told_and_an_error_without_a_name(
    error: Exception, found: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise error

    good = next(unit for unit in corpus("native-jsonl") if unit.rows)
    monkeypatch.setattr("stillwatch.formats._decode._salvage", fail)
    with pytest.raises(BrokenPromiseError, match=found):
        check_lines("native-jsonl", [*good.texts, b"{}"], list(good.rows), tmp_path, random.Random(0))
