"""What a campaign's transcript buys by the curves of the lab, as a page of review tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from stillwatch.lab.value import transcript_of, value
from stillwatch.lab.value_text import as_record


def bought(campaign: Mapping[str, Any], matched: Sequence[int]) -> dict[str, Any] | None:
    """The valuation as plain data; none where the dossier does not say what the campaign asked for.

    ``matched``: matched exchanges of each of its families.
    """
    if "coverage" not in campaign.get("intent", {}):
        return None
    return as_record(value(transcript_of(campaign, matched)))
