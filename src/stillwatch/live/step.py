"""The live step: take in what comes, and look at all that is known so far with the functions of a scan.

A look at a moment gives the families, signals, bits and verdicts that a scan of the exchanges before that moment would
give (of each exchange once, and back to the begin of the window). What differs is when somebody is accused: a look
every hour has many chances to be wrong, so an accusation takes a margin beyond the bar of a scan: what a calibration
over looks asks for, or else one of prudence, which must hold at several looks in a row.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from stillwatch.calibration import decisions, guarantee, record
from stillwatch.calibration.conformal import NOTHING
from stillwatch.calibration.evidence_over_time import e_value
from stillwatch.calibration.labels import Labels
from stillwatch.examine import examine
from stillwatch.families.fragments import Presence
from stillwatch.judging import judge
from stillwatch.live.arrivals import Arrivals
from stillwatch.live.naming import Group, Named, Names
from stillwatch.live.nearness import comes_near
from stillwatch.streams import DAY_US, HOUR_US
from stillwatch.verdict import Verdict, margin

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pyarrow as pa

    from stillwatch.calibration.guarantee import Guarantee
    from stillwatch.examine import Options, Scanned
    from stillwatch.judging import Judged
    from stillwatch.keys import Keys
    from stillwatch.live.history import History


@dataclass(frozen=True, slots=True)
class Looking:
    """When a live run looks, and what an accusation takes beyond the bar of a scan."""

    step_us: int = HOUR_US
    """Time between two looks."""

    window_us: int = 30 * DAY_US
    """How far back exchanges are known; older days are forgotten at midnight, UTC."""

    margin_bits: float = 6.0
    """Bits beyond the threshold of a scan that the evidence must exceed."""

    looks: int = 2
    """Looks with new exchanges, in a row, at which it must, with the principal taking part: families that touch are joined
    at one look and apart at the next, and who was in it for an hour is no part of it."""

    sooner: int = 6
    """Looks in the time of one step where evidence comes near the bar and grows fast; 1 for no more than elsewhere."""

    @property
    def cadence(self) -> record.Cadence:
        """How traffic is looked at, as a calibration says it."""
        return record.Cadence(self.step_us / 1e6, self.window_us / 1e6, self.soonest_us / 1e6)

    @property
    def soonest_us(self) -> int:
        """Time to the next look where evidence comes near the bar."""
        return self.step_us // self.sooner


@dataclass(frozen=True, slots=True)
class Flag:
    """A principal that is accused for the first time."""

    account_id: str
    end_user_id: str | None
    campaign_id: str
    flagged_us: int
    """Time of the look, microseconds since 1970."""

    probability: float
    evidence_bits: float
    extraction_exchanges: int
    """Exchanges of the campaign that the principal had sent by then."""

    e_value: float | None = None
    """What the campaign's evidence is worth over looks; None without a calibration."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A group that a scan would accuse, at one look."""

    campaign_id: str
    at_us: int
    evidence_bits: float
    margin_bits: float
    """Bits beyond the threshold of a scan."""

    exchanges: int
    principals: int
    """Principals who take part."""

    flagged: bool
    """Whether it is accused here too."""

    e_value: float | None = None
    """What the evidence is worth over looks; None without a calibration."""


@dataclass(frozen=True, slots=True)
class Look:
    """What one look found."""

    at_us: int
    flags: tuple[Flag, ...] = ()
    campaigns: tuple[Seen, ...] = ()
    scanned: Scanned | None = None
    """All that was examined; None where nothing was new."""


def raised(options: Options, looking: Looking) -> Options:
    """The options with the bar at what an accusation takes at a look."""
    calibrated = options.calibration.excess if options.calibration else NOTHING
    excess = max(options.bar.excess, looking.margin_bits, calibrated)
    return replace(options, bar=replace(options.bar, excess=excess))


