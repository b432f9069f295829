"""A log of many principals: more of them must share a text, and what can be no campaign is not measured in full."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from stillwatch import examine, stream_counts
from stillwatch.arena import Operator, Recipe, simulate
from stillwatch.calibration.record import settings
from stillwatch.examine import Options
from stillwatch.families.assign import Rule
from stillwatch.findings import Result
from tests.scans import operated, scan_files, verdicts

ACCOUNTS = 20
"""Of the operator: a small campaign."""

TIMES = 5
"""So many times the principals up to which eight make a text shared, as a hundred thousand are in a log of its own."""

STATED = {"objective", "dose"}
"""Signals of a family that is not measured in full."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    recipe = Recipe(
        seed=4, innocents=1_000, exchanges=20_000,
        operators=(Operator(accounts=ACCOUNTS, exchanges_per_account=40, camouflage=0.5, wordings=4),),
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("crowd")
    simulate(recipe, folder)
    return folder


@pytest.fixture(scope="module")
def small(folder: Path) -> Result:
    return scan_files([folder / "exchanges.parquet"], folder / "small")


def crowded(principals: int) -> Options:
    return Options(rule=Rule(crowd=principals // TIMES))


@pytest.fixture(scope="module")
def large(folder: Path, small: Result) -> Result:
    options = crowded(small.overview["log"]["principals"])
    return scan_files([folder / "exchanges.parquet"], folder / "large", options)


def test_the_least_grows_with_the_cube_root_of_the_crowd_and_never_falls() -> None:
    rule = Rule(least_principals=6, crowd=1_000)
    assert [rule.least(principals) for principals in (1, 1_000, 8_000, 27_000, 1_000_000)] == [
        6,
        6,
        12,
        18,
        60,
    ]
    found = [Rule().least(principals) for principals in range(1, 300_000, 997)]
    assert found == sorted(found)
    assert Rule().least(20_000) == 8


def test_a_small_campaign_is_found_in_a_crowd_and_nobody_else(
    folder: Path, small: Result, large: Result
) -> None:
    planted = set().union(*operated(pq.read_table(folder / "truth.parquet")).values())
    for result in (small, large):
        accused = {who for who, verdict in verdicts(result).items() if verdict == "extraction"}
        assert accused <= planted
        assert len(accused) >= 0.9 * ACCOUNTS
    least = crowded(small.overview["log"]["principals"]).rule.least(small.overview["log"]["principals"])
    assert least == 13
    assert 0 < large.families.num_rows < small.families.num_rows
    assert min(large.families["principals"].to_pylist()) >= least


def test_what_is_not_measured_in_full_can_be_no_campaign(large: Result) -> None:
    signals = [dict(row) for row in large.families["signals"].to_pylist()]
    brief = [place for place, found in enumerate(signals) if set(found) <= STATED]
    assert 0 < len(brief) < len(signals)
    for place in brief:
        assert signals[place]["objective"] < 0.1
        assert signals[place]["dose"] < 0.6
        assert large.families["campaign_id"][place].as_py() is None
        assert large.families["verdict"][place].as_py() in ("popular_prompt", "shared_client", "integrator")


def test_measuring_everything_changes_no_account_and_of_a_campaign_only_who_looks_alike(
    folder: Path, large: Result, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(examine, "may_matter", lambda screened, objective: np.ones(len(screened.total), bool))
    options = crowded(large.overview["log"]["principals"])
    scan_files([folder / "exchanges.parquet"], tmp_path / "all", options)
    for name in ("accounts.parquet", "matches.parquet", "templates.parquet"):
        assert (tmp_path / "all" / name).read_bytes() == (folder / "large" / name).read_bytes()
    whole, brief = (
        [dict(row, closest_innocent=None) for row in json.loads((place / "campaigns.json").read_text())]
        for place in (tmp_path / "all", folder / "large")
    )
    assert whole == brief
    stated = [
        dict(row) for row in pq.read_table(tmp_path / "all" / "families.parquet")["signals"].to_pylist()
    ]
    for measured, briefly in zip(stated, large.families["signals"].to_pylist(), strict=True):
        assert {name: measured[name] for name, _ in briefly} == dict(briefly)


def test_a_calibration_is_bound_to_the_crowd() -> None:
    options = Options()
    other = replace(options, rule=replace(options.rule, crowd=50_000))
    assert settings(options)["rule.crowd"] == 20_000
    assert settings(options) != settings(other)


def test_who_comes_back_is_counted_as_the_plain_version_counts_it() -> None:
    rng = np.random.default_rng(2)
    stream, owner = rng.integers(0, 4, 500).astype(np.int32), rng.integers(0, 60, 500).astype(np.int32)
    bounds, _, ordered = stream_counts.by_stream(stream, owner, owner, 5)
    crowd, returned = stream_counts.count_returning(bounds, ordered, 60, 3)
    for number in range(5):
        counts = np.bincount(owner[stream == number], minlength=60)
        assert (crowd[number], returned[number]) == ((counts > 0).sum(), (counts >= 3).sum())
    pairs = stream_counts.own_pairs(bounds, ordered, 60)
    counts = np.bincount(owner[stream == 1], minlength=60)
    assert pairs[1] == (counts * (counts - 1)).sum()
    starts, owners, entries = stream_counts.count_owners(bounds, ordered)
    for number in range(5):
        found, counts = np.unique(owner[stream == number], return_counts=True)
        own = slice(starts[number], starts[number + 1])
        assert (owners[own].tolist(), entries[own].tolist()) == (found.tolist(), counts.tolist())
