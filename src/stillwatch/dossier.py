"""The dossier of a campaign: consent, scale and intent apart, evidence in bits, what speaks against, and
who."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stillwatch.corroboration import SIGNAL
from stillwatch.distinct import distinct
from stillwatch.doubts import ONE_PAYER, doubts_of
from stillwatch.evidence import INTENT, PRIORS, START, Evidence, load_weights, posterior
from stillwatch.exchange import COLUMNS
from stillwatch.history import by_objective, iso, replaced
from stillwatch.judging import places_of
from stillwatch.objective.classes import OBJECTIVES
from stillwatch.report.wording import percent, spoken
from stillwatch.signals import all_signals
from stillwatch.spool import at_rows, chunks_of
from stillwatch.verdict import Verdict, needed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.examine import Options, Scanned
    from stillwatch.family_rows import FamilyRows
    from stillwatch.judging import Judged

CLOSEST = 3

_SKETCHED_AS = {
    "account_created_at": "account_created_us",
    "temperature": "temperature_milli",
    "conversation_id": "conversation",
    "tls_fingerprint": "tls",
    "payment_fingerprint": "payment",
}
_NOT_SKETCHED = frozenset({"completion", "reasoning", "tools", "status"})


@dataclass(frozen=True, slots=True)
class Context:
    """Everything that a dossier draws on."""

    scanned: Scanned
    options: Options
    groups: list[Judged]
    campaign_ids: list[str]
    family_rows: FamilyRows
    innocent: list[tuple[int, float]]
    """Innocent families with the bits that an accusation of each takes, the closest first."""

    exemplars: Mapping[int, list[dict[str, Any]]]
    models: list[dict[str, Any]]
    """Exchanges of each model in the log."""

    missing: set[str]
    """Columns of the exchange table that the log lacks."""

    shared: Mapping[int, dict[str, Any]]
    """What the principals of a campaign have in common beside the text."""


def describe(context: Context, group: int) -> dict[str, Any]:
    """The campaign of one group, as it stands in ``campaigns.json``."""
    scanned, judged = context.scanned, context.groups[group]
    places = places_of(scanned, judged, group)
    rows, asked = scanned.merged.row[places], scanned.merged.objective[places]
    evidence = _evidence(context, group)
    families = [
        {
            key: value
            for key, value in context.family_rows[family].items()
            if key in ("family_id", "role", "exchanges", "principals", "objective")
        }
        for family in np.flatnonzero(scanned.groups.label == group).tolist()
    ]
    at = scanned.sketches["at_us"].to_numpy()[rows]
    total = float(judged.case.bits)
    return {
        "campaign_id": context.campaign_ids[group],
        "verdict": str(judged.ruling.verdict),
        "probability": judged.ruling.probability,
        "evidence_bits": total,
        "prior": context.options.bar.prior,
        "threshold_probability": posterior(
            needed(context.options.bar, judged.case.doubted), context.options.bar.prior
        ),
        "posterior": [{"prior": prior, "probability": posterior(total, prior)} for prior in PRIORS],
        "first_seen": iso(int(at.min())),
        "last_seen": iso(int(at.max())),
        "consent": _consent(context, judged),
        "scale": _scale(context, rows, judged),
        "intent": _intent(context, group, asked),
        "evidence": [asdict(item) | {"innocent_range": _innocent_range(item.signal)} for item in evidence],
        "silent": _silent(context, group),
        "families": sorted(families, key=lambda row: (-row["exchanges"], row["family_id"])),
        "peers": [judged.word.as_json(context.campaign_ids[group], str(judged.ruling.verdict))]
        if judged.word
        else [],
        "links": _links(context, group),
        "infrastructure": context.shared[group],
        "timeline": _timeline(context, judged, at, asked),
        "principals": _principals(context, judged),
        "principals_cut": 0,
        "exemplars": context.exemplars.get(group, []),
        "reasons": [*judged.ruling.reasons, *(item.reason for item in evidence if item.bits >= 0.5)],
        "counter_evidence": [item.reason for item in evidence if item.bits <= -0.1 and item.signal != START],
        "closest_innocent": [innocent_family(context, *one) for one in context.innocent[:CLOSEST]],
        "would_change": _would_change(context, group, evidence),
    }


def _evidence(context: Context, group: int) -> list[Evidence]:
    """This log's own evidence, the weightiest first, and a peer's word beside it."""
    evidence = context.scanned.by_group.explain(group)
    if (word := context.groups[group].word) is not None:
        evidence.append(Evidence(SIGNAL, word.share, len(word.template.sketch), word.bits, word.reason))
    return sorted(evidence, key=lambda item: (-abs(item.bits), item.signal))


def models_of(scanned: Scanned, rows: NDArray[np.integer[Any]] | None = None) -> list[dict[str, Any]]:
    """Exchanges of each model, the most frequent first: of some rows, or of the log."""
    column = scanned.sketches["model"]
    counts = (column if rows is None else column.take(pa.array(rows))).value_counts().to_pylist()
    ordered = sorted(counts, key=lambda row: (-row["counts"], row["values"] or ""))
    return [{"model": row["values"], "exchanges": row["counts"]} for row in ordered]


def missing_columns(scanned: Scanned) -> set[str]:
    """Columns of the exchange table that are null throughout."""
    sketches = scanned.sketches
    return {
        column.name
        for column in COLUMNS
        if not column.required
        and column.name not in _NOT_SKETCHED
        and (name := _SKETCHED_AS.get(column.name, column.name)) in sketches.column_names
        and all(chunk.null_count == len(chunk) for chunk in chunks_of(sketches, name))
    }


def releases(context: Context) -> list[dict[str, str]]:
    """Models of the log and when they were released, as the scan was told."""
    held = {row["model"] for row in context.models}
    return [
        {"model": model, "at": at.astimezone(dt.UTC).isoformat()}
        for model, at in sorted(context.options.releases.items())
        if model in held
    ]


def _consent(context: Context, judged: Judged) -> dict[str, str]:
    principals, registry = context.scanned.principals, context.options.registry
    part = judged.taking_part.tolist()
    declared = sum(
        registry.declares(principals.name(p)[0], principals.organization_id[p].as_py()) for p in part
    )
    if declared:
        return {
            "status": "declared",
            "reason": (
                f"the registry names {declared:,} of its {len(part):,} principals, without a licence that "
                "was valid"
            ),
        }
    if context.options.unsupported_regions:
        outside = _outside(context, part)
        if outside >= 0.5:
            return {
                "status": "unsupported_region",
                "reason": f"{outside:.0%} of its principals call mostly from regions that are not served",
            }
    named = sum(principals.organization_id[p].is_valid for p in part)
    return {
        "status": "unknown",
        "reason": (
            f"no licence is on file; {named:,} of its {len(part):,} principals belong to a named organization"
        ),
    }


def _outside(context: Context, part: list[int]) -> float:
    country = context.scanned.sketches["country"].combine_chunks()
    outside = pa.compute.is_in(
        country, value_set=pa.array(sorted(context.options.unsupported_regions), pa.string())
    )
    share = np.bincount(context.scanned.principals.of_row, weights=outside.to_numpy(zero_copy_only=False))
    return float(np.mean(share[part] / context.scanned.principals.exchanges[part] >= 0.5)) if part else 0.0


def _scale(context: Context, rows: NDArray[np.int32], judged: Judged) -> dict[str, Any]:
    scanned = context.scanned
    models = models_of(scanned, rows)
    whole = {row["model"]: row["exchanges"] for row in context.models}
    tokens = {
        name: sum(
            int(pa.compute.sum(found).as_py() or 0) for _, found in at_rows(scanned.sketches, name, rows)
        )
        or None
        for name in ("input_tokens", "output_tokens")
    }
    share = len(rows) / scanned.sketches.num_rows
    most = max((row["exchanges"] / whole[row["model"]] for row in models), default=0.0)
    accounts = len(distinct(scanned.principals.account[judged.taking_part]))
    return {
        "exchanges": len(rows),
        **tokens,
        "principals": len(judged.taking_part),
        "accounts": accounts,
        "share_of_traffic": share,
        "models": models,
        "reason": (
            f"{len(rows):,} exchanges by {len(judged.taking_part):,} principals, {share:.2%} of the log and "
            f"up to {most:.2%} of one model's traffic"
        ),
    }


def _intent(context: Context, group: int, scores: NDArray[np.int8]) -> dict[str, Any]:
    """What requests with these ``scores`` (int8[n, objectives]) ask for."""
    best, surely = np.argmax(scores, axis=1), np.max(scores, axis=1) >= 50
    counts = Counter(best[surely].tolist())
    objectives: list[dict[str, Any]] = [
        {"name": OBJECTIVES[index], "share": count / len(scores)} for index, count in counts.most_common()
    ]
    coverage = float(context.scanned.by_group.of("coverage")[group])
    names = ", ".join(row["name"].replace("_", " ") for row in objectives if row["share"] >= 0.05)
    return {
        "objectives": sorted(objectives, key=lambda row: (-row["share"], row["name"])),
        "coverage": None if np.isnan(coverage) else coverage,
        "reason": f"its requests ask for {names}" if names else "its requests name no training objective",
    }


def _innocent_range(signal: str) -> str:
    curve = load_weights().curves.get(signal)
    return "" if curve is None else f"{curve.innocent[0]:.2f} to {curve.innocent[1]:.2f}"


def _silent(context: Context, group: int) -> list[dict[str, str]]:
    missing = context.missing
    result = []
    for signal in all_signals():
        if np.isnan(context.scanned.by_group.of(signal.name)[group]):
            lacking = [name for name in signal.needs if name in missing]
            why = (
                f"the log has no {', '.join(lacking)}" if lacking else "there is too little to measure it on"
            )
            result.append({"signal": signal.name, "why": why})
    return result


def _links(context: Context, group: int) -> list[dict[str, Any]]:
    label, rows = context.scanned.groups.label, context.family_rows
    found = [
        {
            "kind": link.kind,
            "families": [rows[link.first]["family_id"], rows[link.second]["family_id"]],
            "bits": link.bits,
            "reason": link.reason,
        }
        for link in context.scanned.groups.links
        if label[link.first] == group
    ]
    return sorted(found, key=lambda link: (-link["bits"], link["kind"], link["families"]))


def _timeline(
    context: Context, judged: Judged, at: NDArray[np.int64], scores: NDArray[np.int8]
) -> dict[str, Any]:
    principals = context.scanned.principals
    first, last = principals.first_us[judged.taking_part], principals.last_us[judged.taking_part]
    edges = int(principals.first_us.min()), int(principals.last_us.max())
    return {
        **by_objective(at, scores),
        "releases": releases(context),
        "replaced": [iso(begin) for begin in replaced(first, last, *edges)],
    }


def _principals(context: Context, judged: Judged) -> list[dict[str, Any]]:
    principals = context.scanned.principals
    inside = dict(zip(judged.principals.tolist(), judged.exchanges.tolist(), strict=True))
    found = []
    for principal in judged.taking_part.tolist():
        account, user = principals.name(principal)
        found.append(
            {
                "account_id": account,
                "end_user_id": user,
                "exchanges": int(principals.exchanges[principal]),
                "extraction_exchanges": inside[principal],
                "first_seen": iso(int(principals.first_us[principal])),
                "last_seen": iso(int(principals.last_us[principal])),
                "probability": judged.ruling.probability,
            }
        )
    return sorted(found, key=lambda row: (row["account_id"], row["end_user_id"] or ""))


def innocent_family(context: Context, family: int, takes: float) -> dict[str, Any]:
    """An innocent family that is most like a campaign, what an accusation of it takes, and in what it differs."""
    row = context.family_rows[family]
    evidence = context.scanned.by_family.explain(family)
    return {
        **{
            key: row[key]
            for key in ("family_id", "verdict", "evidence_bits", "exchanges", "principals", "reasons")
        },
        "needed_bits": round(takes, 3),
        "differs": [
            item.reason
            for item in sorted(evidence, key=lambda item: item.bits)[:4]
            if item.bits < 0 and item.signal != START
        ][:3],
    }


def _would_change(context: Context, group: int, evidence: list[Evidence]) -> list[str]:
    judged = context.groups[group]
    prior, bits = context.options.bar.prior, judged.case.bits
    takes = needed(context.options.bar, judged.case.doubted)
    result = ["a licence for these accounts' organizations in the registry would make it licensed"]
    strongest = max(evidence, key=lambda item: item.bits, default=None)
    if strongest is not None and strongest.bits > 0:
        without = posterior(bits - strongest.bits, prior)
        even = "even " if bits - strongest.bits >= _takes_without(context, group, strongest.signal) else ""
        result.append(
            f"{even}without the strongest signal ({spoken(strongest.signal)}, {strongest.bits:+.1f} bits) the "
            f"probability would be {percent(without)}"
        )
    if judged.ruling.verdict is Verdict.UNDETERMINED and judged.case.objective >= context.options.bar.intent:
        missing = takes - bits
        if missing > 0:
            result.append(f"{missing:.1f} more bits of evidence would make it extraction")
    if any(item.signal == INTENT for item in evidence):
        result.append(
            "requests that ask for nothing that a model is trained on would make it no extraction, "
            "whoever sends them"
        )
    return result


def _takes_without(context: Context, group: int, signal: str) -> float:
    """Bits that an accusation of a group would take if one signal said nothing: a doubt may come or go with it."""
    doubted, measured = context.groups[group].case.doubts, context.scanned.by_group
    if signal in measured.signals:  # a peer's word is none, and nothing is doubted for it
        silenced = measured.take(np.array([group])).without(signal)
        (doubted,) = doubts_of(silenced, np.array([ONE_PAYER in doubted]))
    return needed(context.options.bar, sum(doubt.times for doubt in doubted))
