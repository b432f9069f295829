"""Which exchange belongs to which family."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numba
import numpy as np
import pyarrow as pa

from stillwatch.families.cohesion import Cohesion, part
from stillwatch.families.components import Joining, count_exchanges, count_users, join
from stillwatch.families.fragments import Dictionary, Owners, Presence
from stillwatch.families.outlines import Outlines, outline
from stillwatch.families.variety import variety
from stillwatch.fingerprint import NEW

if TYPE_CHECKING:
    from numpy.typing import NDArray


LONG = 4
"""Fragments that the exchanges of a family usually hold, from which one alone is too little."""


@dataclass(frozen=True, slots=True)
class Rule:
    """What makes a family."""

    least_principals: int = 8
    """Principals that must share a fragment, and a family, in a log of at most ``crowd`` principals."""

    crowd: int = 20_000
    """Principals of a log beyond which more must share a fragment, as the cube root of how many times as many there are; and
    beyond which families that can be no campaign are not measured in full."""

    joining: Joining = Joining()
    """When two fragments may belong to one template."""

    cohesion: Cohesion = field(default_factory=Cohesion)
    """Which of those that may do."""

    matched: float = 0.3
    """Share of a family's usual weight of fragments that an exchange must hold to belong to it."""

    fills: int = 4
    """Fragments kept of what fills the slots of one exchange: those with the smallest hashes."""

    def least(self, principals: int) -> int:
        """Principals that must share a fragment, and a family, in a log of so many: the larger a crowd, the more of it say
        the same by chance. The cube root keeps what a score of accounts share in sight up to a hundred thousand.

        >>> [Rule().least(principals) for principals in (100, 20_000, 100_000, 1_000_000)]
        [8, 8, 13, 29]
        """
        least: int = round(self.least_principals * (principals / self.crowd) ** (1 / 3))
        if least**3 * self.crowd > self.least_principals**3 * principals:  # rounded up
            least -= 1
        return max(self.least_principals, int(least))


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
    of_row = np.empty(len(opening), np.int32)
    least = rule.least(len(principals))
    values = _heavy(batches, presence, principals, opening, of_row, least)
    heavy = Dictionary(1 << int(2 * len(values) + 1).bit_length())
    heavy.encode(values)
    outlines = outline(batches, heavy, of_row, opening, len(principals))
    return _families(outlines, values, rule, least)


def _heavy(
    batches: Iterable[pa.RecordBatch], presence: Presence, principals: NDArray[np.int64],
    opening: NDArray[np.bool_], of_row: NDArray[np.int32], least: int,
) -> NDArray[np.int64]:  # fmt: skip
    """Fragments of at least so many principals, ascending; writes the principal of each exchange into ``of_row``.

    Numbers that follow the values make everything after independent of the order of reading.
    """
    names = Dictionary(1 << int(2 * len(principals) + 1).bit_length())
    names.encode(principals)
    numbering, owners = Dictionary(1 << 20), Owners(least)
    recent = np.zeros(1 << 18, np.uint64)
    start = 0
    for batch in batches:
        rows = slice(start, start + batch.num_rows)
        of_row[rows] = names.find(batch["principal"].to_numpy())
        fragment, principal = presence.survivors(batch, of_row[rows], opening[rows], recent, least)
        codes = numbering.encode(fragment)
        owners.add(codes, principal, numbering.size)
        start += batch.num_rows
    return np.sort(numbering.values()[owners.counts(numbering.size) >= least])


