"""The terminal summary of a scan: the finding, then a few lines a campaign."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from stillwatch.report.headline import headline, in_order, objectives, strongest_against
from stillwatch.report.wording import count, percent, printable, quantity, share, spoken

COLUMNS = 88


def summary(overview: Mapping[str, Any], campaigns: Sequence[Mapping[str, Any]], most: int = 10) -> str:
    """Say in plain text what was found, how sure and what speaks against; at most so many campaigns."""
    top = headline(overview, campaigns)
    ordered = in_order(campaigns)
    lines = [top.title, ""]
    for label, text in (("found", top.found), ("how sure", top.certainty), ("against", top.against)):
        lines.extend(_labelled(label, text))
    for campaign in ordered[:most]:
        lines.extend(["", *_campaign(campaign)])
    if len(ordered) > most:
        lines.extend(["", f"{len(ordered) - most} more in campaigns.json and report.html."])
    lines.extend(["", *_log(overview)])
    return "\n".join(lines) + "\n"


def _campaign(campaign: Mapping[str, Any]) -> list[str]:
    scale = campaign["scale"]
    verdict, sure = spoken(campaign["verdict"]), percent(campaign["probability"])
    head = f"{printable(campaign['campaign_id'])}  {verdict}, {sure}"
    size = (
        f"{count(scale['exchanges'])} exchanges ({share(scale['share_of_traffic'])} of traffic), "
        f"{quantity(scale['principals'], 'principal')}, {quantity(scale['accounts'], 'account')}"
    )
    return [
        head,
        *_labelled("size", size),
        *_labelled("asks for", objectives(campaign)),
        *_labelled("against", strongest_against(campaign)),
    ]


def _log(overview: Mapping[str, Any]) -> list[str]:
    log = overview["log"]
    text = (
        f"{quantity(log['exchanges'], 'exchange')} of {quantity(log['accounts'], 'account')} in "
        f"{quantity(log['files'], 'file')}; {quantity(log['rejected'], 'record')} rejected, "
        f"{quantity(log['duplicates'], 'repeated id')}"
    )
    lines = _labelled("log", text)
    if counted := _counted(log):
        lines.extend(_labelled("read", counted))
    lines.extend(_labelled("guarantee", overview["guarantee"]["statement"]))
    if log["columns_missing"]:
        lines.extend(_labelled("missing", ", ".join(log["columns_missing"])))
    for notice in overview["notices"]:
        lines.extend(_labelled("no effect", notice))
    for cap in overview["caps"]:
        if cap["cut"]:
            lines.extend(
                _labelled(
                    "cut", f"{cap['what']}: {count(cap['cut'])} past the limit of {count(cap['limit'])}"
                )
            )
    return lines


def _counted(log: Mapping[str, Any]) -> str:
    """What was read otherwise than it stands in the log, or was passed over."""
    nulled = ", ".join(f"{name} {count(number)}" for name, number in log["nulled"].items())
    skipped = ", ".join(f"{reason} {count(number)}" for reason, number in log["skipped"].items())
    parts = [
        f"values that made no sense left out: {nulled}" if nulled else "",
        f"records that are no exchange passed over: {skipped}" if skipped else "",
        f"{quantity(log['zoneless'], 'time')} without a zone read as UTC" if log["zoneless"] else "",
        f"{quantity(log['unmapped'], 'exchange')} of keys that the identities lack"
        if log["unmapped"]
        else "",
    ]
    return "; ".join(part for part in parts if part)


def _labelled(label: str, text: str) -> list[str]:
    indent = " " * 12
    return textwrap.wrap(
        printable(text),
        COLUMNS,
        initial_indent=f"  {label:<10}",
        subsequent_indent=indent,
        break_long_words=False,
    )
