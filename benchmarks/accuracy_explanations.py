"""Why a campaign was missed, and why an innocent was accused: the bar that decided, in one line."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from accuracy_truth import Principal, Truth
from stillwatch.evidence import INTENT
from stillwatch.examine import Options, Scanned
from stillwatch.judging import Judged
from stillwatch.verdict import Verdict, needed


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a campaign's exchanges ended up."""

    family: int
    """Family that holds most of them; -1 where none holds any."""

    share: float
    """Share of the campaign's exchanges in that family."""

    own: float
    """Share of that family's exchanges that are the campaign's."""

    group: int
    """The accused group that holds most of the campaign's exchanges, else the group of the family; -1: none."""


def stand(operator: str, truth: Truth, scanned: Scanned, groups: Sequence[Judged]) -> Standing:
    """Find the family and the group that speak for a campaign."""
    planted = among(scanned, truth.planted[operator])
    families = scanned.families
    held = np.bincount(families.family[planted[families.row]], minlength=len(families.names))
    if not held.sum():
        return Standing(-1, 0.0, 0.0, -1)
    largest = int(np.argmax(held))
    accused = np.array([judged.ruling.verdict is Verdict.EXTRACTION for judged in groups], bool)
    streams = np.bincount(scanned.merged.stream[planted[scanned.merged.row]], minlength=len(groups)) * accused
    group = int(np.argmax(streams)) if streams.any() else int(scanned.groups.label[largest])
    return Standing(
        largest,
        float(held[largest] / max(planted.sum(), 1)),
        float(held[largest] / np.count_nonzero(families.family == largest)),
        group,
    )


def strength(standing: Standing, scanned: Scanned, groups: Sequence[Judged]) -> tuple[float, float]:
    """Bits and intent of the stream that speaks for a campaign; NaN where none does."""
    if standing.group >= 0:
        return groups[standing.group].case.bits, groups[standing.group].case.objective
    if standing.family >= 0:
        intent = float(np.nan_to_num(scanned.by_family.of(INTENT)[standing.family]))
        return float(scanned.by_family.total[standing.family]), intent
    return math.nan, math.nan


def explain_miss(
    operator: str,
    truth: Truth,
    scanned: Scanned,
    groups: Sequence[Judged],
    options: Options,
    standing: Standing,
) -> str:
    """Which bar the stream that speaks for a campaign fell short of, or who of it was left out."""
    if standing.family < 0:
        return "No family holds any of its exchanges"
    text = (
        f"Its largest family holds {standing.share:.0%} of its exchanges, and {standing.own:.0%} of that family is "
        "its own"
    )
    if standing.group < 0:
        return f"{text}; never a suspect: {_levels(scanned, standing.family, options)}"
    judged = groups[standing.group]
    if judged.ruling.verdict is Verdict.EXTRACTION:
        return f"{text}; accused, but {_left_out(operator, truth, scanned, groups, standing.group)}"
    return f"{text}; judged {judged.ruling.verdict}: {_bars(judged, options)}{_why(judged)}"


def among(scanned: Scanned, exchanges: set[str]) -> NDArray[np.bool_]:
    """Which exchanges of a log are among some: bool[n]."""
    return np.fromiter((one in exchanges for one in scanned.sketches["exchange_id"].to_pylist()), bool)


def _bars(judged: Judged, options: Options) -> str:
    """Each bar with what the stream shows, those that it misses first."""
    case, bar = judged.case, options.bar
    levels = [
        ("bits", case.bits, needed(bar, sum(one.times for one in case.doubts)), "+.1f"),
        ("intent", case.objective, bar.intent, ".2f"),
        ("conduct", case.conduct, bar.conduct, "+.1f"),
    ]
    missed = [f"{name} {value:{how}} of {least:{how}}" for name, value, least, how in levels if value < least]
    return "missed " + ", ".join(missed) if missed else "no bar of the three is missed"


def _why(judged: Judged) -> str:
    """The first ground of a verdict that no bar explains."""
    shown = judged.ruling.verdict in (Verdict.UNDETERMINED, Verdict.NONE)
    return "" if shown or not judged.ruling.reasons else f" ({judged.ruling.reasons[0]})"


def _levels(scanned: Scanned, family: int, options: Options) -> str:
    bits = float(scanned.by_family.total[family])
    objective = float(np.nan_to_num(scanned.by_family.of("objective")[family]))
    rule = options.suspicion
    levels = [("bits", bits, rule.weak, "+.1f"), ("intent", objective, rule.objective, ".2f")]
    missed = [f"{name} {value:{how}} of {least:{how}}" for name, value, least, how in levels if value < least]
    return "missed " + ", ".join(missed) if missed else "neither bits nor intent is missed"


def _left_out(operator: str, truth: Truth, scanned: Scanned, groups: Sequence[Judged], group: int) -> str:
    """Why principals of an accused campaign are not accused with it."""
    accused: set[int] = set()
    for judged in groups:
        if judged.ruling.verdict is Verdict.EXTRACTION:
            accused.update(judged.taking_part.tolist())
    judged = groups[group]
    inside = dict(zip(judged.principals.tolist(), judged.exchanges.tolist(), strict=True))
    counts: Counter[str] = Counter()
    for principal in range(scanned.principals.count):
        mine = truth.operator.get(scanned.principals.name(principal)) == operator
        if mine and principal not in accused:
            sent = inside.get(principal, 0)
            counts[
                "sent nothing in it" if not sent else "sent it once" if sent == 1 else "sent it too seldom"
            ] += 1
    return "of its principals " + ", ".join(f"{count} {what}" for what, count in counts.most_common())


def explain_accusation(
    sent: dict[Principal, int], campaign: dict[str, Any], inside: Counter[str], truth: Truth
) -> str:
    """Who was accused in error, in whose campaign, and on what evidence.

    ``sent``: exchanges in the campaign of each principal that is accused in error.
    """
    kinds = Counter(truth.population.get(principal, "key with innocent end users") for principal in sent)
    named = ", ".join(f"{count} of {kind}" for kind, count in kinds.most_common())
    operators = {name: count for name, count in inside.items() if name}
    if operators:
        main = max(sorted(operators), key=operators.__getitem__)
        where = f"in the campaign of {main} ({operators[main]} principals of its own)"
    else:
        where = "in a campaign of no operator"
    strongest = sorted(campaign["evidence"], key=lambda item: -item["bits"])[:3]
    evidence = ", ".join(f"{item['signal']} {item['bits']:+.1f}" for item in strongest)
    intent = next((item["value"] for item in campaign["evidence"] if item["signal"] == INTENT), 0.0)
    return (
        f"{named} {where}, each with {median(sent.values()):.0f} exchanges in it (median); intent {intent:.2f}, "
        f"{campaign['evidence_bits']:+.1f} bits, most of them from {evidence}"
    )
