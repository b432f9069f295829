"""A peer's word as evidence: the templates that peers reported, found again in this log, and what that weighs.

Let a peer have reported a campaign with probability c. Of the m fragments of its template's sketch, a uniform sample
of the template, x are of a stream here. Then the two templates are one with a share of text of at least q, the lower
limit of x / m (Wilson 1927, one-sided 95%). Suppose that one in 2^B innocent texts that both houses see were reported by
this peer. Where the texts are one and the peer is right the likelihood ratio is at most 2^B, and where not it is 1, so

    bits = log2(1 + c q (2^B - 1)),    B = min(cap, log2(1 / r))

with r the share of this log's principals in the stream: that a text which everybody sends is found here too is no
news (the weight log2(1 / u) of Fellegi & Sunter 1969). How often a peer errs is not known, and it errs where this house
errs, on the same honest pipelines. So the cap is low (4 bits unless told otherwise: as if one in sixteen of the innocent
texts that both see were reported), and of several peers the best one counts, not their sum: one may
have it from the other.

A peer's word moves a verdict by one step at most: what is innocent by its own evidence becomes undetermined, and what
is undetermined by its own evidence may become extraction. A calibrated bar was made without peers, and they move nothing
across it.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from stillwatch.circle import templates
from stillwatch.distinct import distinct
from stillwatch.verdict import Verdict, rule

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stillwatch.examine import Options, Scanned
    from stillwatch.memberships import Members
    from stillwatch.peers import PeerCampaign, PeerTemplate
    from stillwatch.verdict import Bar, Case, Ruling

SIGNAL = "peers"
"""Name under which a peer's word stands among the evidence."""

HIGHEST_CAP = 4.0
"""Less than half of what an accusation takes at the default prior, so that a house's own evidence always weighs more."""

LEAST_FOUND = 3
"""Fragments of a peer's sketch that must be found: neighbours share words, and one sentence gives several."""

_Z = 1.645  # one-sided 95%


@dataclass(frozen=True, slots=True)
class Word:
    """A peer's template that was found in a stream of this log."""

    campaign: PeerCampaign
    template: PeerTemplate
    found: int
    """Fragments of its sketch that are of this stream's template."""
    bits: float
    addresses: int
    """Addresses of the peer's campaign, still valid, that the stream called from. They weigh nothing: many people
    share one."""
    own_verdict: Verdict | None = None
    """Verdict by this log's own evidence alone, once it was ruled on."""

    @property
    def share(self) -> float:
        """Share of the sketch that was found."""
        return self.found / len(self.template.sketch)

    @property
    def reason(self) -> str:
        """What was found, in one sentence."""
        of = len(self.template.sketch)
        told = (
            f"{self.found} of {of} fragments of a template that {self.campaign.said_by} reports as a campaign"
        )
        if self.campaign.disputed_by:
            return f"{told} are its own; another peer disagrees, so this weighs nothing"
        called = f", and {self.addresses:,} addresses of that campaign called" if self.addresses else ""
        return (
            f"{told} are its own{called}: a peer's word, not evidence of this log, and never enough by itself"
        )

    def as_json(self, stream: str, verdict: str) -> dict[str, Any]:
        """The row of ``overview.json`` and ``campaigns.json``."""
        return {
            "campaign": self.campaign.id,
            "peer": self.campaign.said_by,
            "tlp": str(self.campaign.tlp),
            "template": self.template.id,
            "found": self.found,
            "of": len(self.template.sketch),
            "addresses": self.addresses,
            "bits": self.bits,
            "stream": stream,
            "verdict": verdict,
            "own_verdict": str(self.own_verdict),
        }


def listen(scanned: Scanned, members: Members, streams: int, options: Options) -> list[Word | None]:
    """What peers say of each stream of ``members``: the template that weighs most, or nothing."""
    words: list[Word | None] = [None] * streams
    spoken = options.peers.campaigns if options.peers else ()
    told = [(campaign, template) for campaign in spoken for template in campaign.templates]
    if not told:
        return words
    wanted = distinct(np.concatenate([template.fragments for _, template in told]))
    own = templates(
        scanned.sketches["circle"], members, streams, scanned.principals.of_row, options.rule.least_principals,
        wanted,
    )  # fmt: skip
    at = scanned.sketches["at_us"].combine_chunks().to_numpy()
    for stream, fragments in enumerate(own):
        if not len(fragments):
            continue
        rows = members.row[members.stream == stream]
        heard = [
            _word(scanned, campaign, template, fragments, rows, options.peer_bits)
            for campaign, template in told
            if int(at[rows].min()) < campaign.valid_until.timestamp() * 1e6
        ]
        words[stream] = max(
            (word for word in heard if word is not None),
            key=lambda word: (word.bits, word.found, word.template.id),
            default=None,
        )
    return words


