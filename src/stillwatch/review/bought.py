"""What a campaign's transcript buys by the curves of the lab, as a page of review tells it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any

from stillwatch.lab.value import Transcript, Valuation, transcript_of, value
from stillwatch.lab.value_text import as_record

KEPT = 512
"""Valuations that are kept: each resamples the lab's seeds, and a page asks for the same one again."""


def bought(campaign: Mapping[str, Any], matched: Sequence[int]) -> dict[str, Any] | None:
    """The valuation as plain data; none where the dossier does not say what the campaign asked for."""
    if "coverage" not in campaign.get("intent", {}):
        return None
    got = transcript_of(campaign, matched)
    told = tuple(sorted(got.objectives.items()))
    return as_record(_valued(got.campaign_id, got.exchanges, got.wordings, got.distinct, told))


@lru_cache(KEPT)
def _valued(
    name: str,
    exchanges: int,
    wordings: int,
    distinct: float | None,
    objectives: tuple[tuple[str, float], ...],
) -> Valuation:
    return value(Transcript(name, exchanges, wordings, distinct, dict(objectives)))
