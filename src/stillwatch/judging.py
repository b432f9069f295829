"""Every stream ruled on: the case for a verdict, the verdict, and which principals take part."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from stillwatch import stream_counts
from stillwatch.corroboration import lean, listen
from stillwatch.grounds import cases_of
from stillwatch.participants import (
    MOST_VOUCHED,
    keeps_own_hours,
    of_one_hand,
    opened_for_it,
    pays_with_them,
    sends_whole,
    take_part,
)
from stillwatch.verdict import Ruling, Verdict, rule

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.corroboration import Word
    from stillwatch.evidence import Measured
    from stillwatch.examine import Options, Scanned
    from stillwatch.memberships import Members
    from stillwatch.verdict import Case

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


def places_of(scanned: Scanned, judged: Judged, stream: int) -> NDArray[np.int64]:
    """Where among the merged members the exchanges of a stream stand that are by principals who take part."""
    inside = np.flatnonzero(scanned.merged.stream == stream)
    return inside[np.isin(scanned.principals.of_row[scanned.merged.row[inside]], judged.taking_part)]


def judge(
    scanned: Scanned, members: Members, label: NDArray[np.int32], measured: Measured, options: Options,
    attached: NDArray[np.int32] | None = None,
) -> list[Judged]:  # fmt: skip
    """Rule on each stream of ``members``; ``label`` maps families to streams, -1 to none.

    ``attached`` maps families that are no evidence to the stream that they belong to: a piece of a template may be
    stronger than the whole of it, and who sends the template sends the whole.
    """
    streams = len(measured.total)
    sender = scanned.principals.of_row[members.row]
    held, _, ordered = stream_counts.by_stream(members.stream, sender, sender, streams)
    bounds, owners, counts = stream_counts.count_owners(held, ordered)
    del sender, ordered
    pairs = np.repeat(np.arange(streams, dtype=np.int64) << 32, np.diff(bounds)) | owners
    at = scanned.sketches["at_us"].to_numpy()
    cases = cases_of(scanned, label, measured, pairs)
    words = listen(scanned, members, streams, options)
    taking = take_part(counts, bounds)
    found = []
    for stream in range(streams):
        own = owners[bounds[stream] : bounds[stream + 1]]
        exchanges = counts[bounds[stream] : bounds[stream + 1]]
        case = cases[stream]
        ruling = rule(case, options.bar)
        if (word := words[stream]) is not None:
            case, ruling, word = lean(
                case, ruling, word, options.bar, calibrated=options.calibration is not None
            )
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
