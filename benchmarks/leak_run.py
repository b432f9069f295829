"""What campaigns get before they are flagged, as one command."""

from __future__ import annotations

import argparse
import csv
import datetime as dt
import tempfile
import time
from collections.abc import Mapping
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from accuracy_prompts import PROMPTS
from leak_picture import draw
from provenance import commit, processor, versions
from stillwatch.arena import Operator, Recipe, simulate
from stillwatch.cli.replay import duration_us
from stillwatch.examine import Options
from stillwatch.keys import Keys
from stillwatch.live.replay import Replayed, replay
from stillwatch.live.step import Looking
from stillwatch.sketching import Source
from stillwatch.streams import DAY_US, HOUR_US

DAYS = 10.0
FIRST_SEED = 21_000
"""Seeds of this benchmark; no fit and no other benchmark has any from here on."""

USUAL = Operator(
    "medium", accounts=120, exchanges_per_account=40.0, camouflage=0.9, days=DAYS,
    prompt=PROMPTS["elicited_reasoning"][0],
)  # fmt: skip
"""4,800 exchanges behind 90% ordinary traffic over ten days, with a template that no fit has read."""

HUMAN = replace(
    USUAL, hours="human", dispatch="heavy_tailed", share_payment="none", share_network="none",
    accounts_opened="organic", reach="organic",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Scenario:
    """One log: who works in it, and how much of it is looked at."""

    operators: tuple[Operator, ...]
    days: float = DAYS
    """Days that are looked at. What is sent later counts, and whoever is not flagged by then never is."""


SCENARIOS: dict[str, Scenario] = {
    "clean": Scenario(()),
    "small": Scenario((replace(USUAL, name="small", accounts=40, exchanges_per_account=30.0),)),
    "medium": Scenario((USUAL,)),
    "half": Scenario((replace(USUAL, name="half", camouflage=0.5),)),
    # The simulator rewords its own templates alone, not one that is given.
    "worded": Scenario((replace(USUAL, name="worded", wordings=6, prompt=""),)),
    "replaced": Scenario((replace(USUAL, name="replaced", accounts=60, replacement="random_days"),)),
    "banned": Scenario((replace(USUAL, name="banned", accounts=60, replacement="after_exchanges"),)),
    "human": Scenario((replace(HUMAN, name="human"),)),
    "careful": Scenario((replace(HUMAN, name="careful", wordings=6, prompt=""),)),
    "large_few": Scenario(
        (replace(USUAL, name="large_few", accounts=150, exchanges_per_account=340.0),), 2.0
    ),
    "large": Scenario((replace(USUAL, name="large", accounts=500, exchanges_per_account=100.0),), 2.0),
}
"""What is looked at, by size, camouflage, wordings, replacement and hours."""

SEEDS = {name: FIRST_SEED + 1_000 + 100 * place for place, name in enumerate(SCENARIOS)}
INNOCENTS, EXCHANGES = 3_000, 60_000
MARGIN = 1.5
"""Bits beyond the bar of a scan: in weeks of half as many innocents the e-process asks for 0.2 (benchmarks/alpha_live).
Twice the streams make each 2^s of the calibration at most twice as large on average, which is one bit, and the rest is
left for looks four times as often."""
PRUDENT = Looking()
"""What an accusation takes where nothing was calibrated."""


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

    enforced: float
    """The same until people had decided on each, which takes them some time."""

    newcomers: int
    """Principals whose first extraction exchange lies after the first flag."""

    newcomers_exchanges: float
    """Median of the exchanges that those sent before they were flagged themselves; NaN without any."""


def leak_of(
    started: np.ndarray, owner: np.ndarray, flagged_at: Mapping[str, int], decided_us: int = 0
) -> Leak:
    """Leak of one campaign of n extraction exchanges: times int64[n], accounts str[n]; ``flagged_at`` by account."""
    accounts, place = np.unique(owner, return_inverse=True)
    never = np.iinfo(np.int64).max
    flags = np.array([flagged_at.get(account, never) for account in accounts.tolist()], np.int64)
    first = int(flags.min(initial=never))
    own_flag = flags[place]
    before = started < own_flag
    begun = np.full(len(accounts), never)
    np.minimum.at(begun, place, started)
    newcomers = (begun >= first) & (first < never)
    sent = np.bincount(place, weights=before, minlength=len(accounts))[newcomers]
    decided = np.where(own_flag < never, own_flag + np.where(own_flag < never, decided_us, 0), never)
    return Leak(
        len(started), len(accounts), int((flags < never).sum()), float((started < first).mean()),
        float(before.mean()), float((started < decided).mean()), int(newcomers.sum()),
        float(median(sent.tolist())) if len(sent) else float("nan"),
    )  # fmt: skip


def main(root: Path) -> int:
    """Run what the command line asks for."""
    parser = argparse.ArgumentParser(prog="leak", description="What campaigns get before they are flagged.")
    parser.add_argument("--step", default="1h", help="time between two looks")
    parser.add_argument(
        "--sooner", type=int, default=PRUDENT.sooner, help="looks in it where evidence comes near"
    )
    parser.add_argument("--logs", type=int, default=1, help="logs of each scenario")
    parser.add_argument(
        "--before",
        type=float,
        default=0.0,
        help="days that ordinary traffic was watched when a campaign begins",
    )
    parser.add_argument("--only", nargs="+", choices=sorted(SCENARIOS), help="some scenarios alone")
    parser.add_argument(
        "--margin", type=float, default=MARGIN, help="bits that the e-process asks for beyond a scan"
    )
    parser.add_argument("--decided-within", default="4h", help="what people take to decide on a flag")
    parser.add_argument(
        "--scale", type=float, default=1.0, help="share of the innocents; below one for a quick look"
    )
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--results", type=Path, default=root / "benchmarks" / "results" / "leak.csv")
    parser.add_argument("--picture", type=Path, default=root / "docs" / "images" / "leak.svg")
    options = parser.parse_args()
    looking = Looking(duration_us(options.step, "--step"), margin_bits=options.margin, sooner=options.sooner)
    decided_us = duration_us(options.decided_within, "--decided-within")
    work = [
        (name, SEEDS[name] + number, looking, decided_us, options.scale, options.before)
        for name in options.only or SCENARIOS
        for number in range(options.logs)
    ]
    stamp = {
        "date": f"{dt.datetime.now(dt.UTC):%Y-%m-%d}", "commit": commit(root), "machine": processor(),
        "evidence": versions()["evidence"], "step": options.step, "margin_bits": looking.margin_bits,
        "looks_in_a_row": looking.looks, "sooner": looking.sooner, "watched_before": options.before,
    }  # fmt: skip
    with ProcessPoolExecutor(options.jobs) as pool:
        for row in pool.map(_measured, *zip(*work, strict=True)):
            print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
            options.picture.write_text(draw(_write(options.results, row | stamp)), "utf-8")
    return 0


def _measured(
    name: str, seed: int, looking: Looking, decided_us: int, scale: float, before: float
) -> dict[str, object]:
    scenario = SCENARIOS[name]
    operators = tuple(replace(one, start_day=before) for one in scenario.operators)
    recipe = Recipe(
        seed=seed, text="b", innocents=round(INNOCENTS * scale), exchanges=round(EXCHANGES * scale),
        operators=operators,
    )  # fmt: skip
    with tempfile.TemporaryDirectory(prefix="stillwatch-leak-") as folder:
        log = simulate(recipe, Path(folder) / "log").exchanges_path
        truth = pq.read_table(log.parent / "truth.parquet")
        times = pq.read_table(log, columns=["exchange_id", "started_at"])
        seen = _begin_of(log, before + scenario.days) if scenario.days < DAYS else log
        begun = time.perf_counter()
        result = replay(Source((seen,)), Path(folder) / "out", Keys(b"leak" * 8), Options(), looking)
        seconds = time.perf_counter() - begun
    worked = set(truth["account_id"].filter(truth["operator_id"].is_valid()).to_pylist())
    flags = _flags(result)
    row: dict[str, object] = {"scenario": name, "seed": seed}
    if scenario.operators:
        own = truth.filter(truth["extraction"])
        at = dict(
            zip(times["exchange_id"].to_pylist(), times["started_at"].cast("int64").to_pylist(), strict=True)
        )
        started = np.array([at[exchange] for exchange in own["exchange_id"].to_pylist()])
        leak = leak_of(started, np.array(own["account_id"].to_pylist()), flags, decided_us)
        row |= {
            "exchanges": leak.exchanges, "principals": leak.principals, "flagged": leak.flagged,
            "leak_at_first_flag": round(leak.first, 4), "leak_until_own_flag": round(leak.own, 4),
            "leak_until_decided": round(leak.enforced, 4), "newcomers": leak.newcomers,
            "newcomers_exchanges": leak.newcomers_exchanges,
            "leak_at_first_flag_uncalibrated": round(float((started < _prudent(result, looking.step_us)).mean()), 4),
        }  # fmt: skip
    return row | {
        "innocent_flagged": len(set(flags) - worked),
        "looks": result.overview["looks"],
        "seconds": round(seconds),
    }


def _begin_of(log: Path, days: float) -> Path:
    """The first ``days`` of a log, to look at no more of it."""
    table = pq.read_table(log)
    at = table["started_at"].cast(pa.int64())
    until = pc.min(at).as_py() // HOUR_US * HOUR_US + round(days * DAY_US)
    first = log.with_name("first.parquet")
    pq.write_table(table.filter(pc.less(at, until)), first)
    return first


def _prudent(result: Replayed, step_us: int) -> int:
    """First look at which a campaign would be flagged where nothing was calibrated, microseconds since 1970."""
    in_a_row: dict[str, tuple[int, int]] = {}
    rows, times = result.looks.to_pylist(), result.looks["looked_at"].cast("int64").to_pylist()
    for row, at in zip(rows, times, strict=True):
        if row["margin_bits"] > PRUDENT.margin_bits:
            before, count = in_a_row.get(row["campaign_id"], (0, 0))
            # No look lies further from the next one; where evidence is near, they are closer.
            in_a_row[row["campaign_id"]] = (at, count + 1 if before >= at - step_us else 1)
            if in_a_row[row["campaign_id"]][1] >= PRUDENT.looks:
                return int(at)
        else:
            in_a_row.pop(row["campaign_id"], None)
    return int(np.iinfo(np.int64).max)


def _flags(result: Replayed) -> dict[str, int]:
    """First flag of each account, microseconds since 1970."""
    found: dict[str, int] = {}
    columns = result.flags["account_id"].to_pylist(), result.flags["flagged_at"].cast("int64").to_pylist()
    for account, at in zip(*columns, strict=True):
        found[account] = min(at, found.get(account, at))
    return found


def _write(path: Path, row: Mapping[str, object]) -> list[dict[str, str]]:
    """Append a row; a column that is new to the file is an error of the reader, so all are stated. Returns all rows."""
    known: list[Mapping[str, object]] = []
    if path.exists():
        with path.open(encoding="utf-8", newline="") as file:
            known = list(csv.DictReader(file))
    every = [*known, row]
    names = list(dict.fromkeys(name for row in every for name in row))
    temporary = path.with_suffix(".tmp")
    path.parent.mkdir(parents=True, exist_ok=True)
    with temporary.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, names, restval="", lineterminator="\n")
        writer.writeheader()
        writer.writerows(every)
    temporary.replace(path)
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
