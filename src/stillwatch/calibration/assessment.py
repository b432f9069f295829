"""How right the accusations were, by what people decided: precision, recall and calibration."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from stillwatch.calibration.intervals import LEVEL, interval, upper_limit
from stillwatch.calibration.labels import CLEARED, Label, Standing
from stillwatch.calibration.shadow import CLOSED
from stillwatch.evidence import posterior
from stillwatch.verdict import Verdict

if TYPE_CHECKING:
    from stillwatch.calibration.decisions import Matched
    from stillwatch.examine import Options, Scanned
    from stillwatch.judging import Judged

BINS = (0.05, 0.35, 0.65, 0.95)
"""Probabilities between which calibration is looked at: outside of them hardly any number of labels is enough."""

LEAST_LABELS = 20
"""Decided subjects in between, below which calibration is not reported."""


def assess_labels(
    scanned: Scanned, groups: Sequence[Judged], matched: Matched, verdicts: Sequence[str], options: Options
) -> dict[str, Any]:
    """What the decisions say of this scan, as it stands in ``overview.json``.

    ``groups``: as they were judged before the decisions were heeded; ``verdicts``: of each family, likewise.
    """
    accused = [number for number, judged in enumerate(groups) if judged.ruling.verdict is Verdict.EXTRACTION]
    of_people = [*matched.principals.items(), *matched.accounts.items()]
    principals = [label for (group, _), label in of_people if group in accused]
    return {
        "read": matched.labels,
        "unmatched": matched.unmatched,
        "campaigns": _precision([matched.groups[number] for number in accused if number in matched.groups]),
        "principals": _counts(principals),
        "appeals": _appeals(options.labels.labels if options.labels else ()),
        "recall": _recall(scanned, matched, verdicts, accused),
        "calibration": _calibration(scanned, groups, matched, options),
    }


def _counts(labels: Sequence[Label]) -> dict[str, Any]:
    return {
        "extraction": sum(label.standing is Standing.EXTRACTION for label in labels),
        "cleared": sum(label.clears for label in labels),
        "open": sum(label.standing in (Standing.UNSURE, Standing.OVERTURNED) for label in labels),
    }


def _appeals(labels: Sequence[Label]) -> dict[str, Any]:
    """Answers to appeals, whether this scan has the subject or not; the share that was reversed with exact limits.

    It speaks for those who appealed, and they are not drawn at random.
    """
    answers = [label.appeal for label in labels if label.appeal is not None]
    lost = answers.count("reversed")
    low, high = interval(lost, len(answers)) if answers else (None, None)
    share = lost / len(answers) if answers else None
    return {
        "upheld": len(answers) - lost,
        "reversed": lost,
        "share_reversed": share,
        "low": low,
        "high": high,
    }


def _precision(labels: Sequence[Label]) -> dict[str, Any]:
    """Share of the decided accusations that people confirmed, with exact limits (Clopper & Pearson 1934)."""
    counts = _counts(labels)
    right, decided = counts["extraction"], counts["extraction"] + counts["cleared"]
    if not decided:
        return counts | {"precision": None, "low": None, "high": None}
    low, high = interval(right, decided)
    return counts | {"precision": right / decided, "low": low, "high": high}


def _recall(
    scanned: Scanned, matched: Matched, verdicts: Sequence[str], accused: Sequence[int]
) -> dict[str, Any] | None:
    """Share of the extraction families that were accused, what was missed estimated from the shadow labels."""
    shadow = [
        (label, label.inclusion_probability)
        for family, label in matched.families.items()
        if label.inclusion_probability is not None and verdicts[family] not in CLOSED
    ]
    if not shadow:
        return None
    wrong = {number for number in accused if number in matched.groups and matched.groups[number].clears}
    of_group = scanned.groups.label.tolist()
    found = sum(
        verdict == Verdict.EXTRACTION and group not in wrong
        for verdict, group in zip(verdicts, of_group, strict=True)
    )
    missed, most = estimate_missed([(label.standing, chance) for label, chance in shadow])
    below = sum(verdict not in CLOSED for verdict in verdicts)
    return {
        "accused_families": found,
        "shadow_labels": len(shadow),
        "missed_families": missed,
        "missed_at_most": min(most, float(below)),
        "recall": found / (found + missed) if found + missed else None,
        "low": found / (found + min(most, below)) if found + most else None,
        "covered": sum(1 / chance for _, chance in shadow) / below if below else None,
    }


def estimate_missed(labels: Sequence[tuple[Standing, float]]) -> tuple[float, float]:
    """Extraction families below the threshold, from labels of a shadow sample with their inclusion probabilities.

    The estimate is the sum of one over the probability of each that is extraction (Horvitz & Thompson 1952); the
    upper limit adds exact limits of the strata, which their probabilities tell apart, each at a level that makes
    the sum hold with 95% (Bonferroni). What people are unsure of counts for the limit and not for the estimate.
    """
    estimate = sum(1 / chance for standing, chance in labels if standing is Standing.EXTRACTION)
    chances = sorted({chance for _, chance in labels})
    most = 0.0
    for chance in chances:
        stratum = [standing for standing, own in labels if own == chance]
        events = sum(standing not in CLEARED for standing in stratum)
        level = 1 - (1 - LEVEL) / len(chances)
        # A stratum that was taken whole is known.
        rate = events / len(stratum) if chance == 1 else upper_limit(events, len(stratum), level)
        most += rate * len(stratum) / chance
    return estimate, max(most, estimate)


def _calibration(
    scanned: Scanned, groups: Sequence[Judged], matched: Matched, options: Options
) -> list[dict[str, Any]] | None:
    """Predicted and observed share of extraction among decided groups and families, by probability.

    Families are drawn with chances that depend on their bits, which hardly differ within a bin, so they count
    alike.
    """
    decided = [(groups[number].ruling.probability, label) for number, label in matched.groups.items()]
    decided += [
        (posterior(float(scanned.by_family.total[family]), options.bar.prior), label)
        for family, label in matched.families.items()
        if int(scanned.groups.label[family]) not in matched.groups
    ]
    known = [
        (probability, label.standing is Standing.EXTRACTION)
        for probability, label in decided
        if BINS[0] <= probability <= BINS[-1] and label.standing in (Standing.EXTRACTION, *CLEARED)
    ]
    if len(known) < LEAST_LABELS:
        return None
    result = []
    for low, high in pairwise(BINS):
        inside = [(p, right) for p, right in known if low <= p < high or p == high == BINS[-1]]
        right = sum(right for _, right in inside)
        limits = interval(right, len(inside)) if inside else (None, None)
        result.append(
            {
                "from": low,
                "to": high,
                "labels": len(inside),
                "predicted": sum(p for p, _ in inside) / len(inside) if inside else None,
                "observed": right / len(inside) if inside else None,
                "low": limits[0],
                "high": limits[1],
            }
        )
    return result
