"""A valuation as text for the terminal, and as plain data."""

from __future__ import annotations

from dataclasses import asdict
from textwrap import fill
from typing import Any

from stillwatch.lab.value import Price, Valuation, measured_curves
from stillwatch.report.wording import share as spoken

WIDTH = 88


def as_text(valuation: Valuation) -> str:
    """The price of a campaign, what it would have been, and what is extrapolated."""
    got = valuation.transcript
    curves = measured_curves()
    read = ", ".join(
        f"{curves[name]['what']} ({spoken(weight)})" for name, weight in valuation.curves.items()
    )
    whole = valuation.prices[-1]
    head = (
        f"{got.campaign_id} got {got.exchanges:,} matched exchanges in {got.wordings} "
        f"wording{'s' if got.wordings != 1 else ''}{_repeats(valuation)}. In the lab a student of as many has "
        f"{_interval(whole)} of what the teacher has over a student without any (95% interval; seeds from "
        f"{spoken(max(0.0, whole.least))} to {spoken(max(0.0, whole.most))})."
    )
    halves = "; ".join(f"{curves[name]['what']}: {count:,.0f}" for name, count in valuation.half.items())
    rows = [
        f"  {spoken(price.leaked):>5}  {price.exchanges:>11,}  {_interval(price):<26}{_beyond(price)}".rstrip()
        for price in valuation.prices
    ]
    return "\n".join(
        [
            fill(head, WIDTH),
            "",
            fill(f"Curves read: {read}. Exchanges to half of the gain in the lab: {halves}.", WIDTH),
            "",
            "  Stopped after",
            "  leaked    exchanges  share of the teacher's gain",
            *rows,
            "",
            *(
                fill(caveat, WIDTH, initial_indent="- ", subsequent_indent="  ")
                for caveat in valuation.caveats
            ),
        ]
    )


def as_record(valuation: Valuation) -> dict[str, Any]:
    """The same as plain data."""
    return asdict(valuation) | {"counted": valuation.transcript.counted}


def _repeats(valuation: Valuation) -> str:
    got = valuation.transcript
    if got.distinct is None or got.counted == got.exchanges:
        return ""
    return f", of which {got.exchanges - got.counted:,} may be repeats and are not counted"


def _interval(price: Price) -> str:
    low, value, high = (
        spoken(max(0.0, each)) for each in (price.share.low, price.share.value, price.share.high)
    )
    return f"{value} ({low} to {high})"


def _beyond(price: Price) -> str:
    return {"": "", "above": "  above what was measured", "below": "  below what was measured"}[price.beyond]
