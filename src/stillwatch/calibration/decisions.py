"""People's decisions matched with what this scan found; who was cleared is not accused again by the same.

Family and campaign ids are keyed hashes: under the same key a template keeps its name from log to log.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from stillwatch.calibration.labels import CLEARED, Label, Labels, Standing
from stillwatch.verdict import Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.examine import Scanned
    from stillwatch.judging import Judged

DECIDES = 0.5
"""Share of a campaign's exchanges that families with one decision must hold for it to be the campaign's."""

Principal = tuple[str, str | None]


@dataclass(frozen=True, slots=True)
class Matched:
    """Standing decisions by what they are about in this scan."""

    groups: dict[int, Label]
    """The decision on each group that has one, by its campaign's name or by most of its families."""

    families: dict[int, Label]
    """The decision on each family that has one of its own."""

    principals: dict[tuple[int, int], Label]
    """The decision on a principal in a group, by (group, principal)."""

    labels: int
    """Standing decisions that were read."""

    unmatched: int
    """Decisions whose subject this scan does not have."""


@dataclass(frozen=True, slots=True)
class HeldBack:
    """Groups after the decisions."""

    groups: list[Judged]
    """As ruled, everybody who takes part still in."""

    accusing: list[Judged]
    """The same without the principals who were cleared."""

    cleared: dict[tuple[Principal, str], str]
    """For a principal and the campaign that would accuse it: why it does not."""


def match(
    scanned: Scanned,
    groups: Sequence[Judged],
    names: Sequence[str],
    campaign_ids: Sequence[str],
    labels: Labels,
) -> Matched:
    """Find the subject of each decision in a scan."""
    place = {name: family for family, name in enumerate(names)}
    campaign = {name: group for group, name in enumerate(campaign_ids)}
    of_family = scanned.groups.label
    families, by_name = {}, {}
    unmatched = 0
    for label in labels.about_groups():
        campaign_id, family_id, _, _ = label.subject
        if family_id in place:
            families[place[family_id]] = label
        elif campaign_id in campaign:
            by_name[campaign[campaign_id]] = label
        else:
            unmatched += 1
    found = _of_most_families(scanned, families) | by_name
    principals: dict[tuple[int, int], Label] = {}
    members = _memberships(scanned, groups)
    for label in sorted(labels.about_principals(), key=lambda label: label.decided_at):
        campaign_id, family_id, account, user = label.subject
        hits = [
            (group, principal)
            for group, principal in members.get((str(account), user), ())
            if (family_id is None or (family_id in place and of_family[place[family_id]] == group))
            and (campaign_id is None or family_id is not None or campaign_ids[group] == campaign_id)
        ]
        principals.update(dict.fromkeys(hits, label))
        unmatched += not hits
    return Matched(found, families, principals, len(labels.labels), unmatched)


def hold_back(
    scanned: Scanned, groups: Sequence[Judged], campaign_ids: Sequence[str], matched: Matched, least: int
) -> HeldBack:
    """Make accusations that people cleared before undetermined, and leave cleared principals out of the others.

    ``least``: principals without whom there is no campaign.
    """
    ruled, accusing = [], []
    cleared: dict[tuple[Principal, str], str] = {}
    for number, judged in enumerate(groups):
        out = judged.part & np.array(
            [(number, p) in matched.principals for p in judged.principals.tolist()], bool
        )
        out[out] = [_clears(matched.principals[number, p]) for p in judged.principals[out].tolist()]
        kept = _ruled(judged, matched.groups.get(number), judged.part & ~out, least)
        ruled.append(kept)
        if kept.ruling.verdict is not Verdict.EXTRACTION:
            accusing.append(kept)
            continue
        accusing.append(replace(kept, part=kept.part & ~out))
        for principal in judged.principals[out].tolist():
            reason = f"{_said(matched.principals[number, principal])} of this principal, and that stands"
            cleared[scanned.principals.name(principal), campaign_ids[number]] = reason
    return HeldBack(ruled, accusing, cleared)


def _ruled(judged: Judged, label: Label | None, left: NDArray[np.bool_], least: int) -> Judged:
    """A group after the decision on it, ``left`` being who takes part and was not cleared."""
    if judged.ruling.verdict is not Verdict.EXTRACTION:
        return judged
    if label is not None and _clears(label):
        reason = f"{_said(label)} of it, and that stands"
    elif left.sum() < min(least, judged.part.sum()):
        reason = f"people cleared all but {left.sum()} of those who take part"
    else:
        return judged
    ruling = replace(judged.ruling, verdict=Verdict.UNDETERMINED, reasons=(reason, *judged.ruling.reasons))
    return replace(judged, ruling=ruling)


def spare(rows: Sequence[Any], cleared: dict[tuple[Principal, str], str]) -> list[dict[str, Any]]:
    """Rows of ``accounts.parquet`` in which nobody is accused who was cleared.

    An account that stands accused through its end users is not where none of them is left.
    """
    result = []
    for row in map(dict, rows):
        reason = cleared.get(((row["account_id"], row["end_user_id"]), row["campaign_id"]))
        result.append(_spared(row, reason) if reason and row["verdict"] == Verdict.EXTRACTION else row)
    users = {(account, campaign) for (account, user), campaign in cleared if user is not None}
    left = {
        (row["account_id"], row["campaign_id"])
        for row in result
        if row["end_user_id"] is not None and row["verdict"] == Verdict.EXTRACTION
    }
    why = "people cleared those of its end users through whom it would be accused"
    return [
        _spared(row, why)
        if row["verdict"] == Verdict.EXTRACTION
        and row["end_user_id"] is None
        and (row["account_id"], row["campaign_id"]) in users - left
        else row
        for row in result
    ]


def _spared(row: dict[str, Any], reason: str) -> dict[str, Any]:
    return row | {
        "verdict": str(Verdict.UNDETERMINED),
        "extraction_exchanges": 0,
        "reasons": [reason, *row["reasons"]],
    }


def _clears(label: Label) -> bool:
    return label.standing in CLEARED


def _said(label: Label) -> str:
    appealed = " on appeal" if label.appeal == "reversed" else ""
    return f"people decided {label.standing}{appealed} on {label.decided_at:%Y-%m-%d}"


def _of_most_families(scanned: Scanned, families: dict[int, Label]) -> dict[int, Label]:
    """The decision that families with most of a group's exchanges have in common; the latest of them stands for
    it."""
    count = np.bincount(scanned.families.family, minlength=len(scanned.families.names))
    label, core = scanned.groups.label, scanned.groups.core
    held: dict[tuple[int, Standing], int] = {}
    latest: dict[tuple[int, Standing], Label] = {}
    for family, decision in families.items():
        if label[family] >= 0 and core[family]:
            key = int(label[family]), decision.standing
            held[key] = held.get(key, 0) + int(count[family])
            latest[key] = max(latest.get(key, decision), decision, key=lambda one: one.decided_at)
    whole = np.bincount(
        label[core & (label >= 0)], weights=count[core & (label >= 0)], minlength=scanned.groups.count
    )
    return {
        group: latest[group, standing]
        for (group, standing), exchanges in held.items()
        if exchanges > DECIDES * whole[group]
    }


def _memberships(scanned: Scanned, groups: Iterable[Judged]) -> dict[Principal, list[tuple[int, int]]]:
    """The groups in which each principal takes part, with its number."""
    found: dict[Principal, list[tuple[int, int]]] = {}
    for number, judged in enumerate(groups):
        for principal in judged.taking_part.tolist():
            found.setdefault(scanned.principals.name(principal), []).append((number, principal))
    return found
