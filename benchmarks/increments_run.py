"""The benchmark of increments as one command."""

from __future__ import annotations

import argparse
import datetime as dt
import itertools
import os
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

from processes import Usage, measure
from provenance import commit, processor, versions
from scale_run import KEY, SCAN, SIMULATE
from scan_run import append


@dataclass(frozen=True, slots=True)
class Plan:
    """One run of the benchmark."""

    rows: int
    seed: int
    days: int
    looks: frozenset[int]
    """Days after which a result is made."""


def main(root: Path) -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="increments", description="Cost of a day with a state.")
    parser.add_argument("--rows", type=int, default=300_000, help="exchanges of the log, about")
    parser.add_argument("--days", type=int, default=14, help="pieces that it is cut into")
    parser.add_argument("--looks", type=int, nargs="+", help="days with a result; by default all of them")
    parser.add_argument("--seed", type=int, default=1, help="seed of the log")
    parser.add_argument("--folder", type=Path, help="where the log is made and kept")
    parser.add_argument("--results", type=Path, default=root / "benchmarks" / "results" / "increments.csv")
    options = parser.parse_args()
    looks = frozenset(options.looks or range(1, options.days + 1)) | {options.days}
    plan = Plan(options.rows, options.seed, options.days, looks)
    with tempfile.TemporaryDirectory(prefix="stillwatch-increments-") as name:
        for row in _measured(root, plan, options.folder or Path(name), Path(name)):
            print(
                f"day {row['day']:>3s} {row['run']:7s} {row['cpu_s']:>7s} CPU-s, {row['ratio']} times its share",
                flush=True,
            )
            append(options.results, row)
    return 0


def _measured(root: Path, plan: Plan, logs: Path, place: Path) -> Iterator[dict[str, str]]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root / "src"), str(root / "benchmarks")])}
    log = logs / f"{plan.rows}-{plan.seed}"
    if not (log / "truth.parquet").exists():
        measure([sys.executable, "-c", SIMULATE, str(plan.rows), str(plan.seed), str(log)], environment)
    days = _cut(log / "exchanges.parquet", place / "days", plan.days)
    state, key = place / "state", place / "key"
    key.write_bytes(KEY)

    def scanned(*arguments: str | Path) -> Usage:
        command = [
            sys.executable,
            "-c",
            SCAN,
            "scan",
            *map(str, arguments),
            "--key",
            str(key),
            "--sketch-only",
        ]
        return measure(command, environment)

    load = os.getloadavg()[0]
    whole = scanned(*days, "--out", place / "whole")
    print(f"one scan: {whole.cpu_s:.1f} CPU-s", flush=True)
    total = sum(pq.ParquetFile(day).metadata.num_rows for day in days)
    for number, day in enumerate(days, start=1):
        looked = number in plan.looks
        used = scanned(day, "--state", state, *(("--out", place / "result") if looked else ()))
        rows = pq.ParquetFile(day).metadata.num_rows
        share = whole.cpu_s * rows / total
        yield {
            "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%MZ"),
            "commit": commit(root),
            "rows": str(total),
            "seed": str(plan.seed),
            "days": str(plan.days),
            "whole_cpu_s": f"{whole.cpu_s:.2f}",
            "day": str(number),
            "day_rows": str(rows),
            "run": "look" if looked else "take in",
            "cpu_s": f"{used.cpu_s:.2f}",
            "share_cpu_s": f"{share:.2f}",
            "ratio": f"{used.cpu_s / share:.2f}",
            "wall_s": f"{used.wall_s:.1f}",
            "peak_gb": f"{used.peak_bytes / 1e9:.2f}",
            "state_bytes": str(sum(file.stat().st_size for file in state.rglob("*") if file.is_file())),
            "same_as_one_scan": _same(place / "result", place / "whole") if number == plan.days else "",
            "processor": processor(),
            "cores": str(os.cpu_count()),
            "load_before": f"{load:.1f}",
            **versions(),
        }


def _cut(log: Path, folder: Path, days: int) -> Sequence[Path]:
    """The log as files of as many exchanges each, in order of time."""
    folder.mkdir(parents=True, exist_ok=True)
    table = pq.read_table(log)
    edges = [round(len(table) * number / days) for number in range(days + 1)]
    files = []
    for number, (start, stop) in enumerate(itertools.pairwise(edges), start=1):
        files.append(folder / f"day-{number:03d}.parquet")
        pq.write_table(table.slice(start, stop - start), files[-1], compression="zstd", compression_level=1)
    return files


def _same(result: Path, whole: Path) -> str:
    """Whether two results are the same to the byte: ``yes``, or the files that are not."""
    names = {
        path.relative_to(place) for place in (result, whole) for path in place.rglob("*") if path.is_file()
    }
    other = sorted(
        str(name)
        for name in names
        if not (result / name).exists()
        or not (whole / name).exists()
        or (result / name).read_bytes() != (whole / name).read_bytes()
    )
    return " ".join(other) or "yes"
