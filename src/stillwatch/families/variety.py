"""How much the wordings of a template vary, where each principal varies them alike.

A shared prompt is pasted or sent by a program: word for word the same, or in a version that a principal keeps. A template of
which the sentences are reworded and recombined from one exchange to the next, by all its principals from one stock of
wordings, is made not to be recognised.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numba
import numpy as np

from stillwatch.distinct import distinct
from stillwatch.ranges import places

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.families.outlines import Outlines

UNIT = 1000
"""Variety of a template of which every fragment varies."""

LEAST_EXCHANGES, LEAST_FRAGMENTS = 60, 4
"""Exchanges of a family, and fragments of its template in each, below which nothing is said."""

RARE, USUAL = 0.04, 0.6
"""Shares of a family's exchanges between which a fragment is one wording of several."""

VERSIONS, RECOMBINED = 5.0, 7.0
"""Bits of collision entropy (Rényi 1961) of a template's text up to which it comes in versions, and from which it is
recombined. Three sentences of six wordings each have 8; six modules in two versions each have 6."""

SEVERAL, TWO, MORE = 0.2, 0.3, 2.0
"""Mean share of exchanges that a wording is sent in, each as often as it is sent, up to which there are several of each
sentence, and from which most come in two; and the bits more that are asked for then."""

LEAST_PAIRS = 20
"""Pairs of one principal's exchanges with one wording in common, expected by chance, below which nothing is said."""


def variety(
    outlines: Outlines,
    family: NDArray[np.int32],
    member_outline: NDArray[np.int32],
    member_family: NDArray[np.int32],
    families: int,
) -> NDArray[np.int32]:
    """Variety of each family's wordings, 0 to ``UNIT``: int32[families].

    ``family`` is the family of each fragment, -1 for none; the next two are the families of outlines, in order of
    outline. The value is the share of the matched fragments that vary, less where exchanges match more or fewer of them
    (as everyday phrases do, and optional paragraphs), less where a principal comes back to its own wordings (a
    version of a client, say), and less where two principals often send the same ones, as they do of a prompt in modules.
    """
    outline, fragment = outlines.postings()
    counts, sizes, squares, varying = _count(
        outline, fragment, outlines.times, family, member_outline, member_family, families
    )
    held = np.bincount(family[family >= 0], weights=counts[family >= 0], minlength=families)
    weights = outlines.times[member_outline]
    exchanges = np.bincount(member_family, weights=weights, minlength=families).astype(np.int64)
    share = counts / np.maximum(exchanges[family], 1)
    wording = (family >= 0) & (share >= RARE) & (share <= USUAL)
    mean = sizes / np.maximum(exchanges, 1)
    spread = np.sqrt(np.maximum(squares / np.maximum(exchanges, 1) - mean**2, 0)) / np.maximum(mean, 1)
    mass = np.bincount(family[wording], weights=counts[wording], minlength=families) / np.maximum(held, 1)
    spoken = (exchanges >= LEAST_EXCHANGES) & (mean >= LEAST_FRAGMENTS) & (mass > 0) & (spread < 0.5)
    sent, apart = (
        np.bincount(family[wording], counts[wording] * share[wording] ** power, families) for power in (0, 1)
    )
    value = np.where(spoken, mass * (1 - 2 * np.minimum(spread, 0.5)), 0.0)
    chosen = varying & wording[fragment] & spoken[family[fragment]]
    pairs, times = _pairs(outlines, fragment[chosen], outline[chosen])
    mine = np.flatnonzero(spoken[member_family])  # of the others nothing is said
    own, held_by = _pairs(outlines, member_family[mine], member_outline[mine])
    of_one = np.bincount(own >> 32, weights=held_by * (held_by - 1.0), minlength=families).astype(np.float64)
    alike = drawn_alike(pairs >> 32, times, counts, family, exchanges, of_one, families)
    text = _texts(outline[chosen], family[fragment[chosen]], fragment[chosen])
    of_text, times = _pairs(outlines, text.name, text.outline)
    same = _same(of_text >> 32, times, text.family, families)
    among = exchanges * (exchanges - 1.0) - of_one
    return np.round(UNIT * value * alike * recombined(same, among, apart / np.maximum(sent, 1))).astype(
        np.int32
    )


def recombined(
    same: NDArray[np.float64], among: NDArray[np.float64], share: NDArray[np.float64]
) -> NDArray[np.float64]:
    """1 where hardly two exchanges of different principals have the same wordings, 0 where a few versions are sent.

    ``same``: ordered pairs of such exchanges with the same wordings; ``among``: all of them; ``share``: mean share of the
    exchanges that a wording is sent in.
    """
    entropy = -np.log2((same + 0.5) / np.maximum(among, 1))
    entropy -= MORE * np.clip((share - SEVERAL) / (TWO - SEVERAL), 0, 1)
    return np.clip((entropy - VERSIONS) / (RECOMBINED - VERSIONS), 0, 1)


