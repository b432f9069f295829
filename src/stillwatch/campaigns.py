"""Families to campaigns: suspects are joined by links, and each group is one stream that is judged as a
whole."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from stillwatch.distinct import distinct, distinct_pairs
from stillwatch.evidence import DOSE, INTENT
from stillwatch.forest import Forest
from stillwatch.links import all_links
from stillwatch.links.base import Linked, Suspects, overlaps
from stillwatch.ranges import places

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.evidence import Measured
    from stillwatch.memberships import Members
    from stillwatch.principals import Principals


AROUND = 0.8
"""Share of a stronger family's exchanges that a family must hold to lie around it."""

TOUCHED = 0.05
"""Share of a group's exchanges that a stronger campaign may hold before they are taken out."""

THEIRS = 0.9
"""Share of a family's principals who send a stronger one too, from which it is the same hand's."""


@dataclass(frozen=True, slots=True)
class Suspicion:
    """Which families links may join. A low bar: a group is judged again before anybody is accused."""

    objective: float = 0.1
    """Least value of the objective signal."""

    weak: float = -2.0
    """Least bits of any suspect: what more speaks against is no part of a campaign, but for pieces of one."""

    piece: float = -9.0
    """Least bits of a suspect that may be a piece of a template: where sentences are recombined, each family holds a part of
    what its principals send, and weighs little by itself."""

    piece_returning: float = 0.15
    """Least value of the dose signal of such a piece."""

    attached: float = 0.8
    """Share of the exchanges by principals of a core that makes a weak suspect which lies inside the core part of
    that campaign."""

    plain: float = 0.4
    spread: float = 0.25
    beside: float = 0.95
    """Least value of the objective signal, where not one hand seems to move it anyway, least share of the core's
    principals, and least share of the exchanges by principals of the core, that make a weak suspect with exchanges
    of its own part of the campaign. Camouflage may be dealt out by the same hand, and some of it asks for
    something, but its text is of ordinary customers, and they send it too."""

    alike: float = 0.5
    """Principals that two families have in common, as a share of all that either has, from which weak suspects that a
    link joins are judged together. None of them clears the bar, so only what is sent by much the same principals may
    add up: camouflage that an operator's accounts share is sent by many others too, who would be accused with it."""

    moved_bits: float = 5.0
    same: float = 0.8
    """Least bits without the objective signal, and least share of principals in common (Jaccard 1912), of a family that asks
    for nothing and is judged together with a weak suspect of the same principals. An operator works for several
    objectives, and a frame around its templates may be most of what it sends."""

    loss: float = 6.0
    """Bits that joining may cost against the strongest family alone; beyond, the families are kept apart."""


@dataclass(frozen=True, slots=True)
class Groups:
    """Suspect families joined into g groups, the candidates for a campaign."""

    label: NDArray[np.int32]
    """int32[families]: group of each family, -1 where it is no suspect."""

    core: NDArray[np.bool_]
    """bool[families]: whether the family's exchanges are evidence; attached ones belong to the campaign
    without."""

    links: tuple[Linked, ...]

    @property
    def count(self) -> int:
        """Number of groups."""
        return int(self.label.max(initial=-1)) + 1

    @property
    def judged(self) -> NDArray[np.int32]:
        """``label``, -1 for families that are only attached: the streams on which evidence is measured."""
        return np.where(self.core, self.label, -1).astype(np.int32)


def group(
    members: Members,
    measured: Measured,
    principals: Principals,
    rule: Suspicion,
    accused: list[int],
    unexplained: NDArray[np.bool_],
    whole: NDArray[np.int32],
) -> Groups:
    """Join suspect families. Groups are numbered in order of their first family, whose numbers follow their
    names. ``members`` are in order of stream.

    ``accused``: families whose evidence clears the bar by itself; they form cores, joined by every link. A
    weak suspect attaches itself to the core whose principals send nearly all of it, and is no evidence: a
    chain of everyday phrases can neither swallow a campaign nor dilute it. The other weak suspects are joined
    where much the same principals send them, and judged together, and so are those that ask for nothing while one
    hand seems to move them (``unexplained``: bool[families]). What asks for nothing is judged with a weak suspect that the
    same principals send. The pieces of one recombined template (``whole``: int32[families], -1 for none) are one, also those
    that are no suspects by themselves, but for those that lie in a core.
    """
    asked, moved, beside = _suspects(measured, rule, unexplained)
    suspects = np.flatnonzero(asked | beside).astype(np.int32)
    strong = np.zeros(len(asked), bool)
    strong[accused] = True
    known = _know(suspects, members, principals)
    inner, around = _nested(known, strong, measured)
    strong[[*inner, *around]] = False
    forest = Forest(np.flatnonzero(asked | beside | (whole >= 0)).tolist())
    links = _find(_only(known, strong))
    for link in links:
        forest.join(link.first, link.second)
    home = _attach(_only(known, asked), strong, forest, principals, rule, measured.of(INTENT), unexplained)
    home |= {family: forest.root(outer) for family, outer in inner.items()}
    free = asked & ~strong
    free[list(home)] = False
    weak = [
        link for kind in (free & ~moved, free & moved) for link in _find_alike(_only(known, kind), rule.alike)
    ]
    weak += _find_beside(_only(known, free | beside), beside, rule.same)
    for link in weak:
        forest.join(link.first, link.second)
    pieces = [family for family in np.flatnonzero((whole >= 0) & ~strong).tolist() if family not in home]
    for first, second in pairwise(sorted(pieces, key=lambda family: (int(whole[family]), family))):
        if whole[first] == whole[second]:
            forest.join(first, second)
    judged = set(np.flatnonzero(asked).tolist()).union(pieces, *((link.first, link.second) for link in weak))
    root = {family: forest.root(_settled(family, home)) for family in sorted(judged)}
    core = np.zeros(len(asked), bool)
    core[list(judged - home.keys())] = True
    return numbered(root, core, (*links, *weak))


