"""The finding in four sentences: what was found, how sure, what speaks against, and in one line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from stillwatch.report.wording import (
    count,
    log_odds_bits,
    number_word,
    one_in,
    percent,
    period,
    quantity,
    share,
    signed_bits,
    spoken,
    threshold_of,
)

ORDER = ("extraction", "undetermined")

MORE_THAN_BITS = ", a text that asks for training data, and conduct as of one hand"
"""What an accusation takes beside the bits, for a reader who meets an innocent family that has them."""


@dataclass(frozen=True, slots=True)
class Headline:
    """What a reader must know first; each field is plain text."""

    title: str
    """The finding in one line."""
    found: str
    """What was found, with its size."""
    certainty: str
    """How sure, and how that moves with the prior."""
    against: str
    """What speaks against it."""


def in_order(campaigns: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Extraction first, then what is undetermined, then the rest; the larger before the smaller."""

    def rank(campaign: Mapping[str, Any]) -> tuple[int, int, float, str]:
        verdict = campaign["verdict"]
        place = ORDER.index(verdict) if verdict in ORDER else len(ORDER)
        return place, -campaign["scale"]["exchanges"], -campaign["probability"], campaign["campaign_id"]

    return sorted(campaigns, key=rank)


def headline(overview: Mapping[str, Any], campaigns: Sequence[Mapping[str, Any]]) -> Headline:
    """Sum the result up, for the head of the page and of the terminal summary."""
    accused = [campaign for campaign in in_order(campaigns) if campaign["verdict"] == "extraction"]
    open_cases = [campaign for campaign in campaigns if campaign["verdict"] == "undetermined"]
    title = f"{number_word(len(accused))} extraction campaign{'' if len(accused) == 1 else 's'} found"
    if not accused:
        return Headline(title, *_nothing_found(overview, open_cases))
    return Headline(
        title,
        _found(overview, accused, open_cases),
        _certainty(overview, accused),
        _against(overview, accused),
    )


def strongest_against(campaign: Mapping[str, Any]) -> str:
    """The first thing that speaks against a verdict, or that nothing measured does."""
    if campaign["counter_evidence"]:
        return str(campaign["counter_evidence"][0])
    contrary = [item for item in campaign["evidence"] if item["bits"] < 0 and item["signal"] != "start"]
    if contrary:
        return str(min(contrary, key=lambda item: (item["bits"], item["signal"]))["reason"])
    silent = len(campaign["silent"])
    unmeasured = f"; {quantity(silent, 'signal')} could not be measured" if silent else ""
    return f"No measured signal does{unmeasured}."


def objectives(campaign: Mapping[str, Any], most: int = 3) -> str:
    """The training objectives of a campaign, largest first, as words."""
    ranked = sorted(campaign["intent"]["objectives"], key=lambda item: (-item["share"], item["name"]))
    named = [item for item in ranked if item["share"] > 0 and item["name"] != "none"]
    words = [f"{spoken(item['name'])} {share(item['share'])}" for item in named[:most]]
    return ", ".join(words) or "no training objective recognised"


def _found(
    overview: Mapping[str, Any],
    accused: Sequence[Mapping[str, Any]],
    open_cases: Sequence[Mapping[str, Any]],
) -> str:
    exchanges = sum(campaign["scale"]["exchanges"] for campaign in accused)
    accounts = sum(campaign["scale"]["accounts"] for campaign in accused)
    principals = sum(campaign["scale"]["principals"] for campaign in accused)
    whole = overview["log"]["exchanges"]
    part = f" ({share(exchanges / whole)} of the log)" if whole else ""
    senders = quantity(accounts, "account")
    if principals != accounts:
        senders = f"{quantity(principals, 'principal')} of {senders}"
    dates = period(
        min(campaign["first_seen"] for campaign in accused),
        max(campaign["last_seen"] for campaign in accused),
    )
    verb = "It" if len(accused) == 1 else "Together they"
    text = f"{verb} sent {count(exchanges)} exchanges{part} through {senders}, {dates}{_asked_for(accused)}."
    return text + _undetermined(len(open_cases), " more")


