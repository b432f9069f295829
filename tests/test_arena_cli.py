"""``stillwatch simulate`` from the command line, and the shipped rhythm of real traces."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import resources
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import typer
from typer.testing import CliRunner

from stillwatch.arena.recipe import load
from stillwatch.cli.simulate import simulate

APP = typer.Typer()
APP.command()(simulate)


def test_options_override_the_recipe(tmp_path):
    recipe = tmp_path / "recipe.toml"
    recipe.write_text("innocents = 150\nexchanges = 1500\nseed = 9\n", encoding="utf-8")
    told = [
        "--operators",
        "2",
        "--accounts",
        "5",
        "--camouflage",
        "0.5",
        "--withhold",
        "payment",
        "--text",
        "b",
    ]
    result = CliRunner().invoke(APP, ["--out", str(tmp_path / "log"), "--recipe", str(recipe), *told])
    assert result.exit_code == 0, result.output
    assert "extraction by 10 principals" in result.output
    written = load(tmp_path / "log" / "recipe.toml")
    assert (written.seed, written.text, written.innocents, len(written.operators)) == (9, "b", 150, 2)
    assert written.operators[0].objectives != written.operators[1].objectives
    log = pq.read_table(tmp_path / "log" / "exchanges.parquet")
    assert log["payment_fingerprint"].null_count == log.num_rows


def test_unknown_preset_names_those_there_are(tmp_path):
    result = CliRunner().invoke(APP, ["--out", str(tmp_path), "--preset", "huge"])
    assert result.exit_code == 2
    assert "default, benchmark, tiny" in result.output.replace("\n", " ").replace("│", "")


def test_shipped_traces_are_small_and_people_sleep_in_them():
    path = resources.files("stillwatch.arena").joinpath("traces.json")
    text = path.read_text(encoding="utf-8")
    traces = json.loads(text)
    assert len(text) < 100_000
    assert len(traces["clients"]) == 66
    assert sum(traces["day"][1:6]) < 0.3 * sum(traces["day"][10:15])
    assert traces["sessions"]["turns"][-1] > 20


def test_shipped_traces_are_what_the_script_makes_of_the_real_ones(tmp_path):
    root = Path(__file__).resolve().parent.parent
    traces = root.parent / "shared" / "data" / "traces"
    if not traces.is_dir():
        pytest.skip("the real traces do not lie beside the project")
    out = tmp_path / "traces.json"
    subprocess.run([sys.executable, root / "scripts" / "fit_traces", traces, "--out", out], check=True)
    shipped = resources.files("stillwatch.arena").joinpath("traces.json").read_text(encoding="utf-8")
    assert out.read_text(encoding="utf-8") == shipped
