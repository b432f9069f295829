"""From a detected campaign to a price: what share of the teacher's gain a transcript like its own buys in the lab.

The measured curves of the experiments ship with the package as ``curves.json``: the share of every
seed at every count of exchanges, by objective. A campaign has a mix of objectives, a count of matched exchanges, and
a part of them that is repeats; the curves of the nearest objectives are read at its count. This needs no torch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stillwatch.lab.measures import Estimate, Numbers, exchanges_to_share, mean_by_seed

LEAKED = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0)
"""Shares of a campaign's exchanges after which it might have been stopped."""
WORDING = 0.05  # a family is a wording of its own from this share of the matched exchanges on
NEAREST: Mapping[str, tuple[str, bool]] = {
    "elicited_reasoning": ("elicited", True),
    "rubric_grading": ("graded", True),
    "pairwise_preference": ("graded", False),
    "agentic_trajectory": ("tools", True),
    "coding_drill": ("answers", True),
    "maths_drill": ("answers", True),
    "data_analysis": ("answers", True),
    "instruction_generation": ("answers", False),
    "safe_rewriting": ("answers", False),
    "refusal_probing": ("refusals", True),
    "style_imitation": ("answers", False),
}
"""Curve of each objective, and whether the curve was measured on what the objective asks for."""
OTHERWISE = "answers"


class ValuationError(Exception):
    """A campaign that cannot be valued; the text says what is missing and what to do."""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What a campaign got, as a scan found it."""

    campaign_id: str
    exchanges: int
    """Matched exchanges of the campaign."""
    wordings: int
    """Families that hold at least a twentieth of them each."""
    distinct: float | None
    """Share of what fills its templates that only one principal sent; none where the scan could not measure it."""
    objectives: Mapping[str, float]
    """Share of the exchanges by what they ask for."""

    @property
    def counted(self) -> int:
        """Exchanges without those that may be repeats: the lab's students were asked nothing twice."""
        return round(self.exchanges * (1.0 if self.distinct is None else self.distinct))


@dataclass(frozen=True, slots=True)
class Price:
    """What a number of exchanges buys."""

    leaked: float
    """Share of the campaign's exchanges."""
    exchanges: int
    share: Estimate
    """Share of the teacher's gain: mean of the students of all seeds, and its interval."""
    least: float
    most: float
    """The lowest and the highest of the seeds."""
    beyond: str
    """Where the count lies: inside of what was measured, below it, or above it."""


@dataclass(frozen=True, slots=True)
class Valuation:
    """The price of a campaign, and what it might have been."""

    transcript: Transcript
    curves: Mapping[str, float]
    """Curves that were read and their weights."""
    half: Mapping[str, float]
    """Exchanges to half of the gain on each of them, in the lab."""
    prices: tuple[Price, ...]
    caveats: tuple[str, ...]
    """What is extrapolated."""


@cache
def measured_curves() -> Mapping[str, Any]:
    """The shipped curves by name: ``what``, ``exchanges``, and ``shares`` [counts][seeds]."""
    found: Mapping[str, Any] = json.loads(files("stillwatch.lab").joinpath("curves.json").read_text("utf-8"))
    return found


def read_transcript(folder: Path, campaign_id: str) -> Transcript:
    """What a campaign of a scan's result got.

    Raises:
        ValuationError: there is no result, or no such campaign in it.
    """
    for name in ("campaigns.json", "matches.parquet"):
        if not (folder / name).is_file():
            raise ValuationError(
                f"{folder} has no {name}; give the folder that stillwatch scan wrote with --out"
            )
    campaigns = json.loads((folder / "campaigns.json").read_text("utf-8"))
    found = next((each for each in campaigns if each["campaign_id"] == campaign_id), None)
    if found is None:
        known = ", ".join(each["campaign_id"] for each in campaigns) or "none"
        raise ValuationError(f"no campaign {campaign_id!r} in {folder}; it has {known}")
    matches = pq.read_table(folder / "matches.parquet", filters=pc.field("campaign_id") == campaign_id)
    return transcript_of(found, matches["family_id"].value_counts().field("counts").to_pylist())


def transcript_of(found: Mapping[str, Any], matched: Sequence[int]) -> Transcript:
    """What a campaign got, from its dossier and the matched exchanges of each of its families."""
    # A campaign that is only suspected has no matches; its exchanges are counted in its dossier.
    exchanges = sum(matched) or int(found["scale"]["exchanges"])
    return Transcript(
        campaign_id=found["campaign_id"],
        exchanges=exchanges,
        wordings=max(1, sum(count >= WORDING * exchanges for count in matched)),
        distinct=found["intent"]["coverage"],
        objectives={row["name"]: float(row["share"]) for row in found["intent"]["objectives"]},
    )


