"""The examination of a sketched log: families, streams, signals, groups and their evidence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from stillwatch import streams
from stillwatch.campaigns import Groups, Suspicion, group, peel, split
from stillwatch.engine.duckdb import DuckDBEngine
from stillwatch.evidence import Measured, load_weights, measure
from stillwatch.families.assign import Families, Rule, find_families
from stillwatch.fingerprint import SKETCH_SCHEMA
from stillwatch.principals import Principals, covered, describe_principals
from stillwatch.registry import Registry
from stillwatch.rejects import DEFAULT_LIMIT
from stillwatch.spool import opens_conversation
from stillwatch.verdict import Bar, accused, unexplained

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from stillwatch.calibration.labels import Labels
    from stillwatch.calibration.record import Calibration
    from stillwatch.families.fragments import Presence
    from stillwatch.peers import Peers
    from stillwatch.spool import Sketches


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

    memory: str = "2GB"
    calibration: Calibration | None = None
    labels: Labels | None = None
    shadow: int = 0
    """Families below the threshold that are drawn for review."""

    peers: Peers | None = None
    """What peers said; read for a circle key that the sketches were made with."""

    peer_bits: float = 4.0
    """Bits that a peer's word weighs at most: see :mod:`stillwatch.corroboration`."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """Everything that was found in a log, before it is put into words."""

    sketches: pa.Table
    principals: Principals
    licensed: NDArray[np.bool_]
    families: Families
    members: streams.Members
    by_family: Measured
    groups: Groups
    merged: streams.Members
    by_group: Measured


class _Scale:
    """Measures the streams of one log, each once: a group that is a family alone was measured as that family."""

    def __init__(self, engine: DuckDBEngine, sketches: pa.Table) -> None:
        self._engine, self._sketches, self._weights = engine, sketches, load_weights()
        self._place: dict[int, int] = {}
        self._known = Measured.nothing(self._weights)

    def weigh(self, members: streams.Members, count: int) -> Measured:
        """Every signal on the streams 0 to ``count`` - 1 of ``members``."""
        contents = streams.contents(members, count).tolist()
        new = sorted(
            {content: stream for stream, content in enumerate(contents)}.items(), key=lambda one: one[1]
        )
        new = [(content, stream) for content, stream in new if content not in self._place]
        if new:
            part = streams.only(members, np.array([stream for _, stream in new], np.int32), count)
            streams.build(self._engine, part, self._sketches)
            self._place |= {content: len(self._place) + place for place, (content, _) in enumerate(new)}
            self._known = self._known.followed_by(measure(self._engine, len(new), self._weights))
        return self._known.take(np.array([self._place[content] for content in contents], np.int64))


def examine(spool: Sketches, presence: Presence, options: Options) -> Scanned:
    """Families, streams, signals, groups and their evidence, of sketches that are read twice."""
    sketches = spool.table(field.name for field in SKETCH_SCHEMA if field.name != "parts")
    principals = describe_principals(sketches)
    families = find_families(spool, presence, principals.hashes, opens_conversation(sketches), options.rule)
    licensed = covered(principals, options.registry)
    members = streams.family_members(families, sketches)
    judged = streams.keep_rows(members, ~licensed[principals.of_row])
    narrowed = streams.narrow(sketches, options.unsupported_regions)
    stated = streams.releases_of(sketches, options.releases)
    engine = DuckDBEngine(options.memory)
    weigh = _Scale(engine, sketches).weigh
    try:
        streams.register_log(engine, narrowed, stated)
        by_family = weigh(judged, len(families.names))
        groups = group(
            judged, by_family, principals, options.suspicion, accused(by_family, options.bar),
            unexplained(by_family, options.bar),
        )  # fmt: skip
        merged = streams.merge_streams(judged, groups.judged)
        by_group = weigh(merged, groups.count)
        if (apart := split(groups, by_family, by_group, options.suspicion.loss)) is not None:
            groups, merged = apart, streams.merge_streams(judged, apart.judged)
            by_group = weigh(merged, groups.count)
        if (peeled := peel(groups, merged, accused(by_group, options.bar))) is not None:
            groups, merged = peeled
            by_group = weigh(merged, groups.count)
    finally:
        engine.close()
    return Scanned(sketches, principals, licensed, families, members, by_family, groups, merged, by_group)