def _families(outlines: Outlines, values: NDArray[np.int64], rule: Rule, least: int) -> Families:
    exchanges = count_exchanges(*outlines.postings()[::-1], outlines, len(values))
    component, edges = join(outlines, exchanges, rule.joining)
    component, weight = part(outlines, component, edges, rule.cohesion)
    held = _held(*outlines.postings(), component, weight)
    least_weight, least_fragments = _bars(held, outlines.times, len(values), rule.matched)
    held = held.only(
        (held.score >= least_weight[held.component]) & (held.matched >= least_fragments[held.component])
    )
    wide = count_users(held.component, held.outline, outlines, len(values), least) >= least
    held = held.only(wide[held.component])
    labels = np.flatnonzero(wide)
    renumber = np.full(len(values), -1, np.int32)
    renumber[labels] = np.arange(len(labels), dtype=np.int32)
    role = np.full(len(labels), NEW, np.uint8)
    family = renumber[held.component]
    role[family] = outlines.role[held.outline]
    of_fragment = renumber[component]
    inside = of_fragment >= 0
    bounds = np.searchsorted(held.outline, np.arange(len(outlines.role) + 1))
    row, of_row, matched = _memberships(outlines.of_row, bounds, family, held.matched, held.first)
    return Families(
        values[labels], role, row, of_row, matched, values[inside], of_fragment[inside], weight[inside],
        least_weight[labels], least_fragments[labels],
        variety(outlines, of_fragment, held.outline, family, len(labels)),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Held:
    """What outlines hold of components, one entry a component of an outline, in order of outline."""

    outline: NDArray[np.int32]
    component: NDArray[np.int32]
    matched: NDArray[np.int32]
    """Distinct fragments of the component."""
    score: NDArray[np.int64]
    """Their weight together."""
    first: NDArray[np.int32]
    """The smallest of them."""

    def only(self, chosen: NDArray[np.bool_]) -> _Held:
        return _Held(
            self.outline[chosen], self.component[chosen], self.matched[chosen], self.score[chosen],
            self.first[chosen],
        )  # fmt: skip


def _held(
    outline: NDArray[np.int32],
    code: NDArray[np.int32],
    component: NDArray[np.int32],
    weight: NDArray[np.int64],
) -> _Held:
    return _Held(*_hold(outline, component[code], code, weight))


@numba.njit(nogil=True, cache=True)
def _hold(row: Any, component: Any, code: Any, weight: Any) -> Any:
    """Distinct fragments of each component in each row: row, component, their number and weight, the smallest."""
    size = len(row)
    out_row, out_component = np.empty(size, np.int32), np.empty(size, np.int32)
    matched, first, score = np.zeros(size, np.int32), np.empty(size, np.int32), np.zeros(size, np.int64)
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
                out_row[count], out_component[count], first[count] = row[at], component[at], code[at]
                count += 1
            matched[found] += 1
            score[found] += weight[code[at]]
        start = stop
    return out_row[:count], out_component[:count], matched[:count], score[:count], first[:count]


def _bars(
    held: _Held, times: NDArray[np.int64], size: int, share: float
) -> tuple[NDArray[np.float64], NDArray[np.int8]]:
    """What an outline must hold of each component to belong to it: weight float64[size], fragments int8[size].

    The usual score is the mean of the component's exchanges, each weighted by its own; two fragments at least are asked
    for where four are usual.
    """
    member, score = held.component, held.score.astype(np.float64)
    weighted = score * times[held.outline]
    total = np.bincount(member, weights=weighted, minlength=size)
    usual = np.bincount(member, weights=weighted * score, minlength=size) / np.maximum(total, 1)
    fragments = np.bincount(member, weights=weighted * held.matched, minlength=size) / np.maximum(total, 1)
    return share * usual, np.where(fragments < LONG, 1, 2).astype(np.int8)


@numba.njit(nogil=True, cache=True)
def _memberships(outlines: Any, bounds: Any, family: Any, matched: Any, first: Any) -> Any:
    """Families of each exchange: row, family and fragments matched, in order of row, then of the smallest fragment.

    ``outlines`` int32[n, kinds]: of each row; the other arrays are families of outlines, ``bounds`` where those of each
    begin.
    """
    total = 0
    for row in range(len(outlines)):
        for own in outlines[row]:
            if own >= 0:
                total += bounds[own + 1] - bounds[own]
    rows, families = np.empty(total, np.int32), np.empty(total, np.int32)
    held, order = np.empty(total, np.int32), np.empty(total, np.int32)
    end = 0
    for row in range(len(outlines)):
        opened = end
        for own in outlines[row]:
            if own < 0:
                continue
            for entry in range(bounds[own], bounds[own + 1]):
                spot = end
                while spot > opened and order[spot - 1] > first[entry]:
                    families[spot], held[spot], order[spot] = (
                        families[spot - 1],
                        held[spot - 1],
                        order[spot - 1],
                    )
                    spot -= 1
                families[spot], held[spot], order[spot] = family[entry], matched[entry], first[entry]
                rows[end] = row
                end += 1
    return rows, families, held