class _Texts(NamedTuple):
    """The wordings that outlines hold of families: t different ones, each of a family, and which outline has which."""

    family: NDArray[np.int32]
    """int32[t]: family of each text."""

    name: NDArray[np.int32]
    outline: NDArray[np.int32]


def _texts(outline: NDArray[np.int32], family: NDArray[np.int32], fragment: NDArray[np.int32]) -> _Texts:
    """Texts by outline and fragment, one entry a fragment of an outline, in order of outline."""
    held, entry = np.unique(family.astype(np.int64) << 32 | outline, return_inverse=True)
    content = np.zeros(len(held), np.uint64)
    word = fragment.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    word = (word ^ (word >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9)
    np.add.at(content, entry, word ^ (word >> np.uint64(32)))
    owner = (held >> 32).astype(np.int32)
    content += owner.astype(np.uint64) * np.uint64(0xD6E8FEB86659FD93)
    _, first, name = np.unique(content, return_index=True, return_inverse=True)
    return _Texts(owner[first], name.astype(np.int32), (held & 0xFFFFFFFF).astype(np.int32))


def _same(
    name: NDArray[np.int64], times: NDArray[np.int64], family: NDArray[np.int32], families: int
) -> NDArray[np.float64]:
    """Ordered pairs of exchanges of different principals with the same text, by family: float64[families].

    ``name`` and ``times``: text of each pair of one and a principal, and the exchanges of the pair; ``family``: of each.
    """
    every = np.bincount(name, weights=times, minlength=len(family))
    within = np.bincount(name, weights=times * (times - 1.0), minlength=len(family))
    return np.bincount(family, weights=every * (every - 1) - within, minlength=families).astype(np.float64)


def _pairs(
    outlines: Outlines, name: NDArray[np.int32], outline: NDArray[np.int32]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of a name and a principal, ``name << 32 | principal``, and the exchanges of each.

    A name belongs to all exchanges that have its ``outline``.
    """
    lengths = np.diff(outlines.user_bounds)[outline]
    place = places(outlines.user_bounds[outline], outlines.user_bounds[outline + 1])
    keys = np.repeat(name.astype(np.int64) << 32, lengths) | outlines.user[place]
    order = np.argsort(keys, kind="stable")
    keys = keys[order]
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else np.empty(0, np.int64)
    times = outlines.user_times[place][order].astype(np.int64)
    return keys[starts], np.add.reduceat(times, starts) if len(starts) else times


def drawn_alike(
    code: NDArray[np.int64], times: NDArray[np.int64], counts: NDArray[np.int64], family: NDArray[np.int32],
    exchanges: NDArray[np.int64], own: NDArray[np.float64], families: int,
) -> NDArray[np.float64]:  # fmt: skip
    """1 where a principal's wordings vary as those of different principals do, towards 0 where it keeps its own.

    ``code`` and ``times``: fragment of each pair of one and a principal, and the exchanges of the pair; ``own``: ordered
    pairs of one principal's exchanges in each family.
    """
    within = np.bincount(family[code], weights=times * (times - 1.0), minlength=families)
    used = distinct(code)
    every = np.bincount(family[used], weights=counts[used] * (counts[used] - 1.0), minlength=families)
    among = exchanges * (exchanges - 1.0) - own
    expected = own * (every - within) / np.maximum(among, 1)
    upper = within + 2 * np.sqrt(2 * within) + 2
    ratio: NDArray[np.float64] = np.minimum(expected / upper, 1.0) ** 2
    return np.where(expected >= LEAST_PAIRS, ratio, 0.0)


@numba.njit(nogil=True, cache=True)
def _count(
    row: Any, fragment: Any, times: Any, family: Any, member_row: Any, member_family: Any, families: int
) -> Any:
    """Exchanges of its family that hold each fragment; sum and sum of squares of each exchange's; which postings count.

    A row is an outline, and counts for as many exchanges as ``times`` says.
    """
    counts = np.zeros(len(family), np.int64)
    sizes, squares = np.zeros(families, np.int64), np.zeros(families, np.int64)
    counted = np.zeros(len(row), np.bool_)
    last = np.full(len(family), -1, np.int64)
    at = 0
    member = 0
    while member < len(member_row):
        own = member_row[member]
        stop = member
        while stop < len(member_row) and member_row[stop] == own:
            stop += 1
        while at < len(row) and row[at] < own:
            at += 1
        held = np.zeros(stop - member, np.int64)
        while at < len(row) and row[at] == own:
            code = fragment[at]
            if family[code] >= 0 and last[code] != own:
                for place in range(member, stop):
                    if member_family[place] == family[code]:
                        last[code] = own
                        counts[code] += times[own]
                        held[place - member] += 1
                        counted[at] = True
                        break
            at += 1
        for place in range(member, stop):
            sizes[member_family[place]] += held[place - member] * times[own]
            squares[member_family[place]] += held[place - member] ** 2 * times[own]
        member = stop
    return counts, sizes, squares, counted
