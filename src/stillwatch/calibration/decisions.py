"""People's decisions matched with what this scan found; who was cleared is not accused again by the same.

Family and campaign ids are keyed hashes: under the same key a template keeps its name from log to log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from stillwatch.accounts import Cleared
from stillwatch.calibration.labels import Label, Labels
from stillwatch.verdict import Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.examine import Scanned
    from stillwatch.judging import Judged

DECIDES = 0.5
"""Share of a campaign's exchanges that families with one decision must hold for it to be the campaign's."""


@dataclass(frozen=True, slots=True)
class Matched:
    """Standing decisions by what they are about in this scan."""

    groups: dict[int, Label]
    """The decision on each group that has one: the last on families with most of it, by themselves or by its campaign."""

    families: dict[int, Label]
    """The decision on each family that has one of its own."""

    principals: dict[tuple[int, int], Label]
    """The decision on a principal in a group, by (group, principal)."""

    accounts: dict[tuple[int, int], Label]
    """The decision on an account that is no principal of a group and has end users in it, by (group, account)."""

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

    cleared: Cleared
    """Whom a group would accuse, and why it does not."""


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
    families: dict[int, Label] = {}
    by_name: dict[int, Label] = {}
    unmatched = 0
    for label in labels.about_groups():
        campaign_id, family_id, _, _ = label.subject
        if family_id in place:
            families[place[family_id]] = label
        elif campaign_id in campaign:
            by_name[campaign[campaign_id]] = label
        else:
            unmatched += 1
    principals, accounts, strangers = _of_people(scanned, groups, place, campaign_ids, labels)
    found = _of_groups(scanned, families, by_name)
    return Matched(found, families, principals, accounts, len(labels.labels), unmatched + strangers)


def _of_people(
    scanned: Scanned,
    groups: Sequence[Judged],
    place: Mapping[str, int],
    campaign_ids: Sequence[str],
    labels: Labels,
) -> tuple[dict[tuple[int, int], Label], dict[tuple[int, int], Label], int]:
    """Decisions on principals and on accounts, as :class:`Matched` has them, and how many are on nobody who takes part.

    ``place``: number of each family by name.
    """
    principals: dict[tuple[int, int], Label] = {}
    accounts: dict[tuple[int, int], Label] = {}
    unmatched = 0
    members = _memberships(scanned, groups)
    for label in labels.about_principals():
        campaign_id, family_id, account, user = label.subject
        family = place.get(family_id or "")
        group_of = None if family is None else int(scanned.groups.label[family])
        about = {
            group: places
            for group, places in members.get(str(account), {}).items()
            if campaign_id in (None, campaign_ids[group]) and (family_id is None or group == group_of)
        }
        for group, places in about.items():
            if user in places:
                principals[group, places[user]] = label
            elif user is None:
                accounts[group, int(scanned.principals.account[next(iter(places.values()))])] = label
        unmatched += not any(user is None or user in places for places in about.values())
    return principals, accounts, unmatched


def hold_back(groups: Sequence[Judged], matched: Matched, least: int) -> HeldBack:
    """Make accusations that people cleared before undetermined, and leave cleared principals out of the others.

    ``least``: principals without whom there is no campaign.
    """
    ruled, accusing = [], []
    cleared: dict[tuple[int, int], str] = {}
    clearing = {place: label for place, label in matched.principals.items() if label.clears}
    for number, judged in enumerate(groups):
        out = judged.part & np.array([(number, p) in clearing for p in judged.principals.tolist()], bool)
        kept = _ruled(judged, matched.groups.get(number), judged.part & ~out, least)
        ruled.append(kept)
        if kept.ruling.verdict is not Verdict.EXTRACTION:
            accusing.append(kept)
            continue
        accusing.append(replace(kept, part=kept.part & ~out))
        for principal in judged.principals[out].tolist():
            cleared[number, principal] = (
                f"{_said(clearing[number, principal])} of this principal, and that stands"
            )
    accounts = {
        place: f"{_said(label)} of this account, and that stands"
        for place, label in matched.accounts.items()
        if label.clears
    }
    return HeldBack(ruled, accusing, Cleared(cleared, accounts))


def _ruled(judged: Judged, label: Label | None, left: NDArray[np.bool_], least: int) -> Judged:
    """A group after the decision on it, ``left`` being who takes part and was not cleared."""
    if judged.ruling.verdict is not Verdict.EXTRACTION:
        return judged
    if label is not None and label.clears:
        reason = f"{_said(label)} of it, and that stands"
    elif left.sum() < min(least, judged.part.sum()):
        reason = f"people cleared all but {left.sum()} of those who take part"
    else:
        return judged
    ruling = replace(judged.ruling, verdict=Verdict.UNDETERMINED, reasons=(reason, *judged.ruling.reasons))
    return replace(judged, ruling=ruling)


def _said(label: Label) -> str:
    appealed = " on appeal" if label.appeal == "reversed" else ""
    return f"people decided {label.standing}{appealed} on {label.decided_at:%Y-%m-%d}"


def _of_groups(scanned: Scanned, families: dict[int, Label], campaigns: dict[int, Label]) -> dict[int, Label]:
    """The decision that families with most of a group's exchanges have in common; the last of them stands for it.

    A decision on a campaign is one on each of its families, and of two on one family the later one counts. Families that
    were cleared in other words were cleared.
    """
    label, core = scanned.groups.label, scanned.groups.core
    count = np.bincount(scanned.families.family, minlength=len(scanned.families.names))
    whole: Counter[int] = Counter()
    held: Counter[tuple[int, str]] = Counter()
    last: dict[tuple[int, str], Label] = {}
    concerned = {int(label[family]) for family in families} | campaigns.keys()
    for family in np.flatnonzero(core & np.isin(label, list(concerned))).tolist():
        group, exchanges = int(label[family]), int(count[family])
        whole[group] += exchanges
        said = [one for one in (families.get(family), campaigns.get(group)) if one is not None]
        if not said:
            continue
        decision = max(said, key=lambda one: one.order)
        kind = group, "cleared" if decision.clears else str(decision.standing)
        held[kind] += exchanges
        last[kind] = max(last.get(kind, decision), decision, key=lambda one: one.order)
    return {kind[0]: last[kind] for kind, exchanges in held.items() if exchanges > DECIDES * whole[kind[0]]}


def _memberships(scanned: Scanned, groups: Iterable[Judged]) -> dict[str, dict[int, dict[str | None, int]]]:
    """Who takes part in what: by account and group, the numbers of its principals by end user."""
    found: dict[str, dict[int, dict[str | None, int]]] = {}
    for number, judged in enumerate(groups):
        for principal in judged.taking_part.tolist():
            account, user = scanned.principals.name(principal)
            found.setdefault(account, {}).setdefault(number, {})[user] = principal
    return found
