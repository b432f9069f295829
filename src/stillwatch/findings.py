"""What was found, put into the rows of the contract: accounts, families, matches, campaigns and the
overview."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stillwatch import __version__, dossier
from stillwatch.accounts import Told, account_rows, account_table
from stillwatch.calibration import assessment, decisions, guarantee, shadow
from stillwatch.calibration.labels import Labels
from stillwatch.campaigns import TOUCHED
from stillwatch.corroboration import told
from stillwatch.distinct import distinct
from stillwatch.doubts import times_of_one_payer
from stillwatch.engine.memory import COUNTED_AT_ONCE
from stillwatch.exemplars import Wanted, collect
from stillwatch.family_rows import FamilyRows
from stillwatch.grounds import asked_who_pays, paid_by_one
from stillwatch.judging import LOOKED_ALIKE, SHOWN, Judged, judge, places_of
from stillwatch.notices import notices
from stillwatch.objective.classes import OBJECTIVES
from stillwatch.outputs import MATCHES, TEMPLATES, to_table, write_json, write_table
from stillwatch.overview import overview as overview_of
from stillwatch.shareable import shareable
from stillwatch.shared_values import shared_values
from stillwatch.spool import texts_at
from stillwatch.verdict import Verdict, needed

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.examine import Options, Scanned
    from stillwatch.keys import Keys
    from stillwatch.memberships import Members
    from stillwatch.rejects import RejectLog
    from stillwatch.sketching import Source
    from stillwatch.state import Taken
    from stillwatch.verdict import Bar


@dataclass(frozen=True, slots=True)
class Result:
    """The result of a scan, as it is written."""

    accounts: pa.Table
    families: pa.Table
    matches: pa.Table
    templates: pa.Table
    campaigns: list[dict[str, Any]]
    overview: dict[str, Any]
    shadow: pa.Table | None = None
    """Families that were drawn for review, where that was asked for."""
    circle: dict[str, Any] | None = None
    """What peers may be shown, where the scan was given a circle's key."""
    taken: Taken | None = None
    """What a state took in of the log, where there is one."""


def state(
    scanned: Scanned,
    source: Source,
    keys: Keys,
    rejects: RejectLog,
    options: Options,
    taken: Taken | None = None,
) -> Result:
    """Rule on every group and family and say what was found. ``taken``: which of the exchanges are of ``source``,
    where not all are."""
    core, label = scanned.groups.judged, scanned.groups.label
    judged = judge(scanned, scanned.merged, core, scanned.by_group, options, label)
    assured = guarantee.assess(scanned, judged, keys, options, source.mapped)
    judged = guarantee.restrain(judged, assured)
    members = scanned.every_family()
    families = judge(
        scanned,
        members,
        np.arange(len(scanned.families.names), dtype=np.int32),
        scanned.by_family,
        options,
    )
    names = scanned.families.identify()
    best = best_objective(members, len(names))
    del members
    campaign_ids = _campaign_ids(scanned.groups.label, names, scanned.groups.count)
    matched = decisions.match(scanned, judged, names, campaign_ids, options.labels or Labels(()))
    held = decisions.hold_back(judged, matched, options.rule.least_principals)
    groups = held.accusing
    inside = _matching(scanned, groups)
    shown = [number for number, judged in enumerate(groups) if judged.ruling.verdict in SHOWN]
    exemplars = _exemplars(scanned, groups, shown, source, keys, options, taken)
    family_rows = _family_rows(scanned, families, groups, names, campaign_ids, best, options)
    innocent = closest_innocent(family_rows, options.bar)
    parts = [groups[number].taking_part for number in shown]
    shared = shared_values(scanned.sketches, scanned.principals, parts, keys)
    context = dossier.Context(
        scanned, options, groups, campaign_ids, family_rows, innocent, exemplars,
        dossier.models_of(scanned), dossier.missing_columns(scanned), dict(zip(shown, shared, strict=True)),
    )  # fmt: skip
    campaigns = [dossier.describe(context, number) for number in shown]
    for number, campaign in zip(shown, campaigns, strict=True):
        campaign["reasons"] += guarantee.over_time(groups[number], options)
    of_campaigns = _exchanges(scanned, inside)
    rows = account_rows(
        Told(scanned, held.groups, campaign_ids, held.cleared, of_campaigns), options.bar.suspicion
    )
    accounts = account_table(scanned, rows)
    overview = overview_of(
        context, rejects, family_rows, accounts, __version__, taken.parts if taken else source.files
    )
    overview["text"] = _text_shown(source, options)
    overview["guarantee"] = guarantee.state(assured, options)
    overview["labels"] = None
    if options.labels is not None:
        before = _verdicts(scanned, judged, families)
        overview["labels"] = assessment.assess_labels(scanned, judged, matched, before, options)
    overview["notices"] = notices(scanned, options, source, overview, taken.tables if taken else 0)
    overview["peers"] = _peers(groups, families, names, campaign_ids, options)
    drawn = (
        to_table(shadow.draw(list(family_rows), options.shadow), shadow.SHADOW) if options.shadow else None
    )
    return Result(
        accounts, family_rows.table(), _matches(scanned, inside, names, campaign_ids),
        _templates(scanned, family_rows, keys), campaigns, overview, drawn,
        shareable(
            scanned, groups, shown, campaign_ids, family_rows, keys, options.rule.least_principals
        ),
        taken,
    )  # fmt: skip


