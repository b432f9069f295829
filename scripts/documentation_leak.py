"""What the documents say of leak fractions, out of the results of benchmarks/leak."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

RESULTS = Path(__file__).resolve().parent.parent / "benchmarks" / "results" / "leak.csv"
HEAD = (
    "scenario", "looks in a row", "looks a step, near", "exchanges", "until the first flag", "until each principal's own",
    "until decided", "not calibrated, first", "who came later", "sent by each of them", "innocents flagged",
)  # fmt: skip
SHARES = (
    "leak_at_first_flag", "leak_until_own_flag", "leak_until_decided", "leak_at_first_flag_uncalibrated",
)  # fmt: skip


def rows() -> list[Sequence[object]]:
    """A row for each scenario, of its newest run by the newest evidence: medians over logs, innocents in all of them.

    A run is of one commit: other rules give other figures, and no median of both.
    """
    with RESULTS.open(encoding="utf-8", newline="") as file:
        every = list(csv.DictReader(file))
    newest = [row for row in every if row["evidence"] == every[-1]["evidence"]]
    run = {row["scenario"]: (row["commit"], row["sooner"]) for row in newest}
    found: dict[tuple[str, str], list[Mapping[str, str]]] = {}
    for row in newest:
        if (row["commit"], row["sooner"]) == run[row["scenario"]]:
            found.setdefault((row["scenario"], row["looks_in_a_row"]), []).append(row)
    return [(f"`{name}`", looks, run[name][1] or "1", *_told(own)) for (name, looks), own in found.items()]


def _told(own: Sequence[Mapping[str, str]]) -> list[str]:
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
