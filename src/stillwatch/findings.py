"""What was found, put into the rows of the contract: accounts, families, matches, campaigns and the
overview."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stillwatch import __version__, dossier
from stillwatch.exemplars import Wanted, collect
from stillwatch.fingerprint import ROLES
from stillwatch.objective.classes import OBJECTIVES
from stillwatch.outputs import ACCOUNTS, FAMILIES, MATCHES, to_table, write_json, write_table
from stillwatch.participants import keeps_own_hours, takes_part
from stillwatch.verdict import Case, Ruling, Verdict, rule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.evidence import Measured
    from stillwatch.keys import Keys
    from stillwatch.rejects import RejectLog
    from stillwatch.scan import Options, Scanned
    from stillwatch.sketching import Source
    from stillwatch.streams import Members

SHOWN = (Verdict.EXTRACTION, Verdict.UNDETERMINED)
"""Verdicts that a person should look at: these groups are campaigns of the result."""

LOOKED_ALIKE = (Verdict.EVALUATION, Verdict.INTEGRATOR, Verdict.SHARED_CLIENT, Verdict.POPULAR_PROMPT)


@dataclass(frozen=True, slots=True)
class Judged:
    """One stream that was ruled on, with the principals in it."""

    ruling: Ruling
    case: Case
    principals: NDArray[np.int32]
    """Principals with an exchange in the stream, ascending."""

    exchanges: NDArray[np.int64]
    """Exchanges of each of them in the stream."""

    part: NDArray[np.bool_]
    """Which of them take part, beyond an exchange or two that anybody might send."""

    @property
    def taking_part(self) -> NDArray[np.int32]:
        """Principals who take part."""
        return self.principals[self.part]


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a scan, as it is written."""

    accounts: pa.Table
    families: pa.Table
    matches: pa.Table
    campaigns: list[dict[str, Any]]
    overview: dict[str, Any]


def state(scanned: Scanned, source: Source, keys: Keys, rejects: RejectLog, options: Options) -> Result:
    """Rule on every group and family and say what was found."""
    groups = judge(scanned, scanned.merged, scanned.groups.judged, scanned.by_group, options)
    families = judge(
        scanned,
        scanned.members,
        np.arange(len(scanned.families.names), dtype=np.int32),
        scanned.by_family,
        options,
    )
    names = scanned.families.identify()
    campaign_ids = _campaign_ids(scanned.groups.label, names, scanned.groups.count)
    matches = _matches(scanned, groups, names, campaign_ids)
    shown = [number for number, judged in enumerate(groups) if judged.ruling.verdict in SHOWN]
    exemplars = _exemplars(scanned, shown, source, keys, options)
    family_rows = _family_rows(scanned, families, groups, names, campaign_ids, options)
    innocent = _closest_innocent(family_rows)
    context = dossier.Context(scanned, options, groups, campaign_ids, family_rows, innocent, exemplars)
    campaigns = [dossier.describe(context, number) for number in shown]
    account_rows = _account_rows(scanned, groups, campaign_ids)
    return Result(
        to_table(account_rows, ACCOUNTS), to_table(family_rows, FAMILIES), matches, campaigns,
        dossier.overview(context, rejects, family_rows, account_rows, __version__, len(source.paths)),
    )  # fmt: skip


def write(result: Result, folder: Path) -> None:
    """Write all files of a result into a folder."""
    from stillwatch.report.page import render

    write_table(result.accounts, folder / "accounts.parquet")
    write_table(result.families, folder / "families.parquet")
    write_table(result.matches, folder / "matches.parquet")
    write_json(result.campaigns, folder / "campaigns.json")
    write_json(result.overview, folder / "overview.json")
    (folder / "report.html").write_text(render(result.overview, result.campaigns), encoding="utf-8")


