"""The accuracy benchmark as one command: trials over several processes, results, page and recipes."""

from __future__ import annotations

import argparse
import datetime as dt
import json
import multiprocessing
import shlex
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from typing import Any

from accuracy_ablation import Removal
from accuracy_page import write
from accuracy_prompts import RUN, overlaps
from accuracy_recipes import write_recipes
from accuracy_report import Report
from accuracy_scenarios import CALIBRATION_SEED, Extent, Trial
from accuracy_scoring import Campaign, Outcome, run
from provenance import commit, machine, versions

CALIBRATION_LOGS = 6


def arguments(root: Path) -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(prog="accuracy", description="Measure verdicts against simulated truth.")
    parser.add_argument("--out", type=Path, default=root / "docs" / "accuracy.md", help="page to write")
    parser.add_argument(
        "--results",
        type=Path,
        help="results as JSON; beside this command, or beside a page that is elsewhere",
    )
    parser.add_argument(
        "--quick", action="store_true", help="few scenarios, two logs of each, no calibration"
    )
    parser.add_argument("--large", action="store_true", help="two clean logs of 100,000 principals too")
    parser.add_argument("--only", default="", help="names of scenarios, comma between them")
    parser.add_argument(
        "--logs",
        "--seeds",
        type=int,
        default=0,
        help="logs of each scenario; by default each has its own number",
    )
    parser.add_argument(
        "--scale", type=float, default=1.0, help="factor on principals and accounts, for tests"
    )
    parser.add_argument("--jobs", type=int, default=2, help="processes")
    parser.add_argument(
        "--page-only", action="store_true", help="write the page from the results of the last run"
    )
    return parser


def main(root: Path) -> int:
    """Run what the command line asks for; 1 if a scan failed."""
    parser = arguments(root)
    options = parser.parse_args()
    beside = options.out.resolve().parent != root / "docs"
    results = options.results or (
        options.out.with_suffix(".json") if beside else root / "benchmarks" / "results" / "accuracy.json"
    )
    extent = Extent(
        quick=options.quick,
        large=options.large,
        logs=options.logs,
        scale=options.scale,
        only=tuple(name for name in options.only.split(",") if name),
    )
    if options.page_only:
        stored = json.loads(results.read_text(encoding="utf-8"))
        extent = Extent(**stored["extent"] | {"only": tuple(stored["extent"]["only"])})
    elif unknown := extent.unknown():
        parser.error(f"--only {unknown}: no such scenario; there are {', '.join(extent.names())}")
    else:
        started = time.monotonic()
        outcomes, failed = _trials(extent, options.jobs)
        if failed:
            print("\n".join(failed), file=sys.stderr)
            return 1
        calibration = None if options.quick else _calibrate(CALIBRATION_LOGS)
        made = _made(root, time.monotonic() - started, options.jobs)
        stored = {
            "made": made,
            "extent": asdict(extent),
            "calibration": calibration,
            "outcomes": [asdict(outcome) for outcome in outcomes],
        }
        results.parent.mkdir(parents=True, exist_ok=True)
        results.write_text(json.dumps(stored, separators=(",", ":")) + "\n", encoding="utf-8")
    _write_page(options.out, extent, stored)
    return 0


def _write_page(out: Path, extent: Extent, stored: dict[str, Any]) -> None:
    recipes = out.with_name(f"{out.stem}-recipes.md")
    report = Report(
        stored["made"],
        extent.scenarios(),
        [_outcome(entry) for entry in stored["outcomes"]],
        stored["calibration"],
        recipes.name,
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(write(report), encoding="utf-8")
    recipes.write_text(write_recipes(extent.trials(), out.name), encoding="utf-8")
    print(f"wrote {out} and {recipes}", file=sys.stderr)


def _trials(extent: Extent, jobs: int) -> tuple[list[Outcome], list[str]]:
    """Outcomes in order, and what went wrong. The largest logs go first, so that no process waits long at the
    end."""
    trials = extent.trials()
    compared = {scenario.name for scenario in extent.scenarios() if scenario.again}
    outcomes: dict[int, Outcome] = {}
    failed = []
    # Spawned, since the threads of Arrow and DuckDB do not survive a fork.
    context = multiprocessing.get_context("spawn")
    with (
        tempfile.TemporaryDirectory(prefix="stillwatch-accuracy-") as folder,
        ProcessPoolExecutor(jobs, mp_context=context) as pool,
    ):
        order = sorted(range(len(trials)), key=lambda number: -_work(trials[number]))
        waiting = {
            pool.submit(run, trials[number], Path(folder), trials[number].scenario in compared): number
            for number in order
        }
        for done, future in enumerate(as_completed(waiting), 1):
            trial = trials[waiting[future]]
            error = future.exception()
            if error is not None:
                failed.append(f"{trial.name}, key {trial.key}, order {trial.order}: {error!r}")
                continue
            outcome = outcomes[waiting[future]] = future.result()
            least = min((campaign.recall for campaign in outcome.campaigns), default=1.0)
            print(
                f"{done:3d}/{len(trials)} {outcome.name}: least recall {least:.3f}, accused in error "
                f"{outcome.falsely}, scan {outcome.scan_s:.1f} s",
                file=sys.stderr,
            )
    return [outcomes[number] for number in sorted(outcomes)], failed


def _work(trial: Trial) -> float:
    """Exchanges of a log, about."""
    return trial.recipe.exchanges + sum(
        operator.accounts * operator.exchanges_per_account / (1 - operator.camouflage)
        for operator in trial.recipe.operators
    )


def _calibrate(logs: int) -> dict[str, Any]:
    """Log loss and calibration on streams of logs like those of the fit, which it has not seen."""
    import evidence_fitting
    import evidence_streams
    from stillwatch.evidence import load_weights

    seeds = range(CALIBRATION_SEED, CALIBRATION_SEED + logs)
    with tempfile.TemporaryDirectory(prefix="stillwatch-calibration-") as folder:
        streams = evidence_streams.collect(seeds, held_out=True, cache=Path(folder))
    return dict(evidence_fitting.assess(load_weights(), streams))


def _made(root: Path, seconds: float, jobs: int) -> dict[str, str]:
    words: Sequence[str] = [word for word in sys.argv[1:] if word != "--page-only"]
    return {
        "command": shlex.join(["benchmarks/accuracy", *words]),
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%d %H:%M UTC"),
        "commit": commit(root),
        **versions(),
        "machine": machine(),
        "overlap": _overlap(root),
        "time": f"{seconds / 60:.1f} minutes, {jobs} processes",
    }


def _overlap(root: Path) -> str:
    """Whether the unseen templates are still unseen, in words."""
    copied = overlaps(root)
    if copied:
        return f"**no longer true**, {', '.join(copied)} share a run of {RUN} words with them"
    return f"no file that a fit reads shares a run of {RUN} words with them"


def _outcome(entry: dict[str, Any]) -> Outcome:
    campaigns = [Campaign(**campaign) for campaign in entry["campaigns"]]
    removals = [Removal(**removal) for removal in entry["removals"]]
    return Outcome(**entry | {"campaigns": campaigns, "removals": removals})