def candidates(
    measured: Measured, rule: Suspicion, unexplained: NDArray[np.bool_], whole: NDArray[np.int32]
) -> NDArray[np.bool_]:
    """Families that may be part of a group, told as :func:`group` is told of them: bool[families]."""
    asked, _, beside = _suspects(measured, rule, unexplained)
    return asked | beside | (whole >= 0)


def _suspects(
    measured: Measured, rule: Suspicion, unexplained: NDArray[np.bool_]
) -> tuple[NDArray[np.bool_], NDArray[np.bool_], NDArray[np.bool_]]:
    """Families that are asked of, those of them that ask for nothing and are moved by one hand, and those that ask for
    nothing and may stand beside a suspect: bool[families] each."""
    asked = asking(measured, rule)
    moved = unexplained & ~asked
    asked = asked | moved
    return asked, moved, ~asked & (measured.total - measured.bits_of(INTENT) >= rule.moved_bits)


def asking(measured: Measured, rule: Suspicion) -> NDArray[np.bool_]:
    """Families that ask for something, and that not too much speaks against: bool[families]."""
    piece = (measured.total >= rule.piece) & (measured.of(DOSE) >= rule.piece_returning)
    asking: NDArray[np.bool_] = (measured.of(INTENT) >= rule.objective) & (
        (measured.total >= rule.weak) | piece
    )
    return asking


def _find(known: Suspects) -> tuple[Linked, ...]:
    return tuple(link for kind in all_links() for link in kind.find(known))


def _find_alike(known: Suspects, least: float) -> list[Linked]:
    """Links of families whose principals are at least to the share ``least`` the same (Jaccard 1912).

    Links go by pairs, so they are asked of those alone that such pairs hold together.
    """
    alike = set()
    forest = Forest(known.family.tolist())
    sizes = np.array([len(own) for own in known.principals], np.int64)
    for first, others, common in overlaps(known.principals):
        for second in others[common >= least * (sizes[first] + sizes[others] - common)].tolist():
            pair = int(known.family[first]), int(known.family[second])
            alike.add(pair)
            forest.join(*pair)
    parts: dict[int, list[int]] = {}
    for family in known.family.tolist():
        parts.setdefault(forest.root(family), []).append(family)
    chosen = np.zeros(int(known.family.max(initial=-1)) + 1, bool)
    found = []
    for part in parts.values():
        if len(part) > 1:
            chosen[part] = True
            found += [link for link in _find(_only(known, chosen)) if (link.first, link.second) in alike]
            chosen[part] = False
    return found


def _find_beside(known: Suspects, beside: NDArray[np.bool_], least: float) -> list[Linked]:
    """Links of a suspect with a family of much the same principals that asks for nothing (``beside``: bool[families])."""
    return [link for link in _find_alike(known, least) if beside[link.first] != beside[link.second]]


def _only(known: Suspects, chosen: NDArray[np.bool_]) -> Suspects:
    """The suspects that are chosen (bool[families]): links are looked for among few, since they go by pairs."""
    kept = np.flatnonzero(chosen[known.family])
    return replace(
        known,
        family=known.family[kept],
        rows=[known.rows[place] for place in kept],
        principals=[known.principals[place] for place in kept],
        payments=[known.payments[place] for place in kept],
    )


def _settled(family: int, home: dict[int, int]) -> int:
    """The family at the end of a chain of attachments."""
    while family in home:
        family = home[family]
    return family


