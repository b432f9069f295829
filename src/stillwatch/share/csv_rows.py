"""CSV: one row for each thing that a peer may look for, for spreadsheets and lookup tables of a SIEM."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Iterator
from pathlib import Path

from stillwatch.share.finding import Finding, Shared

COLUMNS = (
    "kind", "value", "campaign_id", "verdict", "probability", "role", "objective", "first_seen", "valid_until", "tlp",
    "circle",
)  # fmt: skip


def write(shared: Shared, path: Path) -> None:
    """Write the rows; the caller gives a temporary name."""
    with path.open("w", encoding="utf-8", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(COLUMNS)
        for finding in shared.findings:
            writer.writerows(_rows(shared, finding))


def _rows(shared: Shared, finding: Finding) -> Iterator[tuple[str, ...]]:
    until = finding.last_seen + shared.valid
    for template in finding.templates:
        for value in template.sketch:
            yield _row(
                shared, finding, "template_fragment", value, until, template.role, template.objective or ""
            )
    for mark in finding.accounts:
        yield _row(shared, finding, "account_hmac", mark, until)
    for address in finding.addresses:
        yield _row(shared, finding, "address_hmac", address.mark, address.last_seen + shared.valid_addresses)
    for number in finding.networks:
        yield _row(shared, finding, "autonomous_system", str(number), until)


def _row(
    shared: Shared,
    finding: Finding,
    kind: str,
    value: str,
    until: dt.datetime,
    role: str = "",
    objective: str = "",
) -> tuple[str, ...]:
    return (
        kind, value, finding.campaign_id, finding.verdict, f"{finding.probability:.4f}", role, objective,
        finding.first_seen.isoformat(), until.isoformat(), f"TLP:{shared.tlp.upper()}", shared.circle,
    )  # fmt: skip