def judge(
    scanned: Scanned, members: Members, label: NDArray[np.int32], measured: Measured, options: Options
) -> list[Judged]:
    """Rule on each stream of ``members``; ``label`` maps families to streams, -1 to none."""
    streams = len(measured.total)
    principal = scanned.principals.of_row[members.row]
    pairs, counts = np.unique(members.stream.astype(np.int64) << 32 | principal, return_counts=True)
    bounds = np.searchsorted(pairs >> 32, np.arange(streams + 1))
    owners = (pairs & 0xFFFFFFFF).astype(np.int32)
    of_family = label[scanned.families.family]
    inside = of_family >= 0
    sizes = np.bincount(of_family[inside], minlength=streams)
    under_licence = scanned.licensed[scanned.principals.of_row[scanned.families.row[inside]]]
    licensed = np.bincount(of_family[inside], weights=under_licence, minlength=streams) / np.maximum(sizes, 1)
    role = np.zeros(streams, np.uint8)
    largest = np.argsort(np.bincount(scanned.families.family, minlength=len(label)), kind="stable")
    role[label[largest[label[largest] >= 0]]] = scanned.families.role[largest[label[largest] >= 0]]
    users = np.bincount(scanned.principals.account)
    at = scanned.sketches["at_us"].combine_chunks().to_numpy()
    found = []
    for stream in range(streams):
        own = owners[bounds[stream] : bounds[stream + 1]]
        exchanges = counts[bounds[stream] : bounds[stream + 1]]
        case = _case(scanned, measured, stream, own, users, float(licensed[stream]), int(role[stream]))
        ruling = rule(case, options.bar)
        part = takes_part(exchanges)
        if ruling.verdict is Verdict.EXTRACTION:
            rows = members.row[members.stream == stream]
            inside = np.searchsorted(own, scanned.principals.of_row[rows])
            part &= ~keeps_own_hours(inside, at[rows], len(own))
        found.append(Judged(ruling, case, own, exchanges, part))
    return found


def _case(
    scanned: Scanned, measured: Measured, stream: int, own: NDArray[np.int32], users: NDArray[np.int64],
    licensed: float, role: int,
) -> Case:  # fmt: skip
    accounts, held = np.unique(scanned.principals.account[own], return_counts=True)
    most = int(np.argmax(held)) if len(held) else 0
    one_key = len(held) > 0 and held[most] > 1
    return Case(
        bits=float(measured.total[stream]),
        objective=float(np.nan_to_num(measured.of("objective")[stream])),
        coordination=float(measured.bits[stream].sum() - measured.bits_of("objective")[stream]),
        conduct=float(measured.conduct()[stream]),
        principals=len(own),
        accounts=len(accounts),
        key_principals=float(held[most] / len(own)) if one_key else 0.0,
        key_share=float(held[most] / users[accounts[most]]) if one_key else 0.0,
        organization=_one_organization(scanned, own) if len(accounts) > 1 else 0.0,
        licensed=licensed,
        partition=float(measured.of("partition")[stream]),
        role=role,
    )


def _one_organization(scanned: Scanned, own: NDArray[np.int32]) -> float:
    named = scanned.principals.organization_id.take(pa.array(own)).drop_null().value_counts().to_pylist()
    return max((row["counts"] for row in named), default=0) / len(own)


def _campaign_ids(label: NDArray[np.int32], names: list[str], count: int) -> list[str]:
    ids = [""] * count
    for family in range(len(label) - 1, -1, -1):
        if label[family] >= 0:
            ids[label[family]] = "c-" + names[family][2:]
    return ids


def _matches(scanned: Scanned, groups: list[Judged], names: list[str], campaign_ids: list[str]) -> pa.Table:
    """One row for each exchange of an extraction campaign, with the family that it matches most."""
    label, families, principals = scanned.groups.label, scanned.families, scanned.principals
    accused = np.array([judged.ruling.verdict is Verdict.EXTRACTION for judged in groups], bool)
    stream = label[families.family]
    inside = np.flatnonzero((stream >= 0) & accused[stream] if len(accused) else np.zeros(len(stream), bool))
    inside = inside[_held(scanned, stream, inside)]
    takers = {
        (number, int(p))
        for number, judged in enumerate(groups)
        if accused[number]
        for p in judged.taking_part
    }
    owner = principals.of_row[families.row[inside]]
    inside = inside[[(s, p) in takers for s, p in zip(stream[inside].tolist(), owner.tolist(), strict=True)]]
    order = np.lexsort(
        (families.family[inside], -families.matched[inside], stream[inside], families.row[inside])
    )
    inside = inside[order]
    key = families.row[inside].astype(np.int64) << 32 | stream[inside]
    inside = inside[np.r_[True, key[1:] != key[:-1]]] if len(inside) else inside
    ids = scanned.sketches["exchange_id"].combine_chunks().take(pa.array(families.row[inside]))
    table = pa.table(
        {
            "exchange_id": ids,
            "family_id": pa.array(
                [names[family] for family in families.family[inside].tolist()], pa.string()
            ),
            "campaign_id": pa.array([campaign_ids[group] for group in stream[inside].tolist()], pa.string()),
        },
        schema=MATCHES,
    )
    return table.sort_by([("exchange_id", "ascending"), ("campaign_id", "ascending")])


