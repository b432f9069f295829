"""What joins a campaign: the templates that its accounts send together, and the infrastructure that they share."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stillwatch.report.wording import quantity

INFRASTRUCTURE = ("infrastructure_payment", "infrastructure_network")


def joined(campaign: Mapping[str, Any]) -> dict[str, str]:
    """Companions and infrastructure of a campaign (an entry of campaigns.json), a sentence or two each."""
    return {"companions": _companions(campaign), "infrastructure": _infrastructure(campaign)}


def _companions(campaign: Mapping[str, Any]) -> str:
    families = len(campaign["families"])
    if families == 1:
        return "One template alone."
    links = sorted(campaign["links"], key=lambda link: (-link["bits"], link["kind"], link["families"]))
    if not links:
        return f"{quantity(families, 'template')}, found in the same exchanges."
    return f"{quantity(families, 'template')}. The strongest of {quantity(len(links), 'link')}: {links[0]['reason']}."


def _infrastructure(campaign: Mapping[str, Any]) -> str:
    measured = {item["signal"]: item["reason"] for item in campaign["evidence"]}
    said = [measured[name] for name in INFRASTRUCTURE if name in measured]
    if not said:
        return "Neither payments nor networks could be compared."
    said[0] = said[0][:1].upper() + said[0][1:]
    return f"{'; '.join(said)}."
