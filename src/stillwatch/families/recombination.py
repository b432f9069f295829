"""Whether several families are the pieces of one template that is recombined for every exchange.

Where sentences are short, a fragment reaches over their borders, so each pair of wordings leaves fragments of its own and
the template falls apart into many families. What they have together no product has: hardly a fragment stays, every
principal draws from all of them, and before and after one and the same fragment stands now this one, now that.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stillwatch.distinct import distinct
from stillwatch.families.fragments import Dictionary, Parts, parts_of
from stillwatch.families.variety import LEAST_PAIRS, UNIT, USUAL, drawn_alike, recombined
from stillwatch.fingerprint import DEFAULT_LIMITS, NEW, SYSTEM
from stillwatch.ranges import places
from stillwatch.spool import between

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.families.assign import Families

LEAST = 400
"""Value from which families are pieces of one recombined template, in thousandths."""

OF_TYPICAL = 0.5
"""Least number of fragments that who takes part sends in one exchange, as a share of what is usual."""

STAYS, FIXED = 0.1, 0.2
"""Shares of a whole's fragments that are sent nearly always, up to which a sentence of a recombined template is the same
every time, and from which the template is fixed and only what fills it comes from one stock."""

UNIQUE, REPEATED = 0.01, 0.02
"""Mean shares of the exchanges that a wording is sent in, up to which nothing comes back, as in what a grammar of items
makes, and from which wordings do. Where six and six wordings meet, each pair is sent in 0.03 of them."""

THEIRS = 0.9
"""Share of a piece's senders who take part."""

OPEN = 0.2
"""Chance that two principals go on differently from the same fragment, and come to it differently, from which the order
of fragments is as open as recombined sentences leave it. Those of a fixed text lead from each to the next."""


@dataclass(frozen=True, slots=True)
class Sequence:
    """The fragments of some families in some exchanges, k of them, in order."""

    row: NDArray[np.int32]
    """int32[k]: exchange of each."""

    code: NDArray[np.int32]
    """int32[k]: number of each fragment."""

    beside: NDArray[np.bool_]
    """bool[k]: whether the next one of the same exchange follows directly."""

    def only(self, chosen: NDArray[np.bool_]) -> Sequence:
        """Those that are chosen (bool[k])."""
        beside = self.beside & np.r_[chosen[1:], False]
        return Sequence(self.row[chosen], self.code[chosen], beside[chosen])


@dataclass(frozen=True, slots=True)
class Recombined:
    """Which wholes of families are recombined templates, and who sends them."""

    whole: NDArray[np.int32]
    """int32[families]: whole that each is a piece of, -1 for none."""

    value: NDArray[np.int32]
    """int32[wholes]: how much each is recombined, 0 to ``UNIT``."""

    senders: NDArray[np.int64]
    """int64[senders]: whole << 32 | principal of those who take part in one, in order."""


def recombination(
    batches: Iterable[pa.RecordBatch], families: Families, whole: NDArray[np.int32],
    stream: NDArray[np.int32], row: NDArray[np.int32], principal: NDArray[np.int32],
) -> Recombined:  # fmt: skip
    """Which wholes are one template in the exchanges of those who take part in them, and who does.

    ``whole``: int32[families], -1 where a family is in none; ``stream`` and ``row``: family and exchange of each membership;
    ``principal``: int32[n], of each exchange; ``batches``: those that the families were found in.
    """
    count = int(whole.max(initial=-1)) + 1
    inside = whole[stream] >= 0
    pairs = distinct(whole[stream[inside]].astype(np.int64) << 32 | row[inside])
    numbering = Dictionary(1 << int(2 * len(families.fragments) + 1).bit_length())
    order = numbering.encode(families.fragments)
    piece_of_code = np.full(len(order), -1, np.int32)
    piece_of_code[order] = families.fragment_family
    whole_of_code = np.where(piece_of_code >= 0, whole[piece_of_code], -1)
    found = _sequence(batches, numbering, whole_of_code, distinct(row[inside]))
    left, value, senders = np.full(len(whole), -1, np.int32), np.zeros(count, np.int32), []
    for number in range(count):
        rows = (pairs[pairs >> 32 == number] & 0xFFFFFFFF).astype(np.int32)
        own = found.only((whole_of_code[found.code] == number) & np.isin(found.row, rows))
        pieces, who = taking_part(own, piece_of_code[own.code], principal)
        own = own.only(np.isin(piece_of_code[own.code], pieces) & np.isin(principal[own.row], who))
        value[number] = round(UNIT * _recombined(own, distinct(own.row), principal))
        if value[number] >= LEAST:
            left[whole == number] = number
            senders.append(np.int64(number) << 32 | who)
    return Recombined(left, value, np.concatenate([np.empty(0, np.int64), *senders]))


