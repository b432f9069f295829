"""``stillwatch demo``: simulate a log, scan it, open the report."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from stillwatch.arena import Recipe

OUT = typer.Option(Path("stillwatch-demo"), "--out", metavar="DIR", help="Folder for the log and the result.")
SEED = typer.Option(1, "--seed", help="Seed of the simulation.")
OPEN = typer.Option(True, "--open/--no-open", help="Open the report in a browser, where there is a screen.")


def demo(out: Path = OUT, seed: int = SEED, show: bool = OPEN) -> None:
    """Simulate a log with three campaigns among 3,500 innocent principals, scan it and open the report."""
    from stillwatch import keys
    from stillwatch.arena import simulate
    from stillwatch.report.summary import summary
    from stillwatch.scan import Options, scan
    from stillwatch.sketching import Source

    typer.echo("Simulating two weeks of traffic ...")
    simulate(_recipe(seed), out / "log")
    typer.echo("Scanning ...")
    result = scan(
        Source((out / "log" / "exchanges.parquet",)), out / "result", keys.load(out / "key"), Options()
    )
    typer.echo(summary(result.overview, result.campaigns))
    report = (out / "result" / "report.html").resolve()
    typer.echo(f"\n{report}")
    has_screen = sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if show and has_screen:
        typer.launch(report.as_uri())


def _recipe(seed: int) -> Recipe:
    """Three operators, from bold to careful, among innocent principals of every kind."""
    from stillwatch.arena import Operator, Recipe

    return Recipe(
        seed=seed,
        exchanges=100_000,
        operators=(
            Operator(
                name="bold",
                accounts=150,
                exchanges_per_account=40,
                objectives=("elicited_reasoning", "data_analysis"),
                camouflage=0.5,
            ),
            Operator(
                name="moving",
                accounts=60,
                objectives=("rubric_grading",),
                replacement="after_exchanges",
                pivot=True,
            ),
            Operator(
                name="careful",
                accounts=40,
                exchanges_per_account=30,
                objectives=("agentic_trajectory",),
                wordings=6,
                hours="human",
                share_payment="none",
                share_network="none",
                accounts_opened="organic",
                reach="organic",
            ),
        ),
    )