def _held(scanned: Scanned, stream: NDArray[np.int32], inside: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which memberships are the campaign's: those of its core, and of attached families that lie beside it.

    A phrase inside the core's slots occurs elsewhere too, and there it is not the campaign's.
    """
    families, merged = scanned.families, scanned.merged
    own = merged.stream.astype(np.int64) << 32 | merged.row
    core = np.isin(stream[inside].astype(np.int64) << 32 | families.row[inside], own)
    family = families.family[inside]
    count = np.bincount(family, minlength=len(families.names))
    nested = 2 * np.bincount(family, weights=core, minlength=len(families.names)) >= count
    held: NDArray[np.bool_] = core | ~nested[family]
    return held


def _family_rows(
    scanned: Scanned, families: list[Judged], groups: list[Judged], names: list[str], campaign_ids: list[str],
    options: Options,
) -> list[dict[str, Any]]:  # fmt: skip
    counts = np.bincount(scanned.families.family, minlength=len(names))
    at = scanned.sketches["at_us"].combine_chunks().to_numpy()[scanned.families.row]
    first, last = np.full(len(names), np.iinfo(np.int64).max), np.full(len(names), np.iinfo(np.int64).min)
    np.minimum.at(first, scanned.families.family, at)
    np.maximum.at(last, scanned.families.family, at)
    best = best_objective(scanned.members, len(names))
    rows = []
    for family, judged in enumerate(families):
        group = int(scanned.groups.label[family])
        ruling = groups[group].ruling if group >= 0 else judged.ruling
        shown = group >= 0 and ruling.verdict in SHOWN
        values = zip(scanned.by_family.signals, scanned.by_family.value[family].tolist(), strict=True)
        rows.append(
            {
                "family_id": names[family],
                "role": ROLES[scanned.families.role[family]],
                "verdict": str(ruling.verdict),
                "campaign_id": campaign_ids[group] if shown else None,
                "exchanges": int(counts[family]),
                "principals": judged.case.principals,
                "accounts": judged.case.accounts,
                "evidence_bits": float(scanned.by_family.total[family]),
                "first_seen": int(first[family]),
                "last_seen": int(last[family]),
                "objective": best[family] if judged.case.objective >= options.bar.intent else None,
                "reasons": list(ruling.reasons),
                "signals": [(name, value) for name, value in values if not math.isnan(value)],
            }
        )
    return rows


def best_objective(members: Members, streams: int) -> list[str]:
    """The objective with the highest mean score in each stream."""
    sums = np.stack(
        [np.bincount(members.stream, weights=column, minlength=streams) for column in members.objective.T]
    )
    return [OBJECTIVES[index] for index in np.argmax(sums, axis=0)]


def _closest_innocent(family_rows: list[dict[str, Any]]) -> list[int]:
    """Families with an innocent verdict, those with the most bits first."""
    innocent = [
        (-row["evidence_bits"], row["family_id"], family)
        for family, row in enumerate(family_rows)
        if row["verdict"] in LOOKED_ALIKE and row["signals"]
    ]
    return [family for _, _, family in sorted(innocent)]


def _exemplars(
    scanned: Scanned, shown: list[int], source: Source, keys: Keys, options: Options
) -> dict[int, list[dict[str, Any]]]:
    if source.sketched or not shown:
        return {}
    at = scanned.sketches["at_us"].combine_chunks().to_numpy()
    ids = scanned.sketches["exchange_id"].combine_chunks()
    wanted = {}
    for group in shown:
        rows = scanned.merged.row[scanned.merged.stream == group]
        early = rows[
            np.lexsort((scanned.sketches["request_hash"].combine_chunks().to_numpy()[rows], at[rows]))
        ][:60:20]
        inside = scanned.groups.label[scanned.families.fragment_family] == group
        wanted[group] = Wanted(
            tuple(ids.take(pa.array(early)).to_pylist()), scanned.families.fragments[inside]
        )
    return collect(source, keys, wanted, options.show_text)


def _account_rows(scanned: Scanned, groups: list[Judged], campaign_ids: list[str]) -> list[Mapping[str, Any]]:
    """One row an account, and one for each end user with a verdict of its own, in order of account and end
    user."""
    best = _best_rulings(groups)
    principals = scanned.principals
    order = np.argsort(principals.account, kind="stable")
    bounds = np.searchsorted(
        principals.account[order], np.arange(int(principals.account.max(initial=-1)) + 2)
    )
    rows: list[Mapping[str, Any]] = []
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        own = order[start:stop]
        rows.extend(_rows_of_account(scanned, own, best, groups, campaign_ids))
    return sorted(
        rows, key=lambda row: (row["account_id"], row["end_user_id"] is not None, row["end_user_id"] or "")
    )


_RANK = {
    Verdict.EXTRACTION: 0,
    Verdict.LICENSED: 1,
    Verdict.UNDETERMINED: 2,
    Verdict.EVALUATION: 3,
    Verdict.INTEGRATOR: 4,
    Verdict.SHARED_CLIENT: 5,
    Verdict.POPULAR_PROMPT: 6,
}


def _best_rulings(groups: list[Judged]) -> dict[int, tuple[int, int]]:
    """For each principal who takes part in a group: that group and the exchanges in it; the gravest verdict
    counts."""
    best: dict[int, tuple[int, int]] = {}
    ranked = sorted(
        range(len(groups)),
        key=lambda number: (_RANK[groups[number].ruling.verdict], -groups[number].ruling.probability, number),
    )
    for number in ranked:
        judged = groups[number]
        part = takes_part(judged.exchanges)
        for principal, count in zip(
            judged.principals[part].tolist(), judged.exchanges[part].tolist(), strict=True
        ):
            best.setdefault(principal, (number, count))
    return best


def _rows_of_account(
    scanned: Scanned,
    own: NDArray[np.int64],
    best: dict[int, tuple[int, int]],
    groups: list[Judged],
    campaign_ids: list[str],
) -> list[Mapping[str, Any]]:
    principals = scanned.principals
    account = principals.account_id[int(own[0])].as_py()
    rows: list[Mapping[str, Any]] = []
    taking = [(int(p), *best[int(p)]) for p in own if int(p) in best]
    accused = [entry for entry in taking if groups[entry[1]].ruling.verdict is Verdict.EXTRACTION]
    whole = next((entry for entry in taking if principals.end_user_id[entry[0]].as_py() is None), None)
    if whole is None and 2 * len(accused) > len(own):
        # Most users of this account run the campaign, so the account does.
        whole = (accused[0][0], accused[0][1], sum(entry[2] for entry in accused))
    covered = bool(scanned.licensed[own].any())
    rows.append(_row(scanned, account, None, own, whole, groups, campaign_ids, covered))
    for entry in taking:
        user = principals.end_user_id[entry[0]].as_py()
        if user is not None:
            rows.append(
                _row(scanned, account, user, np.array([entry[0]]), entry, groups, campaign_ids, False)
            )
    return rows


def _row(
    scanned: Scanned,
    account: str,
    user: str | None,
    own: NDArray[np.int64],
    entry: tuple[int, int, int] | None,
    groups: list[Judged],
    campaign_ids: list[str],
    covered: bool,
) -> dict[str, Any]:
    principals = scanned.principals
    row: dict[str, Any] = {
        "account_id": account,
        "end_user_id": user,
        "verdict": str(Verdict.LICENSED if covered else Verdict.NONE),
        "campaign_id": None,
        "probability": 0.0,
        "evidence_bits": 0.0,
        "exchanges": int(principals.exchanges[own].sum()),
        "extraction_exchanges": 0,
        "first_seen": int(principals.first_us[own].min()),
        "last_seen": int(principals.last_us[own].max()),
        "reasons": ["the registry covers this account"] if covered else [],
    }
    if entry is None or covered:
        return row
    _, group, count = entry
    ruling = groups[group].ruling
    shown = ruling.verdict in SHOWN
    row |= {
        "verdict": str(ruling.verdict),
        "campaign_id": campaign_ids[group] if shown else None,
        "probability": ruling.probability,
        "evidence_bits": groups[group].case.bits,
        "extraction_exchanges": count if ruling.verdict is Verdict.EXTRACTION else 0,
        "reasons": [
            (
                f"{count:,} of its {row['exchanges']:,} exchanges belong to a stream that was judged "
                f"{ruling.verdict}"
            ),
            *ruling.reasons,
        ],
    }
    return row
