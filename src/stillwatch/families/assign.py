"""Which exchange belongs to which family, and what fills the slots of its template there."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import pyarrow as pa

from stillwatch.families.cohesion import Cohesion, part
from stillwatch.families.components import Joining, join
from stillwatch.families.fragments import (
    Dictionary,
    Postings,
    Presence,
    count_distinct,
    count_rows,
    flat_parts,
)
from stillwatch.families.variety import variety
from stillwatch.fingerprint import EARLIER, NEW, ROLES

if TYPE_CHECKING:
    from numpy.typing import NDArray


LONG = 4
"""Fragments that the exchanges of a family usually hold, from which one alone is too little."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What makes a family."""

    least_principals: int = 8
    """Principals that must share a fragment, and a family."""

    joining: Joining = Joining()
    """When two fragments may belong to one template."""

    cohesion: Cohesion = field(default_factory=Cohesion)
    """Which of those that may do."""

    matched: float = 0.3
    """Share of a family's usual weight of fragments that an exchange must hold to belong to it."""

    fills: int = 4
    """Fragments kept of what fills the slots of one exchange: those with the smallest hashes."""


@dataclass(frozen=True, slots=True)
class Families:
    """The families of a log of n exchanges; f families, m memberships (an exchange may have several)."""

    names: NDArray[np.int64]
    """int64[f]: smallest fragment of each family, which names it; ascending."""

    role: NDArray[np.uint8]
    """uint8[f]: part of the request in which the template stands, an index into ``ROLES``."""

    row: NDArray[np.int32]
    """int32[m]: exchange of each membership, in order."""

    family: NDArray[np.int32]
    """int32[m]: family of each membership."""

    matched: NDArray[np.int32]
    """int32[m]: fragments of the family that the exchange holds."""

    fragments: NDArray[np.int64]
    """int64[h]: the heavy fragments that belong to families."""

    fragment_family: NDArray[np.int32]
    """int32[h]: family of each of them."""

    fragment_weight: NDArray[np.int64]
    """int64[h]: what each of them counts towards belonging to its family."""

    least_weight: NDArray[np.float64]
    """float64[f]: weight that an exchange must hold to belong."""

    least_fragments: NDArray[np.int8]
    """int8[f]: and how many fragments: 1, or 2 where the exchanges of the family usually hold many."""

    fill_membership: NDArray[np.int32]
    """int32[k]: membership in which a slot was filled."""

    fill: NDArray[np.int64]
    """int64[k]: fragment of what filled it."""

    variety: NDArray[np.int32]
    """int32[f]: how much the wordings of each template vary, 0 to 1000."""

    def identify(self) -> list[str]:
        """Public name of each family: ``f-`` and sixteen hexadecimal digits."""
        return [f"f-{name & 0xFFFFFFFFFFFFFFFF:016x}" for name in self.names.tolist()]


def find_families(
    batches: Iterable[pa.RecordBatch],
    presence: Presence,
    principals: NDArray[np.int64],
    opening: NDArray[np.bool_],
    rule: Rule,
) -> Families:
    """Families of a sketched log. ``batches`` is read twice, so it must be re-iterable.

    ``principals``: all of the log, sorted; ``opening``: bool[n], exchanges with which a conversation begins.
    Any order and chunking of the batches gives the same families (``row`` follows the order that was read).
    """
    numbering = Dictionary(1 << 20)
    codes, kept = [], []
    for postings in presence.survivors(batches, principals, opening):
        codes.append(numbering.encode(postings.fragment))
        kept.append(postings)
    code = _joined(codes, np.int32)
    row, principal = _joined([p.row for p in kept], np.int32), _joined([p.principal for p in kept], np.int32)
    role = _joined([p.role for p in kept], np.uint8)
    del codes, kept
    heavy = count_distinct(code, principal, numbering.size, rule.least_principals) >= rule.least_principals
    values = numbering.values()[heavy]
    # Codes follow the order of reading; renumbering by value makes everything after independent of it.
    rank = np.argsort(values, kind="stable")
    renumber = np.full(numbering.size, -1, np.int32)
    renumber[np.flatnonzero(heavy)[rank]] = np.arange(len(values), dtype=np.int32)
    code = renumber[code]
    mine = code >= 0
    row, principal, role, code = row[mine], principal[mine], role[mine], code[mine]
    return _families(Postings(row, principal, role, code), values[rank], batches, rule)


def _joined(arrays: list[NDArray[Any]], dtype: type) -> NDArray[Any]:
    return np.concatenate(arrays) if arrays else np.empty(0, dtype)


def _families(
    heavy: Postings, values: NDArray[np.int64], batches: Iterable[pa.RecordBatch], rule: Rule
) -> Families:
    code = heavy.fragment.astype(np.int32)
    exchanges = count_rows(code, heavy.row, len(values))
    component, edges = join(heavy.row, heavy.principal, heavy.role, code, exchanges, rule.joining)
    component, weight = part(heavy.row, code, component, edges, rule.cohesion)
    row, member, matched, score, first = _memberships(heavy.row, component[code], code, weight)
    least, fewest = _bars(member, matched, score, len(values), rule.matched)
    full = (score >= least[member]) & (matched >= fewest[member])
    row, member, matched, first = row[full], member[full], matched[full], first[full]
    wide = (
        count_distinct(member, heavy.principal[first], len(values), rule.least_principals)
        >= rule.least_principals
    )
    belongs = wide[member]
    row, member, matched, first = row[belongs], member[belongs], matched[belongs], first[belongs]
    labels = np.flatnonzero(wide)
    renumber = np.full(len(values), -1, np.int32)
    renumber[labels] = np.arange(len(labels), dtype=np.int32)
    role = np.full(len(labels), NEW, np.uint8)
    role[renumber[member]] = np.where(heavy.role[first] == EARLIER, NEW, heavy.role[first])
    family_of_fragment = renumber[component]
    inside = family_of_fragment >= 0
    family = renumber[member]
    fills = _fills(batches, values[inside], family_of_fragment[inside], row, family, rule.fills)
    return Families(
        values[labels], role, row, family, matched, values[inside], family_of_fragment[inside], weight[inside],
        least[labels], fewest[labels], *fills,
        variety(heavy.row, heavy.principal, code, family_of_fragment, row, family, len(labels)),
    )  # fmt: skip


