"""The guarantee over all looks: clean weeks drawn anew, stream by stream with its whole path, against three rules."""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import json
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from intervals import upper_limit
from provenance import commit, processor, versions
from stillwatch.arena import Recipe, simulate
from stillwatch.calibration.blocks import CERTAIN
from stillwatch.calibration.conformal import NOTHING, quantile
from stillwatch.calibration.evidence_over_time import e_value, least_bits
from stillwatch.cli.replay import duration_us
from stillwatch.examine import Options, Scanned
from stillwatch.judging import judge
from stillwatch.keys import Keys
from stillwatch.live.history import History
from stillwatch.live.naming import Group, Names
from stillwatch.live.replay import looks_at
from stillwatch.live.step import Live, Looking
from stillwatch.rejects import RejectLog
from stillwatch.sketching import Source, sketch_log
from stillwatch.spool import Spool
from stillwatch.verdict import Verdict, margin

FIRST_SEED = 27_000
"""Seeds of this benchmark; no fit and no other benchmark has any from here on."""

INNOCENTS, EXCHANGES, DAYS = 1_500, 30_000, 7
SPLITS = 2_000
"""Calibrations over which the mean of the e-value is told, one drawn week each."""

Stream = list[float]
"""Bits beyond the threshold of one stream at each look, minus infinity where it does not pass the other gates."""


