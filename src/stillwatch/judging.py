"""Every stream ruled on: the case for a verdict, the verdict, and which principals take part."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from stillwatch.corroboration import lean, listen
from stillwatch.doubts import doubts_of
from stillwatch.evidence import DOSE
from stillwatch.participants import (
    MOST_VOUCHED,
    keeps_own_hours,
    of_one_hand,
    opened_for_it,
    pays_with_them,
    sends_whole,
    take_part,
)
from stillwatch.verdict import Case, Ruling, Verdict, rule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.corroboration import Word
    from stillwatch.doubts import Doubt
    from stillwatch.evidence import Measured
    from stillwatch.examine import Options, Scanned
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

    word: Word | None = None
    """What a peer said of it; its bits are among those of the case."""

    @property
    def own_bits(self) -> float:
        """Bits of this log's own evidence, without a peer's word."""
        return self.case.bits - (self.word.bits if self.word else 0.0)

    @property
    def taking_part(self) -> NDArray[np.int32]:
        """Principals who take part."""
        return self.principals[self.part]


def judge(
    scanned: Scanned, members: Members, label: NDArray[np.int32], measured: Measured, options: Options,
    attached: NDArray[np.int32] | None = None,
) -> list[Judged]:  # fmt: skip
    """Rule on each stream of ``members``; ``label`` maps families to streams, -1 to none.

    ``attached`` maps families that are no evidence to the stream that they belong to: a piece of a template may be
    stronger than the whole of it, and who sends the template sends the whole.
    """
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
    keys = _key_shares(scanned, pairs, streams)
    at = scanned.sketches["at_us"].to_numpy()
    organization = _organization_shares(scanned, pairs)
    words = listen(scanned, members, streams, options)
    taking = take_part(counts, bounds)
    doubts = doubts_of(measured)
    sums = _Sums(
        measured.bits.sum(axis=1),
        measured.of("objective"),
        measured.bits_of("objective"),
        np.nan_to_num(measured.of(DOSE)),
        measured.of("partition"),
    )
    found = []
    for stream in range(streams):
        own = owners[bounds[stream] : bounds[stream + 1]]
        exchanges = counts[bounds[stream] : bounds[stream + 1]]
        house = float(organization.get(stream, 0) / len(own)) if len(own) else 0.0
        case = _case(
            keys,
            measured,
            sums,
            stream,
            len(own),
            float(licensed[stream]),
            int(role[stream]),
            house,
            doubts[stream],
        )
        ruling = rule(case, options.bar)
        if (word := words[stream]) is not None:
            case, ruling, word = lean(case, ruling, word, options.bar)
        part = taking[bounds[stream] : bounds[stream + 1]]
        if ruling.verdict is Verdict.EXTRACTION:
            rows = members.row[members.stream == stream]
            inside = np.searchsorted(own, scanned.principals.of_row[rows])
            of_it = label == stream if attached is None else (label == stream) | (attached == stream)
            whole = _sends_whole(scanned, of_it, rows, own)
            part &= ~keeps_own_hours(inside, at[rows], len(own)) & whole
            part |= _vouched(scanned, own, part, whole, inside, at[rows])
        ruling = _crowd(ruling, int(part.sum()), options.rule.least_principals, options.bar.principals)
        found.append(Judged(ruling, case, own, exchanges, part, word))
    return _without_strangers(found, options)


def _without_strangers(found: list[Judged], options: Options) -> list[Judged]:
    """Leave out of each extraction campaign who shares a text with a piece of a stronger one, and nothing else."""
    accusing = [place for place, judged in enumerate(found) if judged.ruling.verdict is Verdict.EXTRACTION]
    kept = of_one_hand(
        [found[place].taking_part for place in accusing], [found[place].case.bits for place in accusing]
    )
    for place, stays in zip(accusing, kept, strict=True):
        if not stays.all():
            part = found[place].part.copy()
            part[part] = stays
            least = options.rule.least_principals
            ruling = _crowd(found[place].ruling, int(part.sum()), least, options.bar.principals)
            found[place] = replace(found[place], part=part, ruling=ruling)
    return found


def _sends_whole(
    scanned: Scanned, of_it: NDArray[np.bool_], rows: NDArray[np.int32], own: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Which of a stream's principals (``own``) send its template.

    ``of_it``: bool[families] that are of it; ``rows``: its exchanges.
    """
    families = scanned.families
    held = np.flatnonzero(of_it[families.family])
    held = held[np.isin(families.row[held], rows)]
    owner = np.searchsorted(own, scanned.principals.of_row[families.row[held]])
    return sends_whole(owner, families.row[held], families.family[held], families.matched[held], len(own))


