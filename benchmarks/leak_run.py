"""What campaigns get before they are flagged, as one command."""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow.parquet as pq

from provenance import commit, processor, versions
from stillwatch.arena import Operator, Recipe, simulate
from stillwatch.cli.replay import duration_us
from stillwatch.examine import Options
from stillwatch.keys import Keys
from stillwatch.live.replay import Replayed, replay
from stillwatch.live.step import Looking
from stillwatch.sketching import Source

DAYS = 10.0
FIRST_SEED = 21_000
"""Seeds of this benchmark; no fit and no other benchmark has any from here on."""

SCENARIOS: dict[str, tuple[Operator, ...]] = {
    "clean": (),
    "small": (Operator("small", accounts=40, exchanges_per_account=30.0, camouflage=0.9, days=DAYS),),
    "medium": (Operator("medium", accounts=120, exchanges_per_account=40.0, camouflage=0.9, days=DAYS),),
    "replaced": (
        Operator(
            "replaced", accounts=60, exchanges_per_account=40.0, camouflage=0.9, days=DAYS,
            replacement="random_days",
        ),
    ),
    "careful": (
        Operator(
            "careful", accounts=100, exchanges_per_account=40.0, camouflage=0.9, days=DAYS, hours="human",
            wordings=6, dispatch="heavy_tailed", share_payment="none", share_network="none",
            accounts_opened="organic", reach="organic",
        ),
    ),
}  # fmt: skip
"""Operators of the logs, all with 90% camouflage over ten days."""

INNOCENTS, EXCHANGES = 3_000, 60_000


@dataclass(frozen=True, slots=True)
class Leak:
    """What one campaign got."""

    exchanges: int
    """Extraction exchanges that it sent in all."""

    principals: int
    flagged: int
    """Principals of it that were flagged at some time."""

    first: float
    """Share of the exchanges sent before anybody was flagged; 1 where nobody was."""

    own: float
    """Share of the exchanges that principals sent before they were flagged themselves."""

    newcomers: int
    """Principals whose first extraction exchange lies after the first flag."""

    newcomers_exchanges: float
    """Median of the exchanges that those sent before they were flagged themselves; NaN without any."""


def leak_of(started: np.ndarray, owner: np.ndarray, flagged_at: dict[str, int]) -> Leak:
    """Leak of one campaign of n extraction exchanges: times int64[n], accounts str[n]; ``flagged_at`` by account."""
    accounts = sorted(set(owner.tolist()))
    never = np.iinfo(np.int64).max
    own_flag = np.array([flagged_at.get(account, never) for account in owner.tolist()], np.int64)
    first = min((flagged_at[account] for account in accounts if account in flagged_at), default=never)
    before = started < own_flag
    sent = [
        int((before & (owner == account)).sum())
        for account in accounts
        if first < never and started[owner == account].min() >= first
    ]
    return Leak(
        len(started), len(accounts), sum(account in flagged_at for account in accounts),
        float((started < first).mean()), float(before.mean()), len(sent),
        float(median(sent)) if sent else float("nan"),
    )  # fmt: skip


def main(root: Path) -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="leak", description="What campaigns get before they are flagged.")
    parser.add_argument("--step", default="1h", help="time between two looks")
    parser.add_argument("--logs", type=int, default=1, help="logs of each scenario")
    parser.add_argument("--only", choices=sorted(SCENARIOS), help="one scenario alone")
    parser.add_argument("--results", type=Path, default=root / "benchmarks" / "results" / "leak.csv")
    options = parser.parse_args()
    looking = Looking(step_us=duration_us(options.step, "--step"))
    rows = []
    for name in [options.only] if options.only else SCENARIOS:
        for number in range(options.logs):
            seed = FIRST_SEED + 100 * list(SCENARIOS).index(name) + number
            for row in _measured(name, seed, looking):
                rows.append({"scenario": name, "seed": seed, "step": options.step} | row)
                print("  ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    stamp = {
        "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}", "commit": commit(root), "machine": processor(),
        "evidence": versions()["evidence"], "margin_bits": looking.margin_bits, "looks_in_a_row": looking.looks,
    }  # fmt: skip
    _write(options.results, [row | stamp for row in rows])
    return 0


def _measured(name: str, seed: int, looking: Looking) -> list[dict[str, object]]:
    operators = SCENARIOS[name]
    recipe = Recipe(seed=seed, text="b", innocents=INNOCENTS, exchanges=EXCHANGES, operators=operators)
    with tempfile.TemporaryDirectory(prefix="stillwatch-leak-") as folder:
        log = simulate(recipe, Path(folder) / "log").exchanges_path
        begun = time.perf_counter()
        result = replay(Source((log,)), Path(folder) / "out", Keys(b"leak" * 8), Options(), looking)
        seconds = time.perf_counter() - begun
        truth = pq.read_table(log.parent / "truth.parquet")
        times = pq.read_table(log, columns=["exchange_id", "started_at"])
    planted = truth["extraction"].to_numpy()
    worked = set(truth["account_id"].filter(truth["operator_id"].is_valid()).to_pylist())
    flags = _flags(result)
    common = {
        "innocent_flagged": len(set(flags) - worked),
        "looks": result.overview["looks"],
        "seconds": round(seconds),
    }
    if not operators:
        return [common]
    at = dict(
        zip(times["exchange_id"].to_pylist(), times["started_at"].cast("int64").to_pylist(), strict=True)
    )
    ids, owners = np.array(truth["exchange_id"].to_pylist()), np.array(truth["account_id"].to_pylist())
    operator = np.array(truth["operator_id"].to_pylist())
    rows = []
    for one in operators:
        own = planted & (operator == one.name)
        leak = leak_of(np.array([at[name] for name in ids[own].tolist()]), owners[own], flags)
        rows.append(
            {
                "exchanges": leak.exchanges, "principals": leak.principals, "flagged": leak.flagged,
                "leak_at_first_flag": round(leak.first, 4), "leak_until_own_flag": round(leak.own, 4),
                "newcomers": leak.newcomers, "newcomers_exchanges": leak.newcomers_exchanges,
            } | common
        )  # fmt: skip
    return rows


def _flags(result: Replayed) -> dict[str, int]:
    """First flag of each account, microseconds since 1970."""
    found: dict[str, int] = {}
    columns = result.flags["account_id"].to_pylist(), result.flags["flagged_at"].cast("int64").to_pylist()
    for account, at in zip(*columns, strict=True):
        found[account] = min(at, found.get(account, at))
    return found


def _write(path: Path, rows: list[dict[str, object]]) -> None:
    """Append rows; a column that is new to the file is an error of the reader, so all are stated."""
    names = list(dict.fromkeys(name for row in rows for name in row))
    known = []
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            known = list(csv.DictReader(file))
    names = list(dict.fromkeys([*(known[0] if known else []), *names]))
    temporary = path.with_suffix(".tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows([*known, *rows])
    temporary.replace(path)
    print(f"{len(rows)} rows to {path}", file=sys.stderr)
