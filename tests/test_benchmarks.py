"""The benchmarks run, their limits are exact, and the templates that are said to be held out are."""

from __future__ import annotations

import csv
import importlib.util
import json
import re
import subprocess
import sys
from fractions import Fraction
from math import comb
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from stillwatch.arena.recipe import loads

ROOT = Path(__file__).resolve().parent.parent


def benchmark(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ROOT / "benchmarks" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(("events", "trials"), [(0, 1), (0, 20), (1, 20), (3, 200), (19, 20), (152, 3500)])
def test_at_the_upper_limit_so_few_events_have_a_chance_of_one_in_twenty(events: int, trials: int) -> None:
    limit = Fraction(benchmark("intervals").upper_limit(events, trials))
    chance = sum(comb(trials, k) * limit**k * (1 - limit) ** (trials - k) for k in range(events + 1))
    assert float(chance) == pytest.approx(0.05, rel=1e-6)


def test_the_upper_limit_of_what_always_happens_is_one_and_nonsense_is_refused() -> None:
    intervals = benchmark("intervals")
    assert intervals.upper_limit(7, 7) == 1.0
    with pytest.raises(ValueError, match="8 events in 7 trials"):
        intervals.upper_limit(8, 7)


def test_no_text_that_a_fit_reads_holds_a_template_that_is_held_out() -> None:
    assert benchmark("accuracy_prompts").overlaps(ROOT) == []


def test_a_held_out_template_that_was_copied_into_training_text_is_found(tmp_path: Path) -> None:
    prompts = benchmark("accuracy_prompts")
    folder = tmp_path / "scripts" / "objective_text"
    folder.mkdir(parents=True)
    (folder / "other.tsv").write_text("Write a sonnet on the sea, in the manner of nobody at all.")
    (folder / "copied.tsv").write_text(f"x\t{prompts.PROMPTS['maths_drill'][1].upper()}")
    assert prompts.overlaps(tmp_path) == ["copied.tsv"]


@pytest.mark.slow
def test_the_accuracy_benchmark_writes_a_page_its_recipes_and_its_results(tmp_path: Path) -> None:
    page, recipes = tmp_path / "page.md", tmp_path / "page-recipes.md"
    names = ("camouflage_90", "camouflage_90_unseen", "clean")
    command = [sys.executable, str(ROOT / "benchmarks" / "accuracy"), "--quick", "--seeds", "1"]
    command += ["--scale", "0.06", "--only", ",".join(names), "--out", str(page)]
    subprocess.run(command, check=True, capture_output=True, timeout=120)
    text = page.read_text(encoding="utf-8")
    assert all(f"| `{name}` |" in text for name in names)
    stored = json.loads((tmp_path / "page.json").read_text(encoding="utf-8"))
    assert [outcome["name"] for outcome in stored["outcomes"]] == [
        "camouflage_90-1",
        "clean-1",
        "camouflage_90_unseen-1",
    ]
    planted, clean, unseen = stored["outcomes"]
    assert not clean["campaigns"]
    assert all(campaign["planted"] for outcome in (planted, unseen) for campaign in outcome["campaigns"])
    blocks = re.findall(r"```toml\n(.*?)\n```", recipes.read_text(encoding="utf-8"), re.DOTALL)
    assert [len(loads(block).operators) for block in blocks] == [3, 0, 3]
    subprocess.run([*command, "--page-only"], check=True, capture_output=True, timeout=60)
    assert page.read_text(encoding="utf-8") == text


def run(*words: object) -> str:
    command = [sys.executable, *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=120).stdout


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.mark.parametrize("codec", ["plain", pytest.param("zstd", marks=pytest.mark.slow)])
def test_the_benchmark_of_a_large_log_reads_every_record_and_writes_a_row(codec: str, tmp_path: Path) -> None:
    results = tmp_path / "read.csv"
    run(
        ROOT / "benchmarks" / "read",
        "--large",
        2100,
        "--runs",
        1,
        "--codec",
        codec,
        "--folder",
        tmp_path,
        "--results",
        results,
    )
    (row,) = rows(results)
    assert (row["records"], row["codec"]) == ("2100", codec)
    assert 12_000 < int(row["bytes_a_record"]) < 13_500
    assert float(row["records_a_s"]) > 0
    assert list(tmp_path.iterdir()) == [results]


def test_the_fuzz_benchmark_writes_a_row_for_each_format(tmp_path: Path) -> None:
    results = tmp_path / "fuzz.csv"
    run(
        ROOT / "benchmarks" / "fuzz",
        "--inputs",
        50,
        "--formats",
        "kong",
        "native-parquet",
        "--results",
        results,
    )
    assert [(row["format"], row["inputs"], row["failures"]) for row in rows(results)] == [
        ("kong", "50", "0"),
        ("native-parquet", "50", "0"),
    ]


def test_logs_drawn_anew_have_the_streams_of_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    alpha = benchmark("alpha_run")
    logs = [[-3.0, -1.0], [], [2.0]]
    drawn = alpha.draw(logs, 3000, np.random.default_rng(1))
    nothing = float("-inf")
    shares = {value: float((drawn == value).mean()) for value in (nothing, -3.0, -1.0, 2.0)}
    assert set(drawn.tolist()) == set(shares)
    # A third has no stream, a third one of three, a third the larger of two draws.
    expected = {nothing: 1 / 3, -3.0: 4 / 27, -1.0: 6 / 27, 2.0: 8 / 27}
    assert all(abs(shares[value] - expected[value]) < 0.03 for value in expected)


def test_clean_weeks_drawn_anew_are_counted_by_the_most_bits_of_their_streams(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    alpha = benchmark("alpha_live_run")
    nothing = float("-inf")
    calm = [[[-5.0, -5.0, -5.0]], [], [[nothing, -9.0, nothing]], [[-5.0, -4.0, -6.0]]]
    row = alpha.measured([*calm, [[-1.0, 7.0, -1.0]]], 4, 50, 0.5)
    assert row["bits_of_the_e_process"] == pytest.approx(-3.98, abs=0.01)
    assert (row["bits_of_one_look"], row["highest_bits_at_any_look"]) == (-6.0, 7.0)
    assert (row["accused"], row["crossed_the_e_process"], row["upper_limit"]) == (50, 50, 1.0)
    quiet = alpha.measured([*calm, [[-6.5, -7.0, -8.0]]], 4, 50, 0.5)
    assert (quiet["accused"], quiet["crossed_the_e_process"]) == (0, 0)
    assert quiet["upper_limit"] == pytest.approx(1 - 0.05 ** (1 / 50), abs=1e-4)


def test_a_leak_is_what_was_sent_before_a_flag(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    run_of = importlib.import_module("leak_run")
    random = np.random.default_rng(3)
    started = random.integers(0, 1000, 400)
    owner = np.array([f"a-{number}" for number in random.integers(0, 20, 400)])
    late = np.flatnonzero(owner == "a-19")
    started[late] = 900 + started[late] // 10
    flags = {f"a-{number}": 300 + 10 * number for number in range(15)} | {"a-19": 950}
    leak = run_of.leak_of(started, owner, flags, 50)
    never = 10**9
    sent = list(zip(started.tolist(), owner.tolist(), strict=True))
    assert (leak.exchanges, leak.principals, leak.flagged) == (400, 20, 16)
    assert leak.first == sum(at < 300 for at, _ in sent) / 400
    assert leak.own == sum(at < flags.get(name, never) for at, name in sent) / 400
    assert leak.enforced == sum(at < flags.get(name, never) + 50 for at, name in sent) / 400
    assert leak.newcomers == 1
    assert leak.newcomers_exchanges == sum(at < 950 for at, name in sent if name == "a-19")
    nobody = run_of.leak_of(started, owner, {})
    assert (nobody.first, nobody.own, nobody.enforced, nobody.newcomers) == (1.0, 1.0, 1.0, 0)


def test_runs_with_other_rules_are_not_drawn_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A scenario has the figures of its newest commit, over all logs of it, and none of both."""
    monkeypatch.syspath_prepend(ROOT / "benchmarks")
    drawn = benchmark("leak_picture")
    row = dict.fromkeys(drawn.MEASURES, "0.4") | {
        "exchanges": "1200",
        "looks_in_a_row": "2",
        "evidence": "e",
        "sooner": "6",
    }
    old = row | {"scenario": "small", "commit": "before"}
    other = row | {"scenario": "large", "commit": "before"}
    new = [
        row | dict.fromkeys(drawn.MEASURES, one) | {"scenario": "small", "commit": "now"}
        for one in ("0.1", "0.2")
    ]
    later = row | {"scenario": "small", "commit": "now", "watched_before": "4.0"}
    new = [one | {"watched_before": "0.0"} for one in new]
    picture = drawn.draw([old, other, *new, later])
    assert "small, 1,200 exchanges, flagged at 2 in a row: 15.0% until the first flag" in picture
    assert "large, 1,200 exchanges, flagged at 2 in a row: 40.0% until the first flag" in picture


@pytest.mark.slow
def test_the_scale_benchmark_measures_a_size_and_draws_it(tmp_path: Path) -> None:
    results, picture = tmp_path / "scale.csv", tmp_path / "scale.svg"
    command = [sys.executable, str(ROOT / "benchmarks" / "scale"), "--rows", "20000", "--memory", "1GB"]
    command += ["--folder", str(tmp_path), "--results", str(results), "--picture", str(picture)]
    subprocess.run(command, check=True, capture_output=True, timeout=300)
    with results.open(encoding="utf-8", newline="") as handle:
        (row,) = csv.DictReader(handle)
    assert 10_000 < int(row["rows"]) < 40_000
    assert float(row["scan_cpu_s"]) > float(row["floor_cpu_s"]) > 0
    assert 0.05 < float(row["scan_peak_gb"]) < 2
    assert int(row["caught"]) <= int(row["operator_accounts"]) == 80
    assert "processor time" in picture.read_text(encoding="utf-8")
    assert not [
        path.name for path in (tmp_path / "20000-1" / "result").iterdir() if path.name.startswith(".")
    ]