def _vouched(
    scanned: Scanned, own: NDArray[np.int32], part: NDArray[np.bool_], whole: NDArray[np.bool_],
    owner: NDArray[np.int64], at_us: NDArray[np.int64],
) -> NDArray[np.bool_]:  # fmt: skip
    """Who sent the whole template too seldom or too crowded to take part by that alone, and is vouched for otherwise.

    ``owner`` and ``at_us``: the exchanges of the stream, by place in ``own``. A replaced account has no time to send
    much, and is opened for it or paid for with the others.
    """
    doubtful = whole & ~part
    if not doubtful.any() or not part.any():
        return np.zeros(len(own), bool)
    first = np.full(len(own), np.iinfo(np.int64).max)
    np.minimum.at(first, owner, at_us)
    taking = np.zeros(scanned.principals.count, bool)
    taking[own[part]] = True
    opened = doubtful & opened_for_it(scanned.principals.begun_us[own], first, int(at_us.min()))
    if opened.sum() > MOST_VOUCHED * part.sum():
        opened[:] = False
    return opened | (doubtful & pays_with_them(*scanned.principals.payments, taking)[own])


def _crowd(ruling: Ruling, part: int, least: int, accusing: int) -> Ruling:
    """A campaign takes several principals who take part; without them there is nobody to look at, or to accuse."""
    extraction = ruling.verdict is Verdict.EXTRACTION
    if part >= (accusing if extraction else least) or ruling.verdict not in SHOWN:
        return ruling
    reason = f"only {part} of its principals send more of it than anybody might"
    if extraction and part > 1:
        return replace(ruling, verdict=Verdict.UNDETERMINED, reasons=(reason, *ruling.reasons))
    return replace(ruling, verdict=Verdict.POPULAR_PROMPT, reasons=(reason,))


@dataclass(frozen=True, slots=True)
class _Keys:
    """The accounts of each of s streams, and what is owed to the one with most of its principals."""

    accounts: NDArray[np.int64]
    """int64[s]: distinct accounts."""

    most: NDArray[np.int64]
    """int64[s]: principals of the stream that are end users of that account."""

    users: NDArray[np.int64]
    """int64[s]: end users of that account, in the stream or not."""


def _key_shares(scanned: Scanned, pairs: NDArray[np.int64], streams: int) -> _Keys:
    """``pairs``: distinct pairs of stream and principal, ``stream << 32 | principal``, ascending."""
    account = scanned.principals.account
    users = np.bincount(account)
    found, held = np.unique(pairs >> 32 << 32 | account[pairs & 0xFFFFFFFF], return_counts=True)
    stream, of = found >> 32, found & 0xFFFFFFFF
    order = np.lexsort((of, -held, stream))
    first = order[np.r_[True, stream[order][1:] != stream[order][:-1]]] if len(order) else order
    most, all_users = np.zeros((2, streams), np.int64)
    most[stream[first]], all_users[stream[first]] = held[first], users[of[first]]
    return _Keys(np.bincount(stream, minlength=streams), most, all_users)


@dataclass(frozen=True, slots=True)
class _Sums:
    """Columns of what was measured, made once for all streams."""

    bits: NDArray[np.float64]
    objective: NDArray[np.float64]
    of_objective: NDArray[np.float64]
    dose: NDArray[np.float64]
    partition: NDArray[np.float64]


def _case(
    keys: _Keys, measured: Measured, sums: _Sums, stream: int, principals: int, licensed: float, role: int,
    organization: float, doubts: tuple[Doubt, ...],
) -> Case:  # fmt: skip
    accounts, most = int(keys.accounts[stream]), int(keys.most[stream])
    one_key = most > 1
    objective = float(sums.objective[stream])
    return Case(
        bits=float(measured.total[stream]),
        objective=0.0 if math.isnan(objective) else objective,
        coordination=float(sums.bits[stream] - sums.of_objective[stream]),
        conduct=float(measured.conduct[stream]),
        against=float(measured.against[stream]),
        returning=float(sums.dose[stream]),
        silent=bool(measured.silent[stream]),
        doubts=doubts,
        principals=principals,
        accounts=accounts,
        key_principals=most / principals if one_key else 0.0,
        key_share=most / int(keys.users[stream]) if one_key else 0.0,
        organization=organization if accounts > 1 else 0.0,
        licensed=licensed,
        partition=float(sums.partition[stream]),
        role=role,
    )


def _organization_shares(scanned: Scanned, pairs: NDArray[np.int64]) -> dict[int, int]:
    """Principals of each stream in the organization that most of its named ones belong to.

    ``pairs``: distinct pairs of stream and principal, ``stream << 32 | principal``.
    """
    column = scanned.principals.organization_id
    if column.null_count == len(column):
        return {}
    organization = column.dictionary_encode().indices.fill_null(-1).to_numpy()[pairs & 0xFFFFFFFF]
    named = organization >= 0
    keys, counts = np.unique((pairs >> 32)[named] << 32 | organization[named], return_counts=True)
    most: dict[int, int] = {}
    for stream, count in zip((keys >> 32).tolist(), counts.tolist(), strict=True):
        most[stream] = max(most.get(stream, 0), count)
    return most
