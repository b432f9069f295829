"""A case: how sure, why, what speaks against, what it looks like over time, who takes part, and what was decided."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import Response
from markupsafe import Markup

from stillwatch.report import charts
from stillwatch.report.page import both_widths, with_pictures
from stillwatch.review.access import Opened, Viewer
from stillwatch.review.answers import answer, wants_json
from stillwatch.review.bought import bought
from stillwatch.review.pages.decide import choices
from stillwatch.review.pages.queue import Start
from stillwatch.store import StoreError, cases
from stillwatch.store.exemplars import shapes

router = APIRouter()
DRAWN = 2000
"""Principals of which the pictures are made, those with the most extraction first."""
LISTED = 25
FAMILIES, LINKS, NAMES = 20, 12, 5


@router.get("/cases/{name}")
def case(
    request: Request, store: Opened, person: Viewer, name: str, campaign: str | None = None, start: Start = 0
) -> Response:
    """The page; ``campaign`` names one of several, ``start`` where the list of principals begins."""
    found = cases.case(store, name)
    chosen = _chosen(found, campaign)
    people = cases.members(store, found["id"], found["scan_id"], start, LISTED)
    told = {
        **{key: value for key, value in found.items() if key not in {"campaigns", "overview"}},
        "campaigns": [
            {key: one[key] for key in ("campaign_id", "verdict", "probability")} for one in found["campaigns"]
        ],
        "campaign": chosen,
        "participants": people,
        "start": start,
        "more": start + len(people) < found["principals"],
        "buys": bought(chosen, cases.matched(store, found["scan_id"], _families(chosen))),
        "exemplars": shapes(store, found["id"], chosen["campaign_id"]),
        "text": found["overview"].get("text"),
    }
    if wants_json(request):
        return answer(request, "case.html", told)
    drawn = cases.spans(store, found["id"], found["scan_id"], DRAWN)
    whole = {
        **chosen,
        "principals": [one for one in drawn if one["campaign_id"] == chosen["campaign_id"]],
        "principals_cut": max(found["principals"] - len(drawn), 0),
    }
    shown = {
        **told,
        "campaign": with_pictures(whole, 1, found["overview"]),
        "overview": found["overview"],
        "_infrastructure": _drawn(chosen.get("infrastructure")),
        "limits": {"families": FAMILIES, "links": LINKS},
        "mine": found["assignee"] == person.name,
        "_choices": choices(chosen),
        "_listed": LISTED,
        "_names": NAMES,
    }
    return answer(request, "case.html", shown)


def _families(campaign: Mapping[str, Any]) -> list[str]:
    return [one["family_id"] for one in campaign["families"]]


def _drawn(shared: Mapping[str, Any] | None) -> Markup | None:
    """The graph of what the principals share; none where the scan says nothing of it, or nothing is shared."""
    if not shared or not shared["values"]:
        return None
    return both_widths("i", lambda name, width: charts.draw_infrastructure(name, shared, width))


def _chosen(found: Mapping[str, Any], campaign: str | None) -> dict[str, Any]:
    """The campaign that the page shows: the one that is named, or the largest."""
    named = {one["campaign_id"]: one for one in found["campaigns"]}
    if campaign is None:
        return dict(found["campaigns"][0])
    if campaign not in named:
        raise StoreError(f"{found['id']} has no campaign {campaign} by its latest scan")
    return dict(named[campaign])
