"""Which exchanges are in which streams, and in what they match: taken apart, put together and thinned out as arrays."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numba
import numpy as np

from stillwatch.distinct import distinct
from stillwatch.fingerprint import SYSTEM, TOOLS
from stillwatch.objective.classes import OBJECTIVES
from stillwatch.ranges import taken
from stillwatch.spool import at_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.families.assign import Families
    from stillwatch.spool import Columns


@dataclass(frozen=True, slots=True)
class Members:
    """Memberships of exchanges in streams: m entries, one an exchange and stream."""

    stream: NDArray[np.int32]
    row: NDArray[np.int32]
    objective: NDArray[np.int8]
    """int8[m, 11]: scores of the text in which the template stands, percent."""

    variety: NDArray[np.int32]
    """int32[m]: how much the wordings of the family vary."""

    fill_stream: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    fill_row: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))
    fill: NDArray[np.int64] = field(default_factory=lambda: np.empty(0, np.int64))

    def with_fills(
        self, stream: NDArray[np.int32], row: NDArray[np.int32], fill: NDArray[np.int64]
    ) -> Members:
        """The same with what fills the slots: of each fill its stream and exchange."""
        return replace(self, fill_stream=stream, fill_row=row, fill=fill)

    def without_fills(self) -> Members:
        """The same without what fills the slots."""
        return Members(self.stream, self.row, self.objective, self.variety)


def family_members(families: Families, sketches: Columns) -> Members:
    """Every family as a stream of its own, without what fills its slots."""
    role = families.role[families.family]
    scores = np.zeros((len(role), len(OBJECTIVES)), np.int8)
    for name, chosen in (
        ("objective", (role != SYSTEM) & (role != TOOLS)),
        ("system_objective", role == SYSTEM),
    ):
        place = np.flatnonzero(chosen)
        for at, found in at_rows(sketches, name, families.row[place]):
            scores[place[at]] = found.flatten().to_numpy().reshape(-1, len(OBJECTIVES))
    return Members(families.family, families.row, scores, families.variety[families.family])


def keep_rows(members: Members, kept: NDArray[np.bool_]) -> Members:
    """Memberships of the exchanges in ``kept`` (bool[n]) alone; streams keep their numbers."""
    if kept.all():
        return members
    inside, fills = kept[members.row], kept[members.fill_row]
    return Members(
        members.stream[inside], members.row[inside], members.objective[inside], members.variety[inside],
        members.fill_stream[fills], members.fill_row[fills], members.fill[fills],
    )  # fmt: skip


def contents(members: Members, streams: int) -> NDArray[np.int64]:
    """Hash of what each of the streams 0 to ``streams`` - 1 consists of: int64[streams]. Streams of the same log with
    the same members have the same, whatever their numbers."""
    found = np.zeros(streams, np.uint64)
    _add_contents(members.stream, members.row, members.variety, members.objective, found)
    _add_fills(members.fill_stream, members.fill_row, members.fill, found)
    return found.astype(np.int64)


@numba.njit(inline="always", cache=True)
def _mixed(word: Any) -> Any:
    word = (word ^ (word >> np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
    return word ^ (word >> np.uint64(29))


@numba.njit(nogil=True, cache=True)
def _add_contents(stream: Any, row: Any, variety: Any, objective: Any, found: Any) -> None:
    for at in range(len(stream)):
        word = np.uint64(row[at]) << np.uint64(32) | np.uint64(variety[at])
        for column in range(objective.shape[1]):
            word = _mixed(word) + np.uint64(objective[at, column])
        found[stream[at]] += _mixed(_mixed(word))


@numba.njit(nogil=True, cache=True)
def _add_fills(stream: Any, row: Any, fill: Any, found: Any) -> None:
    for at in range(len(stream)):
        word = _mixed(np.uint64(row[at])) + np.uint64(fill[at])
        found[stream[at]] += _mixed(_mixed(word) + np.uint64(1))


def only(members: Members, chosen: NDArray[np.int32]) -> Members:
    """The streams that ``chosen`` names, numbered in its order; ``members`` are in order of stream."""
    stream, *held = _ranges(members.stream, chosen)
    fill_stream, *fills = _ranges(members.fill_stream, chosen)
    return Members(
        stream, taken(members.row, *held), taken(members.objective, *held), taken(members.variety, *held),
        fill_stream, taken(members.fill_row, *fills), taken(members.fill, *fills),
    )  # fmt: skip


def of_those(members: Members, chosen: NDArray[np.bool_]) -> Members:
    """The streams that are chosen (bool[streams]) alone, with their numbers; ``members`` are in order of stream."""
    number = np.flatnonzero(chosen).astype(np.int32)
    part = only(members, number)
    return replace(part, stream=number[part.stream], fill_stream=number[part.fill_stream])


def _ranges(
    ordered: NDArray[np.int32], chosen: NDArray[np.int32]
) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
    """Which of the ``chosen`` streams stands at each place of theirs in a list of streams, and where each begins and
    ends."""
    first, last = (np.searchsorted(ordered, chosen, side).astype(np.int64) for side in ("left", "right"))
    return np.repeat(np.arange(len(chosen), dtype=np.int32), last - first), first, last


def without(members: Members, streams: NDArray[np.int32], rows: NDArray[np.int32]) -> Members:
    """Members less the pairs of stream and row that the two arrays name."""
    out = distinct(streams.astype(np.int64) << 32 | rows)
    inside = ~np.isin(members.stream.astype(np.int64) << 32 | members.row, out)
    fills = ~np.isin(members.fill_stream.astype(np.int64) << 32 | members.fill_row, out)
    return Members(
        members.stream[inside], members.row[inside], members.objective[inside], members.variety[inside],
        members.fill_stream[fills], members.fill_row[fills], members.fill[fills],
    )  # fmt: skip


def merge_streams(members: Members, label: NDArray[np.int32]) -> Members:
    """Members of merged streams: stream s becomes ``label[s]``, -1 leaves it out; an exchange counts once in
    each.

    Of an exchange in several of the merged streams the highest score of each objective and variety are kept, and the fills
    that lie in the slots of every one of them.
    """
    stream = label[members.stream]
    kept = np.flatnonzero(stream >= 0)
    key = stream[kept].astype(np.int64) << 32 | members.row[kept]
    order = np.argsort(key, kind="stable")
    key, kept = key[order], kept[order]
    starts = np.flatnonzero(np.r_[True, key[1:] != key[:-1]]) if len(key) else np.empty(0, np.int64)
    scores = (
        np.maximum.reduceat(members.objective[kept], starts, axis=0) if len(starts) else members.objective[:0]
    )
    variety = np.maximum.reduceat(members.variety[kept], starts) if len(starts) else members.variety[:0]
    held = np.flatnonzero((label >= 0)[members.fill_stream])
    fill_stream, fill_row, fill = label[members.fill_stream[held]], members.fill_row[held], members.fill[held]
    order = np.lexsort((fill, fill_row, fill_stream))
    fill_stream, fill_row, fill = fill_stream[order], fill_row[order], fill[order]
    new = np.ones(len(order), bool)
    new[1:] = (np.diff(fill_stream) != 0) | (np.diff(fill_row) != 0) | (fill[1:] != fill[:-1])
    return Members(
        (key[starts] >> 32).astype(np.int32),
        (key[starts] & 0xFFFFFFFF).astype(np.int32),
        scores,
        variety,
        fill_stream[new],
        fill_row[new],
        fill[new],
    )
