"""The guarantee at log level: clean logs drawn anew, stream by stream, against the plain and the calibrated bar."""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import tempfile
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from intervals import upper_limit
from provenance import commit, processor, versions
from stillwatch.arena import Recipe, simulate
from stillwatch.calibration.blocks import margins
from stillwatch.calibration.conformal import NOTHING, quantile
from stillwatch.examine import Options, examine
from stillwatch.families.fragments import Presence
from stillwatch.keys import Keys
from stillwatch.rejects import RejectLog
from stillwatch.sketching import Source, sketch_log
from stillwatch.spool import Spool

FIRST_SEED = 26_000
"""Seeds of this benchmark; no fit and no other benchmark has any from here on."""

INNOCENTS, EXCHANGES = 3_500, 70_000


def main(root: Path) -> int:
    """Simulate, scan, calibrate on some of the logs, draw from the streams of the others, and count."""
    parser = argparse.ArgumentParser(prog="alpha", description="Count accusations in clean logs drawn anew.")
    parser.add_argument("--clean", type=int, default=60, help="clean logs to simulate and scan")
    parser.add_argument("--calibrate-on", type=int, default=39, help="how many of them calibrate the bar")
    parser.add_argument("--drawn", type=int, default=200, help="logs to draw from the streams of the others")
    parser.add_argument("--alpha", type=float, default=0.05)
    parser.add_argument("--innocents", type=int, default=INNOCENTS)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=root / "benchmarks" / "results" / "alpha.csv")
    options = parser.parse_args()
    seeds = range(FIRST_SEED, FIRST_SEED + options.clean)
    with ProcessPoolExecutor(options.jobs) as pool:
        logs = list(pool.map(_margins, seeds, [options.innocents] * len(seeds)))
    excess = quantile([max(log, default=NOTHING) for log in logs[: options.calibrate_on]], options.alpha)
    drawn = draw(logs[options.calibrate_on :], options.drawn, np.random.default_rng(FIRST_SEED))
    plain, calibrated = (int((drawn >= 0).sum()), int(((drawn >= 0) & (drawn > excess)).sum()))
    exceeded = int((drawn > excess).sum())
    row = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(),
        "commit": commit(root),
        "machine": processor(),
        "evidence": versions()["evidence"],
        "clean_logs": len(logs),
        "highest_margin_bits": round(max(max(log, default=NOTHING) for log in logs), 2),
        "calibrated_on": options.calibrate_on,
        "alpha": options.alpha,
        "calibrated_margin_bits": round(excess, 2),
        "drawn": len(drawn),
        "accused_at_plain_bar": plain,
        "accused_at_calibrated_bar": calibrated,
        "upper_limit": round(upper_limit(calibrated, len(drawn)), 4),
        "beyond_calibrated_margin": exceeded,
    }
    print("\n".join(f"{name}: {value}" for name, value in row.items()))
    options.out.parent.mkdir(exist_ok=True)
    new = not options.out.exists()
    with options.out.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, row, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)
    return 0


def draw(logs: list[list[float]], count: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Largest margin of each of ``count`` logs that have as many streams as one of ``logs``, each drawn from all of them
    with replacement."""
    every = np.array([margin for log in logs for margin in log])
    sizes = random.choice([len(log) for log in logs], count)
    return np.array([random.choice(every, size).max(initial=NOTHING) for size in sizes.tolist()])


def _margins(seed: int, innocents: int) -> list[float]:
    recipe = Recipe(
        seed=seed, innocents=innocents, exchanges=innocents * EXCHANGES // INNOCENTS, text="ab"[seed % 2],
        own_subjects=(1.0, 0.5, 0.0)[seed % 3],
    )  # fmt: skip
    options = Options()
    with tempfile.TemporaryDirectory(prefix="stillwatch-alpha-") as folder:
        log = Path(folder) / "log"
        simulate(recipe, log)
        with Spool(Path(folder)) as spool:
            presence = Presence(options.rule.least_principals)
            for batch in sketch_log(
                Source((log / "exchanges.parquet",)), Keys(b"alpha" * 5), RejectLog(None)
            ):
                spool.write(batch)
                presence.observe(batch)
            return margins(examine(spool, presence, options), options)


if __name__ == "__main__":
    raise SystemExit("run benchmarks/alpha")
