"""OCSF: a Detection Finding (class 2004) for each campaign, one JSON object a line, for data lakes and SIEMs."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path
from typing import Any

from stillwatch import __version__
from stillwatch.share.caveat import ATLAS, CAVEAT, RESPONSE, described, evidence
from stillwatch.share.finding import Finding, Shared

SCHEMA = "1.5.0"
CLASS, CATEGORY = 2004, 2
CREATE = 1
HIGH, MEDIUM = 4, 3
CONFIDENT = ((0.9, 3, "High"), (0.5, 2, "Medium"), (0.0, 1, "Low"))


def write(shared: Shared, path: Path) -> None:
    """Write a line for each campaign; the caller gives a temporary name."""
    lines = (json.dumps(detection(shared, one), sort_keys=True) for one in shared.findings)
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def detection(shared: Shared, finding: Finding) -> dict[str, Any]:
    """The finding of one campaign. Times are milliseconds since 1970."""
    extraction = finding.verdict == "extraction"
    sure, caption = next((number, name) for least, number, name in CONFIDENT if finding.probability >= least)
    return {
        "activity_id": CREATE,
        "activity_name": "Create",
        "category_name": "Findings",
        "category_uid": CATEGORY,
        "class_name": "Detection Finding",
        "class_uid": CLASS,
        "type_name": "Detection Finding: Create",
        "type_uid": 100 * CLASS + CREATE,
        "severity": "High" if extraction else "Medium",
        "severity_id": HIGH if extraction else MEDIUM,
        "status": "New",
        "status_id": 1,
        "confidence": caption,
        "confidence_id": sure,
        "confidence_score": int(100 * finding.probability),
        "time": _milliseconds(shared.made_at),
        "start_time": _milliseconds(finding.first_seen),
        "end_time": _milliseconds(finding.last_seen),
        "count": finding.exchanges,
        "message": described(finding),
        "metadata": {
            "version": SCHEMA,
            "product": {"name": "stillwatch", "vendor_name": "stillwatch", "version": __version__},
            "labels": [f"TLP:{shared.tlp.upper()}", f"circle:{shared.circle}"],
        },
        "finding_info": {
            "uid": finding.campaign_id,
            "title": "Model extraction through an API",
            "desc": f"{CAVEAT} {evidence(finding)}",
            "created_time": _milliseconds(shared.made_at),
            "first_seen_time": _milliseconds(finding.first_seen),
            "last_seen_time": _milliseconds(finding.last_seen),
            "types": [f"{number} {name}" for number, name in ATLAS],
            "analytic": {
                "uid": "stillwatch",
                "name": "stillwatch",
                "type": "Statistical",
                "type_id": 3,
                "version": __version__,
            },
        },
        "remediation": {"desc": RESPONSE},
        "observables": [
            {"name": name, "type": "Other", "type_id": 99, "value": value}
            for name, values in (
                ("circle.template", [value for one in finding.templates for value in one.sketch]),
                ("circle.account", finding.accounts),
                ("circle.address", [one.mark for one in finding.addresses]),
            )
            for value in values
        ],
    }


def _milliseconds(at: dt.datetime) -> int:
    return int(at.timestamp() * 1000)
