"""What the documents say of leak fractions, out of the results of benchmarks/leak."""

from __future__ import annotations

import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

BENCHMARKS = Path(__file__).resolve().parent.parent / "benchmarks"
sys.path.append(str(BENCHMARKS))

from leak_rows import Row, newest  # noqa: E402 - beside the results

RESULTS = BENCHMARKS / "results" / "leak.csv"
HEAD = (
    "scenario", "looks in a row", "looks a step, near", "exchanges", "until the first flag", "until each principal's own",
    "until decided", "not calibrated, first", "who came later", "sent by each of them", "innocents flagged",
)  # fmt: skip
SHARES = (
    "leak_at_first_flag", "leak_until_own_flag", "leak_until_decided", "leak_at_first_flag_uncalibrated",
)  # fmt: skip


def rows() -> list[Sequence[object]]:
    """A row for each scenario, of its newest run by the newest evidence: medians over logs, innocents in all of them."""
    with RESULTS.open(encoding="utf-8", newline="") as file:
        found = newest(list(csv.DictReader(file)))
    return [
        (f"`{name}`", looks, own[0]["sooner"] or "1", *_told(own)) for (name, looks), own in found.items()
    ]


def _told(own: Sequence[Row]) -> list[str]:
    hit = f"{sum(int(row['innocent_flagged']) for row in own):,}"
    if not own[0]["exchanges"]:
        return [""] * 7 + [hit]
    middle = {
        name: median(float(row[name]) for row in own)
        for name in ("exchanges", *SHARES, "newcomers", "newcomers_exchanges")
    }
    sent = f"{middle['newcomers_exchanges']:g}" if middle["newcomers"] else ""
    shares = [f"{middle[name]:.1%}" for name in SHARES]
    return [f"{middle['exchanges']:,.0f}", *shares, f"{middle['newcomers']:g}", sent, hit]
