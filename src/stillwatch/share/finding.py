"""What all formats write of a campaign: minimised and keyed, read from the files of a result."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stillwatch.keys import Keys
from stillwatch.peers import Tlp, identity_of
from stillwatch.share import ShareError

Principal = tuple[str, str | None]
CIRCLE_VERSION = 1
AGAIN = "scan the log again with --circle-key FILE"


@dataclass(frozen=True, slots=True)
class SharedTemplate:
    """A template of a campaign, as the smallest of its keyed fragments."""

    role: str
    objective: str | None
    exchanges: int
    principals: int
    size: int
    """Fragments of the whole template."""
    sketch: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SharedAddress:
    """An address that was the campaign's own."""

    mark: str
    """HMAC under the circle's key, hexadecimal."""
    last_seen: dt.datetime


@dataclass(frozen=True, slots=True)
class Finding:
    """One campaign, as peers may see it. Times are cut to the hour; no name, address or text is in it."""

    campaign_id: str
    verdict: str
    probability: float
    own_bits: float
    """Evidence of this house alone, without what peers said."""
    first_seen: dt.datetime
    last_seen: dt.datetime
    exchanges: int
    principals: int
    objectives: tuple[str, ...]
    evidence: tuple[tuple[str, float], ...]
    """Signal and bits, the weightiest first; without peers' words, which are theirs to share."""
    templates: tuple[SharedTemplate, ...]
    accounts: tuple[str, ...]
    """HMAC of the accounts that take part, hexadecimal, ascending."""
    accounts_cut: int
    """Accounts that are left out."""
    addresses: tuple[SharedAddress, ...]
    networks: tuple[int, ...]
    """Numbers of autonomous systems, the most used first."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What this house says of a peer's campaign that it found in its own log."""

    campaign: str
    """STIX id of the peer's campaign."""
    verdict: str
    """Of this house's own evidence alone."""
    found: int
    of: int
    tlp: Tlp


@dataclass(frozen=True, slots=True)
class Shared:
    """Everything that one export says, and who says it."""

    identity: str
    """STIX id of this instance; made of the public name of its local key."""
    name: str
    circle: str
    made_at: dt.datetime
    tlp: Tlp
    valid: dt.timedelta
    """How long a template is worth looking for, from when it was last seen."""
    valid_addresses: dt.timedelta
    findings: tuple[Finding, ...]
    answers: tuple[Answer, ...]
    taken_back: bool = False
    """Whether the findings were told of before and hold no more."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What is to be exported, and how it is marked."""

    campaigns: tuple[str, ...]
    answers: bool
    name: str
    tlp: Tlp
    valid: dt.timedelta
    valid_addresses: dt.timedelta
    most_accounts: int
    let_be: Mapping[str, frozenset[Principal]] = field(default_factory=dict)
    """By campaign, who of it was cleared or won an appeal: no mark of them is handed on."""
    taken_back: bool = False
    """The campaigns were told of before, and are taken back."""


def gather(folder: Path, asked: Asked, keys: Keys, at: dt.datetime) -> Shared:
    """What the result of a scan lets peers see.

    Raises :class:`ShareError` where it was made without the circle's key, or what is asked for is not in it, or it
    would pass on what a peer marked more strictly.
    """
    circle = _read(folder, "circle.json", f"was made without a circle's key; {AGAIN}")
    if circle.get("version") != CIRCLE_VERSION:
        raise ShareError(f"circle.json of {folder} is of a version that is not known; {AGAIN}")
    if circle["circle"] != keys.circle_name:
        raise ShareError(f"{folder} was scanned with the key of another circle; give that key, or {AGAIN}")
    campaigns = {row["campaign_id"]: row for row in _read(folder, "campaigns.json", "is no result of a scan")}
    if unknown := [name for name in asked.campaigns if name not in campaigns]:
        known = ", ".join(sorted(campaigns)) or "none"
        raise ShareError(f"{unknown[0]!r} is no campaign of {folder}; it has: {known}")
    for name in asked.campaigns:
        _respect(campaigns[name], asked.tlp)
    findings = [
        _finding(campaigns[name], circle["campaigns"][name], keys, asked)
        for name in dict.fromkeys(asked.campaigns)
    ]
    answers = _answers(folder, asked.tlp) if asked.answers else ()
    if not findings and not answers:
        raise ShareError(
            "there is nothing to export: name a campaign of the result, or give --answers where peers' templates "
            "were found in it"
        )
    return Shared(
        identity_of(circle["key"]), asked.name, circle["circle"], at, asked.tlp, asked.valid,
        asked.valid_addresses, tuple(findings), answers, asked.taken_back,
    )  # fmt: skip


