"""A result of a scan as large as one likes: dossiers of a real campaign, with names and sizes drawn for each."""

from __future__ import annotations

import datetime as dt
import json
import random
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stillwatch.arena import PRESETS, simulate
from stillwatch.keys import Keys
from stillwatch.outputs import ACCOUNTS, FAMILIES, MATCHES, to_table
from stillwatch.scan import Options, scan
from stillwatch.sketching import Source

LARGEST = 20_000
"""Principals of the largest campaign: as many as of the largest proxy network that was reported."""
AT_ONCE = 50_000


def real_campaign(folder: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """The overview and the campaign of a real scan."""
    simulate(PRESETS["tiny"], folder / "log")
    source = Source((folder / "log" / "exchanges.parquet",))
    scan(source, folder / "scanned", Keys(local=b"a key for this benchmark"), Options())
    documents = [
        json.loads((folder / "scanned" / name).read_text()) for name in ("overview.json", "campaigns.json")
    ]
    return documents[0], documents[1][0]


def write_result(
    folder: Path,
    like: tuple[dict[str, Any], dict[str, Any]],
    campaigns: int,
    accounts: int,
    seed: int,
    day: int,
) -> Path:
    """Write it; the accounts of a seed are the same whatever the size, so that a second result continues the first."""
    overview, one = like
    folder.mkdir()
    sizes = _sizes(campaigns, accounts, seed)
    last = dt.datetime.fromisoformat(overview["log"]["last"]) + dt.timedelta(days=day)
    overview = {**overview, "log": {**overview["log"], "last": last.isoformat()}}
    (folder / "overview.json").write_text(json.dumps(overview))
    with (folder / "campaigns.json").open("w") as file:
        for number, size in enumerate(sizes):
            file.write("[" if number == 0 else ",")
            file.write(json.dumps(_campaign(one, number, size, seed)))
        file.write("]")
    seen = {"first_seen": last - dt.timedelta(days=14), "last_seen": last}
    _write(folder / "accounts.parquet", ACCOUNTS, _accounts(sizes, accounts, seen))
    families = (
        {
            "family_id": f"f-{number:06d}-{part}", "role": "new", "verdict": "extraction", "campaign_id": f"c-{number:06d}",
            "exchanges": 12 * size, "principals": size, "accounts": size, "evidence_bits": 12.0, "reasons": [],
            "signals": [], **seen,
        }
        for number, size in enumerate(sizes)
        for part in range(3)
    )  # fmt: skip
    _write(folder / "families.parquet", FAMILIES, families)
    matches = (
        {"exchange_id": f"x-{number}", "family_id": f"f-{number:06d}-0", "campaign_id": f"c-{number:06d}"}
        for number in range(campaigns)
    )
    _write(folder / "matches.parquet", MATCHES, matches)
    return folder


def _sizes(campaigns: int, accounts: int, seed: int) -> list[int]:
    """Principals of each campaign, of a heavy tail; together at most half of the accounts."""
    drawn = random.Random(seed)
    sizes = [min(int(8 * drawn.paretovariate(1.3)), 2000) for _ in range(campaigns)]
    sizes[0] = min(LARGEST, accounts // 20)
    while sum(sizes) > accounts // 2:
        sizes = [max(2, size * 4 // 5) for size in sizes]
    return sizes


def _campaign(one: dict[str, Any], number: int, size: int, seed: int) -> dict[str, Any]:
    drawn = random.Random(seed * 1_000_003 + number)
    probability = round(drawn.uniform(0.5, 0.99999), 5)
    member = one["principals"][0]
    return {
        **one,
        "campaign_id": f"c-{number:06d}",
        "probability": probability,
        "verdict": "extraction" if probability > 0.95 else "undetermined",
        "scale": {**one["scale"], "exchanges": 12 * size, "principals": size, "accounts": size},
        "families": [{**one["families"][0], "family_id": f"f-{number:06d}-{part}"} for part in range(3)],
        "principals": [
            {
                **member,
                "account_id": f"acct-{number:06d}-{place:05d}",
                "end_user_id": None,
                "probability": probability,
            }
            for place in range(size)
        ],
    }


def _accounts(sizes: list[int], accounts: int, seen: dict[str, Any]) -> Iterator[dict[str, Any]]:
    base = {
        "exchanges": 40,
        "reasons": ["12 of its 40 exchanges belong to a stream that was judged extraction"],
        **seen,
    }
    for number, size in enumerate(sizes):
        for place in range(size):
            yield base | {
                "account_id": f"acct-{number:06d}-{place:05d}", "verdict": "extraction", "campaign_id": f"c-{number:06d}",
                "probability": 0.99, "evidence_bits": 12.0, "extraction_exchanges": 12,
            }  # fmt: skip
    for number in range(accounts - sum(sizes)):
        yield base | {
            "account_id": f"honest-{number:07d}", "verdict": "none", "probability": 0.0, "evidence_bits": 0.0,
            "extraction_exchanges": 0, "reasons": [],
        }  # fmt: skip


def _write(path: Path, schema: pa.Schema, rows: Iterator[dict[str, Any]]) -> None:
    with pq.ParquetWriter(path, schema) as writer:
        while part := list(islice(rows, AT_ONCE)):
            writer.write_table(to_table(part, schema))