def taking_part(
    own: Sequence, piece: NDArray[np.int32], principal: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pieces of a whole and principals who take part in it, both in order.

    Each exchange of a template holds a wording of each of its sentences. Who meets the template in a phrase, or in what
    fills its slots, sends less of it at once; and a piece that such senders know is not the template's. ``piece``:
    family of each entry of ``own``.
    """
    held = np.unique(np.stack([own.row, own.code, piece]).astype(np.int64), axis=1)
    row, piece_of = held[0], held[2]
    sender = principal[row].astype(np.int64)
    pieces, senders = distinct(piece_of), distinct(sender)
    while True:
        kept = np.isin(piece_of, pieces)
        who, place = np.unique(sender[kept], return_inverse=True)
        of_each = np.bincount(place)
        exchanges = np.bincount(np.searchsorted(who, principal[distinct(row[kept])]), minlength=len(who))
        sent = distinct(place.astype(np.int64) << 32 | piece_of[kept])
        several = np.bincount(sent >> 32, minlength=len(who)) > 1
        at_once = of_each / exchanges
        takes = several & (at_once >= OF_TYPICAL * _weighted_median(at_once, of_each))
        by_piece, users = sent & 0xFFFFFFFF, takes[sent >> 32]
        share = np.bincount(by_piece, users) / np.maximum(np.bincount(by_piece), 1)
        left, inside = pieces[share[pieces] >= THEIRS], who[takes]
        if len(left) == len(pieces) and np.array_equal(inside, senders):
            return pieces, senders
        pieces, senders = left, inside


def _weighted_median(values: NDArray[np.float64], weights: NDArray[np.int64]) -> float:
    order = np.argsort(values, kind="stable")
    total = np.cumsum(weights[order])
    return float(values[order[np.searchsorted(total, total[-1] / 2)]]) if len(values) else 0.0


def _sequence(
    batches: Iterable[pa.RecordBatch], numbering: Dictionary, whole_of_code: NDArray[np.int32],
    wanted: NDArray[np.int32],
) -> Sequence:  # fmt: skip
    """Fragments of wholes in system prompt and new text of the ``wanted`` exchanges."""
    rows, codes, beside = [wanted[:0]], [wanted[:0]], [np.empty(0, bool)]
    start = 0
    for batch in batches:
        first, last = between(wanted, start, start + batch.num_rows)
        if first < last:
            parts = parts_of(batch)
            chosen = np.zeros(batch.num_rows, bool)
            chosen[wanted[first:last] - start] = True
            of_part = np.repeat(np.arange(batch.num_rows, dtype=np.int32), np.diff(parts.row_bounds))
            kept = np.flatnonzero(chosen[of_part] & _in_order(parts))
            place = places(parts.bounds[kept], parts.bounds[kept + 1])
            code = numbering.find(parts.values[place])
            held = (code >= 0) & (whole_of_code[code] >= 0)
            part = np.repeat(kept, np.diff(parts.bounds)[kept])[held]
            place, code = place[held], code[held]
            follows = (place[1:] == place[:-1] + 1) & (part[1:] == part[:-1]) & (code[1:] != code[:-1])
            rows.append(of_part[part] + np.int32(start))
            codes.append(code)
            beside.append(np.r_[follows, False][: len(code)])
        start += batch.num_rows
    return Sequence(np.concatenate(rows), np.concatenate(codes), np.concatenate(beside))


def _in_order(parts: Parts) -> NDArray[np.bool_]:
    """Parts whose fragments stand in the order of the text: of long prompts the smallest alone are kept, in theirs."""
    whole = np.diff(parts.bounds) < DEFAULT_LIMITS.prompt_fragments
    ordered: NDArray[np.bool_] = (parts.role == NEW) | (parts.role == SYSTEM) & whole
    return ordered


def _recombined(own: Sequence, rows: NDArray[np.int32], principal: NDArray[np.int32]) -> float:
    """What one whole of the exchanges ``rows`` is worth, 0 to 1: the share of its fragments that are wordings, less where
    principals keep their own, where one fragment leads to the next, where they often send the same ones, where more stays
    than a sentence, and where hardly a wording comes back."""
    held = distinct(own.code.astype(np.int64) << 32 | own.row)
    code, row = held >> 32, (held & 0xFFFFFFFF).astype(np.int32)
    size = int(own.code.max(initial=-1)) + 1
    counts = np.bincount(code, minlength=size)
    wording = counts <= USUAL * len(rows)
    worded = wording[code]
    if not worded.any():
        return 0.0
    pairs, times = np.unique(code[worded] << 32 | principal[row[worded]], return_counts=True)
    of_each = np.bincount(principal[rows])
    same = drawn_alike(
        pairs >> 32, times, counts, np.zeros(size, np.int32), np.array([len(rows)]),
        np.array([float((of_each * (of_each - 1.0)).sum())]), 1,
    )  # fmt: skip
    at = np.flatnonzero(own.beside)
    left, right, by = own.code[at], own.code[at + 1], principal[own.row[at]]
    branching = min(_branching(left, right, by), _branching(right, left, by))
    alike, among = _meetings(code[worded], row[worded], rows, principal)
    sent = float(counts[wording].sum())
    share = float((counts[wording] ** 2.0).sum()) / (sent * len(rows))
    told = recombined(*(np.array([one]) for one in (alike, among, share)))
    varies = float(sent / counts.sum())
    loose = np.clip((varies - (1 - FIXED)) / (FIXED - STAYS), 0, 1)
    back = np.clip((share - UNIQUE) / (REPEATED - UNIQUE), 0, 1)
    return varies * float(loose * back * same[0]) * min(branching / OPEN, 1.0) * float(told[0])


def _meetings(
    code: NDArray[np.int64], row: NDArray[np.int32], rows: NDArray[np.int32], principal: NDArray[np.int32]
) -> tuple[float, float]:
    """Ordered pairs of exchanges of different principals that hold the same fragments, and all such pairs."""
    word = code.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    content = np.zeros(len(rows), np.uint64)
    np.add.at(content, np.searchsorted(rows, row), word ^ (word >> np.uint64(31)))
    _, text = np.unique(content, return_inverse=True)
    by = principal[rows]
    every = np.zeros(len(rows), np.int64)
    return _pairs(text) - _pairs(text, by), _pairs(every) - _pairs(every, by)


def _branching(fragment: NDArray[np.int32], beside: NDArray[np.int32], principal: NDArray[np.int32]) -> float:
    """Chance that two principals who send the same fragment have different ones beside it."""
    every = _pairs(fragment) - _pairs(fragment, principal)
    if every < 2 * LEAST_PAIRS:
        return 0.0
    return 1 - (_pairs(fragment, beside) - _pairs(fragment, beside, principal)) / every


def _pairs(*columns: NDArray[Any]) -> float:
    """Ordered pairs of entries that are the same in every column."""
    name = columns[0].astype(np.int64)
    for column in columns[1:]:
        name = np.unique(name << 32 | column, return_inverse=True)[1].astype(np.int64)
    times = np.unique(name, return_counts=True)[1]
    return float((times * (times - 1.0)).sum())
