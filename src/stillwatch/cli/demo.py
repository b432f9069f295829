"""``stillwatch demo``: simulate a log, scan it, open the report."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import typer

OUT = typer.Option(Path("stillwatch-demo"), "--out", metavar="DIR", help="Folder for the log and the result.")
SEED = typer.Option(1, "--seed", help="Seed of the simulation.")
OPEN = typer.Option(True, "--open/--no-open", help="Open the report in a browser, where there is a screen.")


def demo(out: Path = OUT, seed: int = SEED, show: bool = OPEN) -> None:
    """Simulate a log with three campaigns among 3,500 innocent principals, scan it and open the report."""
    from stillwatch import keys
    from stillwatch.arena import simulate
    from stillwatch.arena.demo import demo_recipe
    from stillwatch.report.summary import summary
    from stillwatch.scan import Options, scan
    from stillwatch.sketching import Source

    typer.echo("Simulating two weeks of traffic ...")
    simulate(demo_recipe(seed), out / "log")
    typer.echo("Scanning (the first scan after installing compiles its loops besides) ...")
    result = scan(
        Source((out / "log" / "exchanges.parquet",)), out / "result", keys.load(out / "key"), Options()
    )
    typer.echo(summary(result.overview, result.campaigns))
    report = (out / "result" / "report.html").resolve()
    typer.echo(f"\n{report}")
    has_screen = sys.platform == "darwin" or os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    if show and has_screen:
        typer.launch(report.as_uri())
