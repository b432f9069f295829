"""The examination of a sketched log: families, streams, signals, groups and their evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from stillwatch import memberships, stream_counts, stream_tables, streams
from stillwatch.borrowed import without_borrowers
from stillwatch.campaigns import Groups, Suspicion, candidates, group
from stillwatch.engine.memory import BYTES_OF_A_MEMBER, DEFAULT, amount, return_what_is_freed
from stillwatch.engine.named import DUCKDB, open_engine
from stillwatch.evidence import Measured, load_weights, measure
from stillwatch.families.assign import Families, Rule, find_families
from stillwatch.families.recombination import recombination
from stillwatch.families.slots import slots
from stillwatch.fingerprint import SKETCH_SCHEMA
from stillwatch.principals import Principals, covered, describe_principals
from stillwatch.registry import Registry
from stillwatch.regrouping import peel, split
from stillwatch.rejects import DEFAULT_LIMIT
from stillwatch.screening import may_matter, screen
from stillwatch.spool import chunks_of, let_go, opens_conversation, put_aside
from stillwatch.verdict import Bar, accused, unexplained
from stillwatch.wholes import of_senders, refilled, taken_in, wholes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.calibration.labels import Labels
    from stillwatch.calibration.record import Calibration
    from stillwatch.engine.base import Engine
    from stillwatch.families.fragments import Presence
    from stillwatch.peers import Peers
    from stillwatch.spool import Columns, Sketches


@dataclass(frozen=True, slots=True)
class Options:
    """What a scan may be told; the defaults are those that the README reports on."""

    rule: Rule = Rule()
    suspicion: Suspicion = Suspicion()
    bar: Bar = Bar()
    registry: Registry = Registry()
    releases: Mapping[str, datetime] = field(default_factory=dict)
    unsupported_regions: frozenset[str] = frozenset()
    reject_share: float = DEFAULT_LIMIT
    show_text: bool = False
    sketch_only: bool = False
    """Write nothing of any text: no examples."""

    memory: str = DEFAULT
    """What the run may take, such as ``4GB``; a log of few exchanges takes less."""

    engine: str = DUCKDB
    """What runs the statistics, and with Spark the pass over the text too."""

    calibration: Calibration | None = None
    labels: Labels | None = None
    shadow: int = 0
    """Families below the threshold that are drawn for review."""

    peers: Peers | None = None
    """What peers said; read for a circle key that the sketches were made with."""

    peer_bits: float = 4.0
    """Bits that a peer's word weighs at most: see :mod:`stillwatch.corroboration`."""


PARTITION, OF_FEW = "partition", 0.8
"""The signal that knows an evaluation by its items, and its least value from which what fills slots is no evaluation's."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """Everything that was found in a log, before it is put into words."""

    sketches: Columns
    principals: Principals
    licensed: NDArray[np.bool_]
    families: Families
    by_family: Measured
    in_full: NDArray[np.bool_]
    """bool[families]: those that every signal was asked of; of the others two are stated."""

    groups: Groups
    merged: memberships.Members
    by_group: Measured

    def every_family(self) -> memberships.Members:
        """Every family as a stream of its own, with its scores read once more: held all the while, they would be a good part
        of a large log's memory."""
        return memberships.family_members(self.families, self.sketches)


class _Scale:
    """Measures the streams of one log, each once: a group that is a family alone was measured as that family."""

    def __init__(self, engine: Engine, sketches: Columns, owners: stream_tables.Owners, at_once: int) -> None:
        self._engine, self._sketches, self._owners, self._at_once = engine, sketches, owners, at_once
        self._weights = load_weights()
        self._place: dict[int, int] = {}
        self._known = Measured.nothing(self._weights)

    def weigh(self, members: memberships.Members, chosen: Sequence[int], count: int) -> Measured:
        """Every signal on the ``chosen`` ones of the streams 0 to ``count`` - 1 of ``members``, in their order."""
        whole = memberships.contents(members, count).tolist()
        let_go(members.fill_stream, members.fill_row, members.fill)
        contents = [whole[stream] for stream in chosen]
        new = sorted(
            {content: stream for content, stream in zip(contents, chosen, strict=True)}.items(),
            key=lambda one: one[1],
        )
        new = [(content, stream) for content, stream in new if content not in self._place]
        sizes = np.bincount(members.stream, minlength=count)
        for some in _in_turns(new, sizes, self._at_once):
            part = memberships.only(members, np.array([stream for _, stream in some], np.int32))
            stream_tables.build(self._engine, part, self._sketches, self._owners)
            del part
            let_go(members.fill_stream, members.fill_row, members.fill)
            return_what_is_freed()
            self._place |= {content: len(self._place) + place for place, (content, _) in enumerate(some)}
            self._known = self._known.followed_by(measure(self._engine, len(some), self._weights))
        return self._known.take(np.array([self._place[content] for content in contents], np.int64))

    def weigh_all(self, members: memberships.Members, count: int) -> Measured:
        """Every signal on each of the streams 0 to ``count`` - 1 of ``members``."""
        return self.weigh(members, range(count), count)