@numba.njit(nogil=True, cache=True)
def _memberships(row: Any, component: Any, code: Any, weight: Any) -> Any:
    """Distinct fragments of each component in each row: row, component, their number and weight, place of the first."""
    size = len(row)
    out_row, out_component = np.empty(size, np.int32), np.empty(size, np.int32)
    matched, first, score = np.zeros(size, np.int32), np.empty(size, np.int64), np.zeros(size, np.int64)
    count = 0
    start = 0
    while start < size:
        stop = start
        while stop < size and row[stop] == row[start]:
            stop += 1
        ordered = np.argsort(code[start:stop])
        opened = count
        previous = -1
        for place in ordered:
            at = start + place
            if code[at] == previous:
                continue
            previous = code[at]
            found = -1
            for entry in range(opened, count):
                if out_component[entry] == component[at]:
                    found = entry
                    break
            if found < 0:
                found = count
                out_row[count], out_component[count], first[count] = row[at], component[at], at
                count += 1
            matched[found] += 1
            score[found] += weight[code[at]]
        start = stop
    return out_row[:count], out_component[:count], matched[:count], score[:count], first[:count]


def _bars(
    member: NDArray[np.int32], matched: NDArray[np.int32], score: NDArray[np.int64], size: int, share: float
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """What an exchange must hold of each component to belong to it: weight float64[size], fragments int8[size].

    The usual score is the mean of the component's exchanges, each weighted by its own; two fragments at least are asked
    for where four are usual.
    """
    weighted = score.astype(np.float64)
    total = np.bincount(member, weights=weighted, minlength=size)
    usual = np.bincount(member, weights=weighted**2, minlength=size) / np.maximum(total, 1)
    fragments = np.bincount(member, weights=weighted * matched, minlength=size) / np.maximum(total, 1)
    return share * usual, np.where(fragments < LONG, 1, 2).astype(np.int8)


def _fills(
    batches: Iterable[pa.RecordBatch], fragments: NDArray[np.int64], family_of_fragment: NDArray[np.int32],
    row: NDArray[np.int32], family: NDArray[np.int32], keep: int,
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:  # fmt: skip
    """What fills the slots of each membership: new text that is not the family's own. Membership and
    fragment."""
    numbering = Dictionary(1 << 16)
    order = numbering.encode(fragments)
    family_of_code = np.empty(len(fragments), np.int32)
    family_of_code[order] = family_of_fragment
    owners, fills = [], []
    start = 0
    for batch in batches:
        first, last = np.searchsorted(row, [start, start + batch.num_rows])
        start += batch.num_rows
        if first == last:
            continue
        rows, roles, values = flat_parts(batch)
        new = roles == ROLES.index("new")
        rows, values = rows[new], values[new]
        codes = numbering.find(values)
        own = np.where(codes >= 0, family_of_code[codes], -1)
        bounds = np.searchsorted(rows, np.arange(batch.num_rows + 1))
        local = row[first:last] - (start - batch.num_rows)
        owner, fill = _fill_batch(local, family[first:last], bounds, values, own, keep)
        owners.append((owner + first).astype(np.int32))
        fills.append(fill)
    return _joined(owners, np.int32), _joined(fills, np.int64)


@numba.njit(nogil=True, cache=True)
def _fill_batch(  # noqa: PLR0912 - one compiled loop
    rows: Any, families: Any, bounds: Any, values: Any, own: Any, keep: int
) -> Any:
    """The ``keep`` smallest fragments that lie clear of the family's own, or, failing those, beside them."""
    owners, fills = np.empty(len(rows) * keep, np.int64), np.empty(len(rows) * keep, np.int64)
    count = 0
    for member in range(len(rows)):
        start, stop = bounds[rows[member]], bounds[rows[member] + 1]
        for margin in (2, 0):  # a run of words over the edge of a slot holds words of the template too
            opened = count
            for at in range(start, stop):
                clear = True
                for beside in range(max(start, at - margin), min(stop, at + margin + 1)):
                    if own[beside] == families[member]:
                        clear = False
                        break
                if not clear:
                    continue
                value = values[at]
                spot = count
                known = False
                while spot > opened and fills[spot - 1] >= value:
                    spot -= 1
                    if fills[spot] == value:
                        known = True
                        break
                if known or (count - opened == keep and spot == count):
                    continue
                if count - opened < keep:
                    count += 1
                for move in range(count - 1, spot, -1):
                    fills[move] = fills[move - 1]
                fills[spot] = value
            for entry in range(opened, count):
                owners[entry] = member
            if count > opened:
                break
    return owners[:count], fills[:count]
