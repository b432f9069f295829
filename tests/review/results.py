"""Results of a scan as small as they can be, with what a test plants in them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from stillwatch.outputs import ACCOUNTS, FAMILIES, MATCHES, TEMPLATES, to_table, write_json, write_table
from stillwatch.response.template import Template

FIRST = dt.datetime(2026, 3, 2, tzinfo=dt.UTC)
LAST = dt.datetime(2026, 3, 9, tzinfo=dt.UTC)
Principal = tuple[str, str | None]


def campaign(
    name: str, families: Sequence[str], people: Sequence[Principal], probability: float = 0.999
) -> dict[str, Any]:
    return {
        "campaign_id": name,
        "verdict": "extraction" if probability >= 0.99 else "undetermined",
        "probability": probability,
        "evidence_bits": 17.0,
        "first_seen": FIRST.isoformat(),
        "last_seen": LAST.isoformat(),
        "scale": {"exchanges": 10 * len(people)},
        "families": [{"family_id": family, "exchanges": 10, "role": "new"} for family in families],
        "infrastructure": {
            "values": [
                {"kind": "payment", "name": "0123456789", "principals": len(people), "others": 1, "bits": 9.0}
            ],
            "groups": [
                {
                    "principals": len(people),
                    "values": [0],
                    "names": [{"account_id": account, "end_user_id": user} for account, user in people[:8]],
                }
            ],
            "alone": 0,
            "common": {},
            "values_cut": 0,
            "groups_cut": 0,
        },
        "reasons": ["one template"],
        "counter_evidence": ["nothing shared"],
        "principals": [
            {
                "account_id": account,
                "end_user_id": user,
                "exchanges": 25,
                "extraction_exchanges": 10,
                "first_seen": FIRST.isoformat(),
                "last_seen": LAST.isoformat(),
                "probability": probability,
            }
            for account, user in people
        ],
    }


def accounts(prefix: str, count: int) -> list[Principal]:
    return [(f"{prefix}-{number:03d}", None) for number in range(count)]


def write_result(
    folder: Path,
    campaigns: Sequence[Mapping[str, Any]],
    innocent: int = 3,
    days: int = 7,
    templates: Sequence[Template] = (),
) -> Path:
    """Write a result of these campaigns and some innocent accounts; ``days``: how long its log is."""
    folder.mkdir(parents=True)
    ends = FIRST + dt.timedelta(days=days)
    seen = {"first_seen": FIRST, "last_seen": ends}
    rows: list[dict[str, Any]] = [
        {
            "account_id": row["account_id"],
            "end_user_id": row["end_user_id"],
            "verdict": one["verdict"],
            "campaign_id": one["campaign_id"],
            "probability": one["probability"],
            "exchanges": 25,
            "extraction_exchanges": 10,
            "reasons": ["one template"],
            **seen,
        }
        for one in campaigns
        for row in one["principals"]
    ]
    more = {"verdict": "none", "exchanges": 7, "extraction_exchanges": 0, "reasons": [], **seen}
    rows += [{"account_id": f"innocent-{number}", **more} for number in range(innocent)]
    families = [
        {
            "family_id": family["family_id"],
            "role": "new",
            "verdict": one["verdict"],
            "campaign_id": one["campaign_id"],
            "exchanges": 10,
            "principals": len(one["principals"]),
            "accounts": len(one["principals"]),
            "evidence_bits": 12.0,
            "reasons": [],
            "signals": [],
            **seen,
        }
        for one in campaigns
        for family in one["families"]
    ]
    matches = [
        {
            "exchange_id": f"{family['family_id']}-{number}",
            "family_id": family["family_id"],
            "campaign_id": "c",
        }
        for one in campaigns
        for family in one["families"]
        for number in range(4)
    ]
    write_table(to_table(rows, ACCOUNTS), folder / "accounts.parquet")
    write_table(to_table(families, FAMILIES), folder / "families.parquet")
    write_table(to_table(matches, MATCHES), folder / "matches.parquet")
    told = [
        {
            "family_id": one.family_id,
            "key": one.key,
            "least_weight": one.least_weight,
            "least_fragments": one.least_fragments,
            "fragments": [*one.fragments],
            "weights": [*one.fragments.values()],
        }
        for one in templates
    ]
    write_table(to_table(told, TEMPLATES), folder / "templates.parquet")
    write_json([*campaigns], folder / "campaigns.json")
    write_json(
        {"log": {"first": FIRST.isoformat(), "last": ends.isoformat()}, "folder": folder.name},
        folder / "overview.json",
    )
    return folder