def _in_turns(
    new: list[tuple[int, int]], sizes: NDArray[np.int64], at_once: int
) -> Iterator[list[tuple[int, int]]]:
    """The streams to measure, so many at a time that their tables fit into memory; signals look at each alone."""
    some: list[tuple[int, int]] = []
    held = 0
    for content, stream in new:
        if some and held + int(sizes[stream]) > at_once:
            yield some
            some, held = [], 0
        some.append((content, stream))
        held += int(sizes[stream])
    if some:
        yield some


def examine(spool: Sketches, presence: Presence, options: Options) -> Scanned:
    """Families, streams, signals, groups and their evidence, of sketches that are read several times."""
    sketches = spool.table(field.name for field in SKETCH_SCHEMA if field.name != "parts")
    principals = describe_principals(sketches)
    families = find_families(
        spool.only("parts", "principal"),
        presence,
        principals.hashes,
        opens_conversation(sketches),
        options.rule,
    )
    del presence
    licensed = covered(principals, options.registry)
    judged = memberships.keep_rows(
        memberships.family_members(families, sketches), ~licensed[principals.of_row]
    )
    screened, chosen = _chosen(judged, len(families.names), principals, options)
    judged = stream_tables.in_order(judged, chosen)
    judged = _filled(judged, families, chosen, ~licensed[principals.of_row], spool, options.rule)
    owners = stream_tables.Owners(
        principals.hashes, principals.of_row, streams.number(chunks_of(sketches, "model"))[0],
        stream_tables.lengths(chunks_of(sketches, "vocabulary")), sketches["at_us"].to_numpy(),
        *stream_tables.number_settings(sketches),
    )  # fmt: skip
    narrowed = spool.aside(
        streams.NARROW_SCHEMA,
        streams.narrowed(
            spool.only(*streams.NARROWED), owners.model,
            streams.number([principals.account_id])[0][principals.of_row],
            chunks_of(sketches, "country"), options.unsupported_regions,
        ),
    )  # fmt: skip
    stated = streams.releases_of(sketches, options.releases)
    memory = amount(options.memory)
    engine = open_engine(options.engine, memory, spool.folder)
    scale = _Scale(engine, sketches, owners, memory // BYTES_OF_A_MEMBER)
    try:
        streams.register_log(engine, narrowed, stated)
        places = np.flatnonzero(chosen)
        by_family = screened.replaced(places, scale.weigh(judged, places.tolist(), len(chosen)))
        strong = accused(by_family, options.bar)
        whole = wholes(judged, by_family, principals, options.suspicion, strong)
        alone = unexplained(by_family, options.bar)
        judged = memberships.of_those(judged, candidates(by_family, options.suspicion, alone, whole))
        return_what_is_freed()
        if (whole >= 0).any():
            whole, judged = _reworded(judged, families, whole, principals, spool)
        if (whole >= 0).any():
            judged = _refilled(judged, families, whole, scale, spool, options.rule)
        groups, merged, by_group = _grouped(
            judged, by_family, (strong, alone), whole, principals, scale, options
        )
    finally:
        engine.close()
    # Fills were measured and are asked for no more; there are more of them than of anything else.
    merged = merged.without_fills()
    return Scanned(sketches, principals, licensed, families, by_family, chosen, groups, merged, by_group)


def _grouped(
    members: memberships.Members, by_family: Measured, clear: tuple[list[int], NDArray[np.bool_]],
    whole: NDArray[np.int32], principals: Principals, scale: _Scale, options: Options,
) -> tuple[Groups, memberships.Members, Measured]:  # fmt: skip
    """Families that are judged together, as streams, and what these weigh: joined, taken apart where together they weigh
    less, and without those who only share a stream with others.

    ``clear``: families whose evidence clears the bar, and bool[families] of those that one hand seems to move.
    """
    strong, alone = clear
    groups = group(members, by_family, principals, options.suspicion, strong, alone, whole)
    merged = memberships.merge_streams(members, groups.judged)
    by_group = scale.weigh_all(merged, groups.count)
    cleared = strong, accused(by_group, options.bar)
    if (apart := split(groups, by_family, by_group, cleared, options.suspicion.loss)) is not None:
        groups, merged = apart, memberships.merge_streams(members, apart.judged)
        by_group = scale.weigh_all(merged, groups.count)
    if (
        one := taken_in(groups, merged, principals.of_row, accused(by_group, options.bar), whole)
    ) is not None:
        groups, merged = one, memberships.merge_streams(members, one.judged)
        by_group = scale.weigh_all(merged, groups.count)
    if (peeled := peel(groups, merged, accused(by_group, options.bar))) is not None:
        groups, merged = peeled
        by_group = scale.weigh_all(merged, groups.count)
    left = without_borrowers(
        merged, principals.of_row, accused(by_group, options.bar),
        lambda some, count: accused(scale.weigh_all(some, count), options.bar),
    )  # fmt: skip
    if left is not None:
        merged, by_group = left, scale.weigh_all(left, groups.count)
    return groups, merged, by_group


def _chosen(
    members: memberships.Members, count: int, principals: Principals, options: Options
) -> tuple[Measured, NDArray[np.bool_]]:
    """What is counted of each family, and which of them are measured in full: all, but for a large log."""
    screened = screen(members, principals.of_row[members.row], principals.count, count, load_weights())
    if principals.count <= options.rule.crowd:
        return screened, np.ones(count, bool)
    return screened, may_matter(screened, min(options.suspicion.objective, options.bar.intent))


def _reworded(
    members: memberships.Members,
    families: Families,
    whole: NDArray[np.int32],
    principals: Principals,
    spool: Sketches,
) -> tuple[NDArray[np.int32], memberships.Members]:
    """The wholes that are recombined, and the members with how much their wordings vary as pieces of them."""
    found = recombination(
        spool.only("parts"), families, whole, members.stream, members.row, principals.of_row
    )
    members = of_senders(members, found.whole, found.senders, principals.of_row)
    of_member = found.whole[members.stream]
    varied = np.where(of_member >= 0, found.value[of_member], 0).astype(np.int32)
    return found.whole, replace(members, variety=np.maximum(members.variety, varied))


def _refilled(
    members: memberships.Members, families: Families, whole: NDArray[np.int32], scale: _Scale, spool: Sketches,
    rule: Rule,
) -> memberships.Members:  # fmt: skip
    """The members where nothing of a recombined template fills the slots of its pieces, as long as few of those who send
    it have items in common: the items of an evaluation are pieces too."""
    count = int(whole.max()) + 1
    apart = scale.weigh_all(memberships.merge_streams(members, whole), count).of(PARTITION) >= OF_FEW
    told = np.where((whole >= 0) & apart[whole], whole, np.int32(-1))
    return refilled(members, families, told, spool.only("parts"), rule.fills)


def _filled(
    members: memberships.Members, families: Families, chosen: NDArray[np.bool_], kept: NDArray[np.bool_],
    spool: Sketches, rule: Rule,
) -> memberships.Members:  # fmt: skip
    """The members with what fills the slots of the ``chosen`` families in the exchanges in ``kept`` (bool[n]): there is
    more of than of anything else."""
    membership, fill = slots(spool.only("parts"), families, chosen, rule.fills)
    if not kept.all():
        inside = kept[families.row[membership]]
        membership, fill = membership[inside], fill[inside]
    stream, row = families.family[membership], families.row[membership]
    del membership
    bounds, fill, row = stream_counts.by_stream(stream, fill, row, len(chosen))
    fill, row = put_aside(fill, spool.folder), put_aside(row, spool.folder)
    stream = put_aside(np.repeat(np.arange(len(chosen), dtype=np.int32), np.diff(bounds)), spool.folder)
    return members.with_fills(stream, row, fill)