def _word(
    scanned: Scanned, campaign: PeerCampaign, template: PeerTemplate, fragments: NDArray[np.int64],
    rows: NDArray[np.int32], cap: float,
) -> Word | None:  # fmt: skip
    found = int(np.isin(template.fragments, fragments).sum())
    if found < LEAST_FOUND:
        return None
    share = len(distinct(scanned.principals.of_row[rows])) / scanned.principals.count
    sure = 0.0 if campaign.disputed_by else campaign.confidence
    bits = weigh(found, len(template.sketch), sure, share, cap)
    return Word(campaign, template, found, bits, _addresses(scanned, campaign, rows))


def weigh(found: int, of: int, confidence: float, share: float, cap: float) -> float:
    """Bits of a template of which ``found`` of ``of`` fragments are here, in ``share`` of the principals.

    >>> [round(weigh(20, 20, 1.0, 0.01, 4.0), 2), round(weigh(3, 40, 1.0, 0.01, 4.0), 2)]
    [3.83, 0.54]
    >>> round(weigh(20, 20, 1.0, 0.5, 4.0), 2), weigh(20, 20, 0.0, 0.01, 4.0)
    (0.91, 0.0)
    """
    most = min(cap, math.log2(1 / share))
    same = confidence * _lower_limit(found, of)
    return math.log2(1 + same * (2**most - 1))


def _lower_limit(found: int, of: int) -> float:
    """Lower limit of a rate (Wilson 1927): (p + z²/2n - z sqrt(p(1 - p)/n + z²/4n²)) / (1 + z²/n)."""
    rate, z = found / of, _Z
    spread = z * math.sqrt(rate * (1 - rate) / of + z * z / (4 * of * of))
    return max(0.0, (rate + z * z / (2 * of) - spread) / (1 + z * z / of))


def _addresses(scanned: Scanned, campaign: PeerCampaign, rows: NDArray[np.int32]) -> int:
    """Addresses of the peer's campaign from which some exchanges came while they were valid."""
    until = {bytes.fromhex(one.mark): one.valid_until.timestamp() * 1e6 for one in campaign.addresses}
    if not until:
        return 0
    marks = scanned.sketches["circle_ip"].combine_chunks().take(rows).to_pylist()
    at = scanned.sketches["at_us"].combine_chunks().to_numpy()[rows].tolist()
    return len({mark for mark, when in zip(marks, at, strict=True) if when < until.get(mark, 0)})


def lean(case: Case, own: Ruling, word: Word, bar: Bar, *, calibrated: bool) -> tuple[Case, Ruling, Word]:
    """The case and the ruling with a peer's word, at most one step from the ruling by its own evidence, and by that alone
    where the bar was ``calibrated``."""
    heard = replace(case, bits=case.bits + word.bits)
    ruling = rule(heard, bar)
    if ruling.verdict is Verdict.EXTRACTION and own.verdict is not Verdict.EXTRACTION:
        why = ""
        if own.verdict is not Verdict.UNDETERMINED:
            why = (
                "its own evidence alone would not even make it undetermined, and a peer's word accuses nobody"
            )
        elif calibrated:
            why = "the bar was calibrated without peers, and only its own evidence may carry it across"
        if why:
            ruling = replace(ruling, verdict=Verdict.UNDETERMINED, reasons=(why,))
    return heard, ruling, replace(word, own_verdict=own.verdict)


def told(words: Sequence[Word | None], names: Sequence[str], verdicts: Sequence[str]) -> list[dict[str, Any]]:
    """What was found of peers' templates, for ``overview.json``."""
    rows = [
        word.as_json(name, verdict)
        for word, name, verdict in zip(words, names, verdicts, strict=True)
        if word is not None
    ]
    return sorted(rows, key=lambda row: (-row["bits"], row["stream"], row["template"]))