class Live:
    """Sketches in, flags out. Time is that of the exchanges, and moves when ``look`` is told to.

    ``history`` holds what is known and must be empty; ``keys`` are those of the sketches. Raises ``CalibrationError``
    where the options hold a calibration that was not made for such looks.
    """

    def __init__(self, history: History, keys: Keys, options: Options, looking: Looking) -> None:
        self._history, self._keys, self._options, self._looking = history, keys, options, looking
        if options.calibration is not None:
            record.check(options.calibration, options, looking.cadence)
        self._excess = raised(options, looking).bar.excess
        self._presence = Presence(options.rule.least_principals)
        self._arrivals = Arrivals(keys)
        self._names = Names()
        self._in_a_row: Counter[tuple[int, str]] = Counter()
        self._flagged: dict[tuple[int, str], Flag] = {}
        self._standing: set[tuple[int, str]] = set()
        self._looked_us = -(2**62)
        self.counts = self._arrivals.counts
        self.next_us = looking.step_us
        """Time to the next look, as the last one would have it."""
        self.assured: Guarantee | None = None
        """What is known of the chance of a false accusation, as of the last look."""

    @property
    def flags(self) -> list[tuple[Flag, bool]]:
        """All flags so far, and whether the last look still accuses the principal."""
        return [(flag, key in self._standing) for key, flag in self._flagged.items()]

    def observe(self, batch: pa.RecordBatch, now_us: int, came_us: int | None = None) -> None:
        """Take in sketches at ``now_us``; they count from the first look after their own time.

        ``came_us``: when they came, where that was before.
        """
        self._arrivals.take(
            batch, now_us if came_us is None else came_us, self._looked_us, self._oldest(now_us)
        )

    def look(self, now_us: int) -> Look:
        """Examine what is known of the time before ``now_us``; nothing is done where nothing is new."""
        if now_us <= self._looked_us:
            raise ValueError("a look must be later than the one before it")
        if self._oldest(now_us) > self._oldest(self._looked_us):
            self._forget(self._oldest(now_us))
        self._looked_us = now_us
        due = self._arrivals.due(now_us, self._oldest(now_us))
        if due is None:
            return Look(now_us)
        self._history.append(due)
        self._presence.observe(due)
        scanned = examine(self._history, self._presence, self._options)
        named, groups = self._accusing(scanned)
        flags, campaigns = self._accuse(scanned, named, groups, now_us)
        flagged = {seen.campaign_id for seen in campaigns if seen.flagged}
        done = {number for number, name in named.items() if name.name in flagged}
        near = comes_near(scanned, groups, done, now_us - self._looking.step_us, self._options.bar)
        self.next_us = self._looking.soonest_us if near else self._looking.step_us
        return Look(now_us, flags, campaigns, scanned)

    def _oldest(self, now_us: int) -> int:
        return (now_us - self._looking.window_us) // DAY_US * DAY_US

    def _forget(self, before_us: int) -> None:
        gone = self._history.forget(before_us)
        if gone:
            self.counts.forgotten += gone
            self._arrivals.keep_only(self._history)
            self._presence = Presence(self._options.rule.least_principals)
            for batch in self._history:
                self._presence.observe(batch)

    def _accusing(self, scanned: Scanned) -> tuple[dict[int, Named], list[Judged]]:
        """Groups after all that speaks for the innocent, as a scan rules on them, and the names of the accused."""
        groups = judge(scanned, scanned.merged, scanned.groups.judged, scanned.by_group, self._options)
        self.assured = guarantee.assess(scanned, groups, self._keys, self._options)
        groups = guarantee.restrain(groups, self.assured)
        names = scanned.families.identify()
        label = scanned.groups.label
        suggested = [
            ["c-" + names[family][2:] for family in np.flatnonzero(label == number).tolist()]
            for number in range(scanned.groups.count)
        ]
        accused = [number for number, one in enumerate(groups) if one.ruling.verdict is Verdict.EXTRACTION]
        core = scanned.groups.judged[scanned.families.fragment_family]
        given = self._names.give(
            [
                Group(np.sort(scanned.families.fragments[core == number]), suggested[number])
                for number in accused
            ]
        )
        named = dict(zip(accused, given, strict=True))
        ids = [named[place].name if place in named else own[0] for place, own in enumerate(suggested)]
        matched = decisions.match(scanned, groups, names, ids, self._options.labels or Labels(()))
        least = self._options.rule.least_principals
        return named, decisions.hold_back(groups, matched, least).accusing

    def _accuse(
        self, scanned: Scanned, named: dict[int, Named], groups: Sequence[Judged], now_us: int
    ) -> tuple[tuple[Flag, ...], tuple[Seen, ...]]:
        new: list[Flag] = []
        seen = []
        standing = set()
        in_a_row: Counter[tuple[int, str]] = Counter()
        calibration = self._options.calibration
        for number, name in named.items():
            judged = groups[number]
            if judged.ruling.verdict is not Verdict.EXTRACTION:
                continue
            beyond = float(margin(judged.case.bits, judged.case.doubted, self._options.bar))
            worth = None if calibration is None else e_value(beyond, calibration.scores)
            exchanges = dict(zip(judged.principals.tolist(), judged.exchanges.tolist(), strict=True))
            flagged = False
            for principal in judged.taking_part.tolist() if beyond > self._excess else ():
                known = int(scanned.principals.hashes[principal])
                in_a_row[known, name.name] = 1 + max(self._in_a_row[known, one] for one in name.also)
                if in_a_row[known, name.name] < self._looking.looks:
                    continue
                flagged = True
                keys = [(known, one) for one in sorted(name.also) if (known, one) in self._flagged]
                if not keys:
                    keys = [(known, name.name)]
                    flag = Flag(
                        *scanned.principals.name(principal), name.name, now_us, judged.ruling.probability,
                        judged.case.bits, exchanges[principal], worth,
                    )  # fmt: skip
                    self._flagged[keys[0]] = flag
                    new.append(flag)
                standing.update(keys)
            seen.append(
                Seen(
                    name.name, now_us, judged.case.bits, beyond, int(judged.exchanges[judged.part].sum()),
                    int(judged.part.sum()), flagged, worth,
                )
            )  # fmt: skip
        self._in_a_row, self._standing = in_a_row, standing
        return tuple(new), tuple(seen)