def _asked_for(accused: Sequence[Mapping[str, Any]], most: int = 3) -> str:
    """What the campaigns ask for, the commonest first."""
    sizes: dict[str, float] = {}
    for campaign in accused:
        for item in campaign["intent"]["objectives"]:
            if item["name"] != "none" and item["share"] >= 0.05:
                weight = item["share"] * campaign["scale"]["exchanges"]
                sizes[item["name"]] = sizes.get(item["name"], 0.0) + weight
    ranked = sorted(sizes, key=lambda name: (-sizes[name], name))
    if not ranked:
        return ""
    more = f" and {quantity(len(ranked) - most, 'more kind')}" if len(ranked) > most else ""
    return f", asking for what a model is trained on: {', '.join(map(spoken, ranked[:most]))}{more}"


def _undetermined(number: int, more: str = "") -> str:
    if not number:
        return ""
    noun = "group of accounts remains" if number == 1 else "groups of accounts remain"
    return (
        f" {number_word(number)}{more} {noun} undetermined and {'is' if number == 1 else 'are'} not accused."
    )


def _certainty(overview: Mapping[str, Any], accused: Sequence[Mapping[str, Any]]) -> str:
    ranked = sorted(accused, key=lambda campaign: (campaign["probability"], campaign["campaign_id"]))
    weakest = ranked[0]
    span = _span([campaign["probability"] for campaign in accused])
    threshold = threshold_of(weakest, overview)
    takes = _span([threshold_of(campaign, overview) for campaign in accused])
    text = (
        f"Probability {span}, if {one_in(overview['prior'])} such groups "
        f"is a campaign before looking (the prior); an accusation takes {takes}."
    )
    rarer = min(weakest["posterior"], key=lambda item: item["prior"], default=None)
    if rarer is None or rarer["prior"] >= overview["prior"]:
        return text
    subject = "it" if len(accused) == 1 else f"the least certain, {weakest['campaign_id']},"
    holds = "and still be accused" if rarer["probability"] >= threshold else "and not be accused"
    return (
        f"{text} Were campaigns as rare as {one_in(rarer['prior'])}, {subject} would stand at "
        f"{percent(rarer['probability'])} {holds}."
    )


def _span(probabilities: Sequence[float]) -> str:
    """The least and the highest, or one where a reader sees no difference."""
    low, high = percent(min(probabilities)), percent(max(probabilities))
    return low if low == high else f"{low} to {high}"


def _against(overview: Mapping[str, Any], accused: Sequence[Mapping[str, Any]]) -> str:
    weakest = min(accused, key=lambda campaign: (campaign["probability"], campaign["campaign_id"]))
    prefix = "" if len(accused) == 1 else f"On {weakest['campaign_id']}: "
    text = prefix + strongest_against(weakest)
    return f"{text.rstrip('.')}. {_closest(overview)}".strip()


def _closest(overview: Mapping[str, Any]) -> str:
    least = log_odds_bits(overview["threshold_probability"]) - log_odds_bits(overview["prior"])
    standing = [  # results of before doubts were counted have one threshold for all
        (float(item.get("needed_bits", least)), item) for item in overview["innocent"]
    ]
    if not standing:
        return ""
    needed, nearest = min(standing, key=lambda one: (one[0] - one[1]["evidence_bits"], one[1]["family_id"]))
    return (
        f"The innocent family that came closest, {nearest['family_id']} ({spoken(nearest['verdict'])}), "
        f"has {signed_bits(nearest['evidence_bits'])} bits of evidence; "
        f"an accusation takes {signed_bits(needed)}{'' if nearest['evidence_bits'] < needed else MORE_THAN_BITS}."
    )


def _nothing_found(
    overview: Mapping[str, Any], open_cases: Sequence[Mapping[str, Any]]
) -> tuple[str, str, str]:
    log = overview["log"]
    threshold = percent(overview["threshold_probability"])
    found = (
        f"{quantity(overview['families']['total'], 'family')} of shared text in {count(log['exchanges'])} "
        f"exchanges were judged; none was accused, which takes {threshold} or more."
        + _undetermined(len(open_cases))
    )
    certainty = (
        "A scan that finds nothing does not prove that nothing is there: a campaign that is small, or spread "
        "over few accounts, may stay below the threshold."
    )
    missing = log["columns_missing"]
    against = f"The log lacks {', '.join(missing)}; signals that need them were silent. " if missing else ""
    return found, certainty, (against + _closest(overview)).strip() or "Every signal could be measured."