def main(root: Path) -> int:
    """Look at clean weeks, calibrate on some, draw from the streams of the others, and count."""
    parser = argparse.ArgumentParser(prog="alpha_live", description="Count accusations over all looks.")
    parser.add_argument("--clean", type=int, default=60, help="clean weeks to simulate and look at")
    parser.add_argument("--calibrate-on", type=int, default=39, help="how many of them calibrate the bar")
    parser.add_argument("--drawn", type=int, default=500, help="weeks to draw from the streams of the others")
    parser.add_argument("--alpha", type=float, default=0.05)
    parser.add_argument("--step", default="4h", help="time between two looks")
    parser.add_argument("--innocents", type=int, default=INNOCENTS)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument(
        "--paths", type=Path, help="keep the paths of the streams here, or take them from here"
    )
    parser.add_argument("--out", type=Path, default=root / "benchmarks" / "results" / "alpha_live.csv")
    options = parser.parse_args()
    if options.paths and options.paths.exists():
        weeks = json.loads(options.paths.read_text("utf-8"))
    else:
        seeds = range(FIRST_SEED, FIRST_SEED + options.clean)
        with ProcessPoolExecutor(options.jobs) as pool:
            weeks = list(
                pool.map(_week, seeds, [options.innocents] * len(seeds), [options.step] * len(seeds))
            )
        if options.paths:
            options.paths.write_text(json.dumps(weeks), "utf-8")
    row = {
        "date": dt.datetime.now(dt.UTC).date().isoformat(), "commit": commit(root), "machine": processor(),
        "evidence": versions()["evidence"], "step": options.step,
    } | measured(weeks, options.calibrate_on, options.drawn, options.alpha)  # fmt: skip
    print("\n".join(f"{name}: {value}" for name, value in row.items()))
    options.out.parent.mkdir(exist_ok=True)
    new = not options.out.exists()
    with options.out.open("a", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, row, lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow(row)
    return 0


def measured(
    weeks: Sequence[Sequence[Stream]], calibrate_on: int, count: int, alpha: float
) -> dict[str, object]:
    """What three rules do in ``count`` weeks that are drawn from the streams of the weeks that do not calibrate."""
    random = np.random.default_rng(FIRST_SEED)
    most = [[max(stream) for stream in week] for week in weeks]
    last = [[stream[-1] for stream in week] for week in weeks]
    highest = np.array([max(week, default=NOTHING) for week in most])
    clean = highest[:calibrate_on].tolist()
    at_end = quantile([max(week, default=NOTHING) for week in last[:calibrate_on]], alpha)
    drawn = draw(most[calibrate_on:], count, random)
    worth = np.array([e_value(bits, clean) for bits in drawn.tolist()])
    crossed = worth >= 1 / alpha
    accused = int((crossed & (drawn >= 0)).sum())
    means = _over_calibrations(most, highest, calibrate_on, random)
    return {
        "clean_weeks": len(weeks),
        "streams_that_pass_the_gates": sum(map(len, weeks)),
        "highest_bits_at_any_look": round(float(highest.max()), 2),
        "highest_bits_at_the_last_look": round(max(max(week, default=NOTHING) for week in last), 2),
        "calibrated_on": calibrate_on,
        "alpha": alpha,
        "bits_of_the_e_process": round(least_bits(clean, alpha), 2),
        "bits_of_one_look": round(at_end, 2),
        "drawn": count,
        "accused": accused,
        "upper_limit": round(upper_limit(accused, count), 4),
        "crossed_the_e_process": int(crossed.sum()),
        "crossed_one_looks_bar_at_some_look": int((drawn > at_end).sum()),
        "mean_e_value": round(float(worth.mean()), 3),
        "calibrations": SPLITS,
        "mean_e_value_over_calibrations": round(float(means.mean()), 3),
        "standard_error": round(float(means.std() / np.sqrt(SPLITS)), 3),
        "share_that_crossed_over_calibrations": round(float((means >= 1 / alpha).mean()), 4),
    }


def _over_calibrations(
    most: Sequence[Sequence[float]],
    highest: NDArray[np.float64],
    calibrate_on: int,
    random: np.random.Generator,
) -> NDArray[np.float64]:
    """E-value of one drawn week for each of many choices of the weeks that calibrate."""
    found = []
    for _ in range(SPLITS):
        order = random.permutation(len(most))
        rest = [most[place] for place in order[calibrate_on:].tolist()]
        week = float(draw(rest, 1, random)[0])
        found.append(e_value(week, highest[order[:calibrate_on]].tolist()))
    return np.array(found)


def draw(weeks: Sequence[Sequence[float]], count: int, random: np.random.Generator) -> NDArray[np.float64]:
    """Most bits in each of ``count`` weeks that have as many streams as one of ``weeks``, each drawn from all of them with
    replacement."""
    every = np.array([bits for week in weeks for bits in week])
    sizes = random.choice([len(week) for week in weeks], count)
    return np.array(
        [random.choice(every, size).max(initial=NOTHING) if size else NOTHING for size in sizes.tolist()]
    )


def _week(seed: int, innocents: int, step: str) -> list[Stream]:
    """The streams of one clean week, as looks see them."""
    recipe = Recipe(
        seed=seed, innocents=innocents, exchanges=innocents * EXCHANGES // INNOCENTS, days=DAYS, text="ab"[seed % 2],
        own_subjects=(1.0, 0.5, 0.0)[seed % 3],
    )  # fmt: skip
    keys, options = Keys(b"alpha" * 8), Options()
    looking = Looking(step_us=duration_us(step, "--step"))
    names, paths = Names(), dict[str, list[float]]()
    with tempfile.TemporaryDirectory(prefix="stillwatch-alpha-") as name:
        folder = Path(name)
        simulate(recipe, folder / "log")
        with Spool(folder) as spool, History(folder) as history:
            for batch in sketch_log(Source((folder / "log" / "exchanges.parquet",)), keys, RejectLog(None)):
                spool.write(batch)
            live = Live(history, keys, options, looking)
            looks = 0
            for look in looks_at(live, spool, looking.step_us):
                if look.scanned is None:
                    continue
                for stream, bits in _passing(look.scanned, names, options).items():
                    path = paths.setdefault(stream, [])
                    path += [NOTHING] * (looks - len(path))
                    path.append(bits)
                looks += 1
    return [path + [NOTHING] * (looks - len(path)) for path in paths.values()]


def _passing(scanned: Scanned, names: Names, options: Options) -> dict[str, float]:
    """Bits beyond the threshold of the streams that pass the other gates, by a name that they keep."""
    bar = replace(options.bar, probability=CERTAIN, excess=NOTHING)
    judged = judge(
        scanned, scanned.merged, scanned.groups.judged, scanned.by_group, replace(options, bar=bar)
    )
    passing = [place for place, one in enumerate(judged) if one.ruling.verdict is Verdict.EXTRACTION]
    of = scanned.groups.judged[scanned.families.fragment_family]
    groups = [Group(np.sort(scanned.families.fragments[of == place]), (f"s-{place}",)) for place in passing]
    return {
        named.name: float(margin(judged[place].case.bits, judged[place].case.doubted, options.bar))
        for named, place in zip(names.give(groups), passing, strict=True)
    }


if __name__ == "__main__":
    raise SystemExit("run benchmarks/alpha_live")