def _peers(
    groups: list[Judged], families: list[Judged], names: list[str], campaign_ids: list[str], options: Options
) -> dict[str, Any] | None:
    """What was found of peers' templates, in campaigns and in families of any verdict."""
    if options.peers is None:
        return None
    judged = [*groups, *families]
    found = told(
        [one.word for one in judged],
        [*campaign_ids, *names],
        [str(one.ruling.verdict) for one in judged],
    )
    said = options.peers.campaigns
    return {
        "circle": options.peers.circle,
        "campaigns": len(said),
        "templates": sum(len(campaign.templates) for campaign in said),
        "most_bits": options.peer_bits,
        "found": found,
    }


def write(result: Result, folder: Path) -> None:
    """Write all files of a result into a folder."""
    from stillwatch.report.page import render
    from stillwatch.report.pictures import FOLDER, pictures

    write_table(result.accounts, folder / "accounts.parquet")
    write_table(result.families, folder / "families.parquet")
    write_table(result.matches, folder / "matches.parquet")
    write_table(result.templates, folder / "templates.parquet")
    if result.circle is not None:
        write_json(result.circle, folder / "circle.json")
    if result.shadow is not None:
        write_table(result.shadow, folder / "shadow.parquet")
    write_json(result.campaigns, folder / "campaigns.json")
    write_json(result.overview, folder / "overview.json")
    (folder / "report.html").write_text(render(result.overview, result.campaigns), encoding="utf-8")
    for name, picture in pictures(result.overview, result.campaigns).items():
        (folder / FOLDER).mkdir(exist_ok=True)
        (folder / FOLDER / name).write_text(picture, encoding="utf-8")


def _campaign_ids(label: NDArray[np.int32], names: list[str], count: int) -> list[str]:
    ids = [""] * count
    for family in range(len(label) - 1, -1, -1):
        if label[family] >= 0:
            ids[label[family]] = "c-" + names[family][2:]
    return ids


def _matching(scanned: Scanned, groups: list[Judged]) -> NDArray[np.int64]:
    """Memberships of extraction campaigns by principals who take part: of each exchange that of the family that it matches
    most."""
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
    return inside[np.r_[True, key[1:] != key[:-1]]] if len(inside) else inside


def _exchanges(scanned: Scanned, inside: NDArray[np.int64]) -> NDArray[np.int64]:
    """Exchanges of each principal among memberships ``inside``, those in several campaigns once: int64[p]."""
    owner = scanned.principals.of_row[distinct(scanned.families.row[inside])]
    return np.bincount(owner, minlength=scanned.principals.count)


