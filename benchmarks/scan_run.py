"""The scan benchmark as one command."""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import pyarrow.parquet as pq

from processes import Usage, measure
from provenance import commit, processor, versions
from stillwatch.arena import PRESETS, simulate

GIB = 2**30


@dataclass(frozen=True, slots=True)
class Text:
    """What there is to read."""

    rows: int
    messages: int
    bytes: int
    """Prompt text, every message of every request."""


def main(root: Path) -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(
        prog="scan", description="Time a scan against a scan-and-hash of the same text."
    )
    parser.add_argument("--log", type=Path, help="native Parquet log; by default the preset is simulated")
    parser.add_argument("--preset", default="benchmark", choices=sorted(PRESETS), help="log to simulate")
    parser.add_argument(
        "--runs", type=int, default=3, help="runs of each, in turn, after one of each that warms up"
    )
    parser.add_argument(
        "--profile", action="store_true", help="times of the stages of one scan, and nothing else"
    )
    parser.add_argument("--results", type=Path, default=root / "benchmarks" / "results" / "scan.csv")
    options = parser.parse_args()
    if options.runs < 1:
        parser.error(f"--runs {options.runs}: give 1 or more")
    with tempfile.TemporaryDirectory(prefix="stillwatch-scan-") as name:
        folder = Path(name)
        log = options.log or simulate(PRESETS[options.preset], folder / "log").exchanges_path
        if options.profile:
            _profile(log)
        else:
            _compare(
                root,
                log,
                options.preset if not options.log else log.name,
                options.runs,
                folder,
                options.results,
            )
    return 0


def _profile(log: Path) -> None:
    from scan_stages import profile

    profile(log)  # compiled loops and files in memory
    found = profile(log)
    for stage, spent in found.items():
        share = spent.cpu / found["whole"].cpu
        print(f"{stage:12s} {spent.wall:7.2f} s  {spent.cpu:7.2f} CPU-s  {share:6.1%}")


def _compare(root: Path, log: Path, name: str, runs: int, folder: Path, results: Path) -> None:
    load = os.getloadavg()[0]
    environment = os.environ | {"PYTHONPATH": str(root / "src")}
    key = folder / "key"
    key.write_bytes(b"a key of the benchmark, and no other")
    out = folder / "result"
    program = "from stillwatch.cli import main; main()"
    scanning = [sys.executable, "-c", program, "scan", str(log), "--out", str(out), "--key", str(key)]
    hashing = [sys.executable, str(root / "benchmarks" / "scan_floor.py"), str(log)]
    scans: list[Usage] = []
    floors: list[Usage] = []
    for turn in range(runs + 1):
        floor, scan = measure(hashing, environment), measure(scanning, environment)
        if turn:
            floors.append(floor)
            scans.append(scan)
            print(f"run {turn}: {_say(scan)}; floor {_say(floor)}", file=sys.stderr)
    messages, size = (int(word) for word in floors[0].output.split())
    text = Text(pq.ParquetFile(log).metadata.num_rows, messages, size)
    row = _row(root, name, text, scans, floors, load)
    for field, value in row.items():
        print(f"{field:22s} {value}")
    append(results, row)


def _say(usage: Usage) -> str:
    return f"{usage.wall_s:.1f} s, {usage.cpu_s:.1f} CPU-s, {usage.peak_bytes / GIB:.2f} GiB"


def _row(
    root: Path, name: str, text: Text, scans: Sequence[Usage], floors: Sequence[Usage], load: float
) -> dict[str, str]:
    """One row of the results: medians, and the ratio of the medians. ``load``: of the machine before the first run."""
    wall, floor = median(one.wall_s for one in scans), median(one.wall_s for one in floors)
    cpu, floor_cpu = median(one.cpu_s for one in scans), median(one.cpu_s for one in floors)
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "commit": commit(root),
        "log": name,
        "rows": str(text.rows),
        "messages": str(text.messages),
        "bytes_a_row": f"{text.bytes / max(text.rows, 1):.0f}",
        "runs": str(len(scans)),
        "scan_wall_s": f"{wall:.2f}",
        "scan_wall_s_all": " ".join(f"{one.wall_s:.2f}" for one in scans),
        "scan_cpu_s": f"{cpu:.2f}",
        "scan_peak_gib": f"{max(one.peak_bytes for one in scans) / GIB:.2f}",
        "scan_rows_a_s": f"{text.rows / wall:.0f}",
        "floor_wall_s": f"{floor:.2f}",
        "floor_cpu_s": f"{floor_cpu:.2f}",
        "floor_peak_gib": f"{max(one.peak_bytes for one in floors) / GIB:.2f}",
        "wall_ratio": f"{wall / floor:.1f}",
        "cpu_ratio": f"{cpu / floor_cpu:.1f}",
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "load_before": f"{load:.1f}",
        **versions(),
    }


def append(path: Path, row: dict[str, str]) -> None:
    """Add a row; another header than the file's is refused, so that columns never shift."""
    fresh = not path.exists()
    if not fresh:
        with path.open(encoding="utf-8", newline="") as handle:
            header = next(csv.reader(handle), [])
        if header != list(row):
            raise SystemExit(
                f"{path} has other columns than this version writes; move it away or give --results"
            )
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a", encoding="utf-8", newline="") as handle:
        writer = csv.DictWriter(handle, list(row))
        if fresh:
            writer.writeheader()
        writer.writerow(row)