def _read(folder: Path, name: str, why: str) -> Any:
    try:
        return json.loads((folder / name).read_bytes())
    except FileNotFoundError as error:
        raise ShareError(f"{folder} {why}: it has no {name}") from error
    except (OSError, ValueError) as error:
        raise ShareError(f"cannot read {name} of {folder}; scan the log again") from error


def _respect(campaign: Mapping[str, Any], tlp: Tlp) -> None:
    """Refuse to mark a campaign more openly than the peer's word that it leans on."""
    strictest = max(
        (Tlp(row["tlp"]) for row in campaign["peers"]), key=lambda one: one.rank, default=Tlp.CLEAR
    )
    if strictest.rank > tlp.rank:
        raise ShareError(
            f"{campaign['campaign_id']} leans on what a peer marked TLP:{strictest.upper()}; mark it --tlp "
            f"{strictest} or stricter, or scan without that peer"
        )


def _finding(campaign: Mapping[str, Any], circle: Mapping[str, Any], keys: Keys, asked: Asked) -> Finding:
    let_be = asked.let_be.get(campaign["campaign_id"], frozenset())
    # The end users of one key are marked one by one: the key itself may be a reseller's.
    marks = sorted(
        {
            keys.mark("account", json.dumps([row["account_id"], row["end_user_id"]])).hex()
            for row in campaign["principals"]
            if (row["account_id"], row["end_user_id"]) not in let_be
        }
    )
    evidence = [row for row in campaign["evidence"] if row["signal"] != "peers"]
    return Finding(
        campaign_id=campaign["campaign_id"],
        verdict=campaign["verdict"],
        probability=campaign["probability"],
        own_bits=sum(row["bits"] for row in evidence),
        first_seen=_hour(campaign["first_seen"]),
        last_seen=_hour(campaign["last_seen"]) + dt.timedelta(hours=1),
        exchanges=campaign["scale"]["exchanges"],
        principals=campaign["scale"]["principals"],
        objectives=tuple(row["name"] for row in campaign["intent"]["objectives"] if row["share"] >= 0.05),
        evidence=tuple((row["signal"], row["bits"]) for row in evidence),
        templates=tuple(
            SharedTemplate(**{**row, "sketch": tuple(row["sketch"])}) for row in circle["templates"]
        ),
        accounts=tuple(marks[: asked.most_accounts]),
        accounts_cut=max(0, len(marks) - asked.most_accounts),
        addresses=tuple(
            SharedAddress(row["mark"], _hour(row["last_seen"]) + dt.timedelta(hours=1))
            for row in circle["addresses"]
        ),
        networks=tuple(row["asn"] for row in circle["networks"]),
    )


def _hour(time: str) -> dt.datetime:
    return dt.datetime.fromisoformat(time).astimezone(dt.UTC).replace(minute=0, second=0, microsecond=0)


def _answers(folder: Path, tlp: Tlp) -> tuple[Answer, ...]:
    """The best find of each peer's campaign; what is red is answered to nobody, and what is stricter not so openly."""
    peers = _read(folder, "overview.json", "is no result of a scan")["peers"]
    rows: Sequence[Mapping[str, Any]] = peers["found"] if peers else ()
    best: dict[str, Answer] = {}
    for row in rows:
        one = Answer(row["campaign"], row["own_verdict"], row["found"], row["of"], Tlp(row["tlp"]))
        held = best.get(one.campaign)
        if one.tlp is not Tlp.RED and one.tlp.rank <= tlp.rank and (held is None or held.found < one.found):
            best[one.campaign] = one
    return tuple(best[name] for name in sorted(best))
