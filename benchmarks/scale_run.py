"""The scale benchmark as one command."""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import os
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow.compute as pc
import pyarrow.parquet as pq

from processes import Usage, measure
from provenance import commit, processor, versions
from scale_picture import draw
from scale_stored import parted, stored
from scan_run import append
from stillwatch.engine.memory import DEFAULT, amount

GIB = 2**30
SIZES = (1_000_000, 4_000_000, 16_000_000)
KEY = b"a key of the benchmark, and no other"
SCAN = "from stillwatch.cli import main; main()"
SIMULATE = """
import sys
from pathlib import Path
from scale_log import recipe
from stillwatch.arena import simulate
simulate(recipe(int(sys.argv[1]), int(sys.argv[2])), Path(sys.argv[3]))
"""


@dataclass(frozen=True, slots=True)
class Found:
    """What a scan found of what was planted."""

    operators: int
    """Accounts of operators."""

    caught: int
    """Those that were called extraction."""

    innocents: int
    accused: int
    """Innocent accounts that were called extraction."""


def main(root: Path) -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="scale", description="Time whole scans of logs of several sizes.")
    parser.add_argument(
        "--rows", type=int, nargs="+", default=list(SIZES), help="exchanges of each log, about"
    )
    parser.add_argument("--memory", default=DEFAULT, help="memory that a scan may take")
    parser.add_argument("--seed", type=int, default=1, help="seed of the logs")
    parser.add_argument("--folder", type=Path, help="where the logs are made and kept")
    parser.add_argument("--results", type=Path, default=root / "benchmarks" / "results" / "scale.csv")
    parser.add_argument("--picture", type=Path, default=root / "docs" / "images" / "scale.svg")
    parser.add_argument(
        "--s3", action="store_true", help="scan it as Hive partitions too, on disk and in a store on loopback"
    )
    parser.add_argument("--draw", action="store_true", help="draw the picture of the results that are there")
    options = parser.parse_args()
    amount(options.memory)
    if not options.draw:
        with tempfile.TemporaryDirectory(prefix="stillwatch-scale-") as name:
            folder = options.folder or Path(name)
            for rows in options.rows:
                for row in _measured(root, rows, options.seed, options.memory, folder, options.s3):
                    for field, value in row.items():
                        print(f"{field:22s} {value}")
                    append(options.results, row)
    options.picture.write_text(draw(_newest(options.results)), encoding="utf-8")
    return 0


def _measured(
    root: Path, rows: int, seed: int, memory: str, folder: Path, s3: bool
) -> Iterator[dict[str, str]]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(root / "src"), str(root / "benchmarks")])}
    place = folder / f"{rows}-{seed}"
    if not (place / "truth.parquet").exists():
        simulated = measure([sys.executable, "-c", SIMULATE, str(rows), str(seed), str(place)], environment)
        print(f"simulated {rows:,}: {_say(simulated)}", file=sys.stderr)
    log, out, key = place / "exchanges.parquet", place / "result", place / "key"
    key.write_bytes(KEY)
    load = os.getloadavg()[0]
    floor = measure([sys.executable, str(root / "benchmarks" / "scan_floor.py"), str(log)], environment)
    print(f"floor {rows:,}: {_say(floor)}", file=sys.stderr)
    stage = [sys.executable, str(root / "benchmarks" / "scale_families.py"), str(log), str(key), memory]
    found = measure(stage, environment)
    print(f"families {rows:,}: {_say(found)}", file=sys.stderr)
    options = ["--out", str(out), "--key", str(key), "--memory", memory]

    def scanned(source: str, name: str, told: dict[str, str]) -> dict[str, str]:
        scan = measure([sys.executable, "-c", SCAN, "scan", name, *options], environment | told)
        print(f"scan {rows:,} from {source}: {_say(scan)}", file=sys.stderr)
        return {"source": source, **_row(root, place, memory, floor, found, scan, load, seed)}

    yield scanned("file", str(log), {})
    if s3:
        yield scanned("folder", str(parted(log, place)), {})
        with stored(parted(log, place), place) as (name, told):
            yield scanned("s3", name, told)


def _say(usage: Usage) -> str:
    return f"{usage.wall_s:.1f} s, {usage.cpu_s:.1f} CPU-s, {usage.peak_bytes / GIB:.2f} GiB"


def _row(
    root: Path, place: Path, memory: str, floor: Usage, families: Usage, scan: Usage, load: float, seed: int
) -> dict[str, str]:
    rows = pq.ParquetFile(place / "exchanges.parquet").metadata.num_rows
    messages, size = (int(word) for word in floor.output.split())
    found = _found(place)
    return {
        "date": dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%MZ"),
        "commit": commit(root),
        "rows": str(rows),
        "seed": str(seed),
        "memory": memory,
        "messages": str(messages),
        "bytes_a_row": f"{size / rows:.0f}",
        "scan_wall_s": f"{scan.wall_s:.1f}",
        "scan_cpu_s": f"{scan.cpu_s:.1f}",
        "scan_peak_gb": f"{scan.peak_bytes / 1e9:.2f}",
        "scan_rows_a_s": f"{rows / scan.wall_s:.0f}",
        "cpu_us_a_row": f"{scan.cpu_s / rows * 1e6:.2f}",
        "floor_wall_s": f"{floor.wall_s:.1f}",
        "floor_cpu_s": f"{floor.cpu_s:.1f}",
        "families_cpu_s": f"{families.cpu_s:.1f}",
        "floor_of_families": f"{floor.cpu_s / families.cpu_s:.3f}",
        "families": families.output.split()[1],
        "memberships_a_row": f"{int(families.output.split()[2]) / rows:.2f}",
        "cpu_ratio": f"{scan.cpu_s / floor.cpu_s:.1f}",
        "wall_ratio": f"{scan.wall_s / floor.wall_s:.1f}",
        "operator_accounts": str(found.operators),
        "caught": str(found.caught),
        "innocent_accounts": str(found.innocents),
        "accused": str(found.accused),
        "processor": processor(),
        "cores": str(os.cpu_count()),
        "load_before": f"{load:.1f}",
        **versions(),
    }


def _found(place: Path) -> Found:
    """Accounts by what they are and what was said of them."""
    truth = pq.read_table(place / "truth.parquet", columns=["account_id", "operator_id"])
    accounts = pq.read_table(
        place / "result" / "accounts.parquet", columns=["account_id", "end_user_id", "verdict"]
    )
    accounts = accounts.filter(accounts["end_user_id"].is_null())
    guilty = pc.unique(truth.filter(truth["operator_id"].is_valid())["account_id"])
    planted = pc.is_in(accounts["account_id"], value_set=guilty)
    extraction = pc.equal(accounts["verdict"], "extraction")
    both = pc.sum(pc.and_(planted, extraction)).as_py() or 0
    return Found(len(guilty), both, accounts.num_rows - len(guilty), (pc.sum(extraction).as_py() or 0) - both)


def _newest(results: Path) -> Sequence[Mapping[str, str]]:
    """The newest row of each size and memory, of logs on disk, in order of size."""
    with results.open(encoding="utf-8", newline="") as handle:
        rows = {
            (int(row["rows"]), row["memory"]): row
            for row in csv.DictReader(handle)
            if row["source"] == "file"
        }
    return [rows[name] for name in sorted(rows)]