def _nested(
    known: Suspects, strong: NDArray[np.bool_], measured: Measured
) -> tuple[dict[int, int], list[int]]:
    """Strong families that share their exchanges with a stronger one.

    Returns those that lie inside it (a phrase in the slots of its template, say) with that one, and those that lie
    around it (the prompt of a public agent that it hides behind): both look guilty through it. What hardly anybody but its
    principals sends is theirs and lies not around it. Each exchange is held by the strongest family that is neither, so
    one pass over the exchanges is enough.
    """
    rows, senders = (
        {family: own for family, own in zip(known.family.tolist(), each, strict=True) if strong[family]}
        for each in (known.rows, known.principals)
    )
    held = np.full(1 + max((int(own[-1]) for own in rows.values() if len(own)), default=0), -1, np.int64)
    inner: dict[int, int] = {}
    around = []
    for family in sorted(rows, key=lambda family: (-float(measured.total[family]), family)):
        own = rows[family]
        holders, counts = np.unique(held[own], return_counts=True)
        counts, holders = counts[holders >= 0], holders[holders >= 0]
        most = int(np.argmax(counts)) if len(counts) else -1
        if most >= 0 and 2 * counts.sum() >= len(own):
            inner[family] = int(holders[most])
        elif (
            most >= 0
            and counts[most] >= AROUND * len(rows[int(holders[most])])
            and np.isin(senders[family], senders[int(holders[most])]).mean() < THEIRS
        ):
            around.append(family)
        else:
            held[own[held[own] < 0]] = family
    return inner, around


def _attach(
    known: Suspects, strong: NDArray[np.bool_], forest: Forest, principals: Principals, rule: Suspicion,
    objective: NDArray[np.float64], unexplained: NDArray[np.bool_],
) -> dict[int, int]:  # fmt: skip
    """For each weak suspect that the principals of one core send nearly all of: the root of that core."""
    cores: dict[int, list[NDArray[np.int32]]] = {}
    for family, own in zip(known.family.tolist(), known.principals, strict=True):
        if strong[family]:
            cores.setdefault(forest.root(family), []).append(own)
    inside_core = np.zeros(len(principals.of_row), bool)
    for family, rows in zip(known.family.tolist(), known.rows, strict=True):
        if strong[family]:
            inside_core[rows] = True
    inside = {root: np.zeros(principals.count, bool) for root in cores}
    for root, sets in cores.items():
        inside[root][np.concatenate(sets)] = True
    home = {}
    for family, rows, own in zip(known.family.tolist(), known.rows, known.principals, strict=True):
        if strong[family] or not cores or not len(rows):
            continue
        owners = principals.of_row[rows]
        best = max(sorted(cores), key=lambda root: float(inside[root][owners].mean()))
        overlap = float(inside_core[rows].mean())
        shared = inside[best][own].sum() >= rule.spread * inside[best].sum()
        # Neither inside the core nor beside it: a prompt that the campaign, its camouflage and others use.
        beside = overlap < TOUCHED and shared and (objective[family] >= rule.plain or unexplained[family])
        least = rule.beside if beside else rule.attached
        if (overlap >= 0.5 or beside) and inside[best][owners].mean() >= least:
            home[family] = best
    return home


def numbered(root: dict[int, int], core: NDArray[np.bool_], links: tuple[Linked, ...]) -> Groups:
    """Groups of the families with one root, in order of their first."""
    label = np.full(len(core), -1, np.int32)
    first: dict[int, int] = {}
    for family in sorted(root):
        label[family] = first.setdefault(root[family], len(first))
    return Groups(label, core, tuple(link for link in links if label[link.first] == label[link.second]))


def _know(suspects: NDArray[np.int32], members: Members, principals: Principals) -> Suspects:
    bounds = np.searchsorted(members.stream, np.stack([suspects, suspects + 1]))
    rows = [distinct(members.row[start:stop]) for start, stop in bounds.T]
    own = [distinct(principals.of_row[row]) for row in rows]
    payments, holders = _payments(own, principals)
    lives = principals.first_us, principals.last_us
    return Suspects(suspects, rows, own, payments, principals.count, holders, *lives)


def _payments(
    sets: list[NDArray[np.int32]], principals: Principals
) -> tuple[list[NDArray[np.int64]], dict[int, int]]:
    owner, value = principals.payments
    _, of_accounts = distinct_pairs(principals.account[owner], value)
    held, counts = np.unique(of_accounts, return_counts=True)
    found = []
    starts = np.searchsorted(owner, np.arange(principals.count + 1))  # pairs are in order of their owner
    for own in sets:
        inside = places(starts[own], starts[own + 1])
        account = principals.account[owner[inside]].astype(np.int64)
        found.append(np.stack(distinct_pairs(account, value[inside])))
    return found, dict(zip(held.tolist(), counts.tolist(), strict=True))