def _matches(
    scanned: Scanned, inside: NDArray[np.int64], names: list[str], campaign_ids: list[str]
) -> pa.Table:
    """One row for each exchange of an extraction campaign, with the family that it matches most."""
    families = scanned.families
    family = families.family[inside]
    table = pa.table(
        {
            "exchange_id": texts_at(scanned.sketches, "exchange_id", families.row[inside]),
            "family_id": pa.array([names[one] for one in family.tolist()], pa.string()),
            "campaign_id": pa.array(
                [campaign_ids[group] for group in scanned.groups.label[family].tolist()], pa.string()
            ),
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
    beside = np.bincount(family, weights=core, minlength=len(families.names)) < TOUCHED * count
    held: NDArray[np.bool_] = core | beside[family]
    return held


def _family_rows(
    scanned: Scanned, families: list[Judged], groups: list[Judged], names: list[str], campaign_ids: list[str],
    best: list[str], options: Options,
) -> FamilyRows:  # fmt: skip
    counts = np.bincount(scanned.families.family, minlength=len(names))
    at = scanned.sketches["at_us"].to_numpy()[scanned.families.row]
    first, last = np.full(len(names), np.iinfo(np.int64).max), np.full(len(names), np.iinfo(np.int64).min)
    np.minimum.at(first, scanned.families.family, at)
    np.maximum.at(last, scanned.families.family, at)
    return FamilyRows(
        scanned, families, groups, names, campaign_ids, counts, first, last, best, options.bar.intent
    )


def _templates(scanned: Scanned, family_rows: FamilyRows, keys: Keys) -> pa.Table:
    """The fragments of every family of a campaign, by which a gateway tells that a request belongs to it."""
    families = scanned.families
    order = np.argsort(families.fragment_family, kind="stable")
    bounds = np.searchsorted(families.fragment_family[order], np.arange(len(families.names) + 1))
    rows = []
    for family, row in enumerate(family_rows):
        if row["campaign_id"] is None:
            continue
        own = order[bounds[family] : bounds[family + 1]]
        own = own[np.argsort(families.fragments[own])]
        rows.append(
            {
                "family_id": row["family_id"],
                "key": keys.name,
                "least_weight": round(
                    float(families.least_weight[family]), 6
                ),  # sums of floats know an order
                "least_fragments": int(families.least_fragments[family]),
                "fragments": families.fragments[own].tolist(),
                "weights": families.fragment_weight[own].tolist(),
            }
        )
    return to_table(rows, TEMPLATES)


def _verdicts(scanned: Scanned, groups: list[Judged], families: list[Judged]) -> list[str]:
    """Verdict of each family: that of its group, or its own where it is in none."""
    return [
        str((groups[group] if group >= 0 else own).ruling.verdict)
        for group, own in zip(scanned.groups.label.tolist(), families, strict=True)
    ]


def best_objective(members: Members, streams: int) -> list[str]:
    """The objective with the highest mean score in each stream."""
    sums = np.zeros((len(OBJECTIVES), streams))
    for first in range(0, len(members.stream), COUNTED_AT_ONCE):
        part = slice(first, first + COUNTED_AT_ONCE)
        for place, column in enumerate(members.objective[part].T):
            sums[place] += np.bincount(members.stream[part], weights=column, minlength=streams)
    return [OBJECTIVES[index] for index in np.argmax(sums, axis=0)]


def closest_innocent(rows: FamilyRows, bar: Bar, most: int = 2 * dossier.CLOSEST) -> list[tuple[int, float]]:
    """Families with an innocent verdict that were measured, with the bits that an accusation of each takes: those that lack
    the fewest of them first, ``most`` at most."""
    measured = rows.scanned.by_family
    speaking = np.flatnonzero((~np.isnan(measured.value)).any(axis=1) & rows.scanned.in_full).tolist()
    innocent = [family for family in speaking if rows.verdict(family) in LOOKED_ALIKE]
    bits = measured.total[innocent]
    takes = np.array([needed(bar, rows.judged[family].case.doubted) for family in innocent])
    # Who pays for a family without evidence has not been asked: that is done for those that may be among the first.
    raised = bar.doubtful_bits * times_of_one_payer(measured)[innocent] * ~asked_who_pays(bits)
    near = np.flatnonzero(takes - bits <= np.sort(takes - bits + raised)[:most].max(initial=-np.inf))
    paid = paid_by_one(rows.scanned, [rows.judged[innocent[place]].principals for place in near.tolist()])
    takes[near] += raised[near] * paid
    first = sorted(near.tolist(), key=lambda at: (float(takes[at] - bits[at]), rows.names[innocent[at]]))
    return [(innocent[at], float(takes[at])) for at in first[:most]]


def _text_shown(source: Source, options: Options) -> str:
    """What the result holds of the log's text: ``none``, ``masked`` or ``shown``, but for what is redacted."""
    if options.sketch_only or source.sketched:
        return "none"
    return "shown" if options.show_text else "masked"


def _exemplars(
    scanned: Scanned, groups: list[Judged], shown: list[int], source: Source, keys: Keys, options: Options,
    taken: Taken | None,
) -> dict[int, list[dict[str, Any]]]:  # fmt: skip
    if options.sketch_only or not shown or source.sketched:
        return {}
    at, request = (scanned.sketches[name].to_numpy() for name in ("at_us", "request_hash"))
    early = {}
    for group in shown:
        rows = scanned.merged.row[places_of(scanned, groups[group], group)]
        if taken is not None:
            rows = rows[(rows >= taken.rows.start) & (rows < taken.rows.stop)]
        early[group] = rows[np.lexsort((request[rows], at[rows]))][:60:20]
    del at, request
    ids = texts_at(scanned.sketches, "exchange_id", np.concatenate(list(early.values()))).to_pylist()
    wanted = {}
    for group, rows in early.items():
        inside = scanned.groups.label[scanned.families.fragment_family] == group
        wanted[group] = Wanted(tuple(ids[: len(rows)]), scanned.families.fragments[inside])
        del ids[: len(rows)]
    return collect(source, keys, wanted, options.show_text)
