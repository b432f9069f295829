"""Sigma: for each campaign a rule on the sketches' keyed fragments, and a correlation that counts the accounts.

The rules are for sketches that were loaded into a SIEM: the column ``circle`` of ``stillwatch fingerprint --circle-key``,
each fragment written as 16 hexadecimal digits. One account that sends the text is nothing; many within a week are.
"""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import yaml

from stillwatch.peers import NAMESPACE
from stillwatch.share.caveat import ATLAS, CAVEAT, described
from stillwatch.share.finding import Finding, Shared

ACCOUNTS = 8
"""Accounts within the span from which the correlation speaks: what makes a text shared here too."""
SPAN = "7d"


def write(shared: Shared, path: Path) -> None:
    """Write the documents; the caller gives a temporary name."""
    documents = [one for finding in shared.findings if finding.templates for one in rules(shared, finding)]
    path.write_text(yaml.safe_dump_all(documents, sort_keys=False, allow_unicode=True), encoding="utf-8")


def rules(shared: Shared, finding: Finding) -> list[dict[str, Any]]:
    """The rule on one exchange, and the correlation over many."""
    name = f"template_of_{finding.campaign_id.replace('-', '_')}"
    stated = {
        "status": "experimental",
        "author": shared.name,
        "date": shared.made_at.strftime("%Y-%m-%d"),
        "references": [f"https://atlas.mitre.org/techniques/{number}" for number, _ in ATLAS],
        "falsepositives": [CAVEAT],
        "tags": [f"tlp.{str(shared.tlp).replace('+', '-')}"],
    }
    base = {
        "title": f"Template of model extraction {finding.campaign_id}",
        "id": str(uuid.uuid5(NAMESPACE, f"{shared.identity}\0sigma\0{finding.campaign_id}")),
        "name": name,
        "description": described(finding),
        **stated,
        "logsource": {"product": "stillwatch", "service": "sketch"},
        "detection": {
            "template": {"circle": sorted({value for one in finding.templates for value in one.sketch})},
            "condition": "template",
        },
        "level": "informational",
    }
    correlation = {
        "title": f"Many accounts send the template of {finding.campaign_id}",
        "id": str(uuid.uuid5(NAMESPACE, f"{shared.identity}\0correlation\0{finding.campaign_id}")),
        **stated,
        "correlation": {
            "type": "value_count",
            "rules": [name],
            "group-by": ["model"],
            "timespan": SPAN,
            "condition": {"field": "account_id", "gte": ACCOUNTS},
        },
        "level": "medium",
    }
    return [base, correlation]