def value(transcript: Transcript, half: float | None = None) -> Valuation:
    """Read the nearest curves at the campaign's count, and at each share of it.

    Args:
        transcript: what the campaign got.
        half: exchanges that buy half of the gain in a task of one's own, if that was measured; the curves are
            stretched to it. Without it one exchange counts as one of the lab's.
    """
    weights = _weights(transcript.objectives)
    curves = measured_curves()
    halves = {name: _half(curves[name]) for name in weights}
    prices = []
    for leaked in LEAKED:
        count = max(1, round(leaked * transcript.counted))
        stretched = {name: count * (halves[name] / half if half else 1.0) for name in weights}
        by_seed = sum(weight * _shares_at(curves[name], stretched[name]) for name, weight in weights.items())
        share = mean_by_seed(np.asarray(by_seed))
        prices.append(
            Price(
                leaked, count, share, float(np.min(by_seed)), float(np.max(by_seed)),
                _beyond([(curves[name], stretched[name]) for name in weights]),
            )
        )  # fmt: skip
    return Valuation(transcript, weights, halves, tuple(prices), tuple(_caveats(transcript, prices, half)))


def _weights(objectives: Mapping[str, float]) -> dict[str, float]:
    """Curves by weight: the shares of the objectives, and answers where a scan named none."""
    found: dict[str, float] = {}
    for name, share in objectives.items():
        curve, _ = _nearest(name)
        found[curve] = found.get(curve, 0.0) + share
    total = sum(found.values())
    return {name: weight / total for name, weight in found.items()} if total else {OTHERWISE: 1.0}


def _nearest(objective: str) -> tuple[str, bool]:
    """Curve of an objective, and whether it was measured on what the objective asks for."""
    curve, own = NEAREST.get(objective, (OTHERWISE, False))
    return (curve, own) if curve in measured_curves() else (OTHERWISE, False)


def _half(curve: Mapping[str, Any]) -> float:
    """Exchanges to half of the gain, of the mean of the seeds; the largest count where it never gets there."""
    means = np.mean(curve["shares"], axis=1).tolist()
    return min(exchanges_to_share(curve["exchanges"], means), float(curve["exchanges"][-1]))


def _shares_at(curve: Mapping[str, Any], count: float) -> Numbers:
    """Share of every seed at a count: between points on a log scale, from nothing up to the first, flat after the last.

    >>> curve = {"exchanges": [100, 400], "shares": [[0.2, 0.4], [0.6, 0.8]]}
    >>> [_shares_at(curve, count).round(3).tolist() for count in (50, 200, 1000)]
    [[0.1, 0.2], [0.4, 0.6], [0.6, 0.8]]
    """
    points, shares = curve["exchanges"], np.array(curve["shares"], dtype=float)
    if count <= points[0]:
        below: Numbers = shares[0] * count / points[0]
        return below
    place = min(int(np.searchsorted(points, count)), len(points) - 1)
    part = np.log(count / points[place - 1]) / np.log(points[place] / points[place - 1])
    result: Numbers = shares[place - 1] + min(1.0, float(part)) * (shares[place] - shares[place - 1])
    return result


def _beyond(read: Sequence[tuple[Mapping[str, Any], float]]) -> str:
    if any(count > curve["exchanges"][-1] for curve, count in read):
        return "above"
    return "below" if any(count < curve["exchanges"][0] for curve, count in read) else ""


def _caveats(transcript: Transcript, prices: Sequence[Price], half: float | None) -> list[str]:
    """What is not measured about this campaign, in sentences."""
    found = [
        "The curves are those of small models in a small world; that a large model's campaign follows them is an "
        "extrapolation."
    ]
    if half is None:
        found.append(
            "One exchange of the log counts as one of the lab, where a task is learned with a few hundred exchanges; give "
            "--half with the exchanges that buy half of the gain in your task, if you measured that."
        )
    else:
        found.append(
            f"The curves are stretched so that {half:,.0f} exchanges buy half of the gain, as was given."
        )
    foreign = sorted(name for name in transcript.objectives if not _nearest(name)[1])
    if foreign:
        named = ", ".join(name.replace("_", " ") for name in foreign)
        found.append(f"No curve was measured for {named}; the nearest one is read.")
    if not transcript.objectives:
        found.append("The scan named no objective; the curve of answers is read.")
    if any(price.beyond == "above" for price in prices):
        found.append(
            "Above the largest measured count the curve is held flat: the student has that much or more."
        )
    if any(price.beyond == "below" for price in prices):
        found.append("Below the smallest measured count the curve is a straight line from nothing.")
    if transcript.distinct is None:
        found.append("How many exchanges are repeats could not be measured; all are counted.")
    return found
