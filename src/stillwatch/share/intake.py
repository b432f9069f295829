"""A peer's STIX objects to what a scan reads of them: only what is typed, keyed with this circle's key, and not expired.

Objects come from strangers' programs. What cannot be read is counted and left out, and nothing of it is believed but
what it says in so many fields; a bundle is not signed, so a peer is who the channel says it is.
"""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from stillwatch.peers import SKETCH_SIZE, PeerAddress, PeerCampaign, Peers, PeerTemplate, Tlp
from stillwatch.report.wording import printable
from stillwatch.share import ShareError
from stillwatch.share.tlp import LEVELS

LARGEST = 1 << 26
"""Bytes of a bundle, 64 MiB."""
UNMARKED = Tlp.AMBER_STRICT
"""What an object without a mark of TLP 2.0 is taken for."""
DISAGREES = frozenset({"disagree", "strongly-disagree"})

_FRAGMENT = re.compile(r"[0-9a-f]{16}")
_ADDRESS = re.compile(r"\[llm-caller-address:hmac = '([0-9a-f]{32})'\]")
_NAME_LENGTH = 80


class _Common(msgspec.Struct):
    id: str
    created_by_ref: str = ""
    object_marking_refs: list[str] = []
    modified: dt.datetime = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    revoked: bool = False


_Kind = TypeVar("_Kind", bound=_Common)


class _Identity(_Common):
    name: str = ""


class _Campaign(_Common):
    confidence: int = 0


class _Indicator(_Common, kw_only=True):
    pattern: str
    valid_until: dt.datetime


class _Observed(_Common, kw_only=True):
    object_refs: list[str]


class _Relationship(_Common, kw_only=True):
    relationship_type: str
    source_ref: str
    target_ref: str


class _Template(_Common, kw_only=True):
    circle: str
    role: str
    fragment_count: int
    minhash: list[str]
    objective: str | None = None


class _Opinion(_Common, kw_only=True):
    opinion: str
    object_refs: list[str]


_TYPES: Mapping[str, type[_Common]] = {
    "identity": _Identity,
    "campaign": _Campaign,
    "indicator": _Indicator,
    "observed-data": _Observed,
    "relationship": _Relationship,
    "llm-prompt-template": _Template,
    "opinion": _Opinion,
}


@dataclass(frozen=True, slots=True)
class Taken:
    """What came of an import."""

    peers: Peers
    revoked: frozenset[str]
    """Campaigns that their peer took back."""
    expired: int
    """Campaigns that are no evidence any more."""
    foreign: int
    """Templates under the key of another circle."""
    unread: int
    """Objects of a known type that could not be read."""


def read_bundle(path: Path) -> list[Any]:
    """The objects of a file. Raises :class:`ShareError` for anything that is no bundle of STIX 2.1."""
    try:
        if path.stat().st_size > LARGEST:
            raise ShareError(f"{path} is larger than {LARGEST >> 20} MiB; ask the peer for it in parts")
        told = json.loads(path.read_bytes())
    except OSError as error:
        raise ShareError(
            f"cannot read {path}: {error.strerror}; give a file or the URL of a collection"
        ) from error
    except (ValueError, RecursionError) as error:
        raise ShareError(f"{path} is no JSON; give a bundle of STIX 2.1") from error
    objects = told.get("objects") if isinstance(told, dict) and told.get("type") == "bundle" else None
    if not isinstance(objects, list):
        raise ShareError(f"{path} is no bundle; give a bundle of STIX 2.1, as `stillwatch export` writes it")
    return objects


def take(objects: Iterable[Any], circle: str, at: dt.datetime) -> Taken:
    """What the objects say that this circle can use, at a moment."""
    told, unread = _typed(objects)
    campaigns, expired, foreign = [], 0, set()
    for campaign in told.of(_Campaign):
        held, until = told.templates(campaign.id)
        foreign |= {name for name, one in held.items() if one.circle != circle}
        own = {name: one for name, one in held.items() if one.circle == circle}
        if campaign.revoked or not own or until is None:
            continue
        if until <= at:
            expired += 1
            continue
        campaigns.append(_campaign(told, campaign, tuple(own.values()), until, at))
    revoked = frozenset(one.id for one in told.of(_Campaign) if one.revoked)
    peers = Peers(circle, tuple(campaigns), _disputes(told.of(_Opinion)))
    return Taken(peers, revoked, expired, len(foreign), unread)


class _Told:
    """The objects of an import by type and id, the newest version of each, and what leads from one to another."""

    def __init__(self, objects: Mapping[str, _Common]) -> None:
        self._objects = objects
        self._from: dict[tuple[str, str], list[str]] = {}
        for link in self.of(_Relationship):
            if not link.revoked:
                self._from.setdefault((link.relationship_type, link.source_ref), []).append(link.target_ref)
                self._from.setdefault((f"is {link.relationship_type}", link.target_ref), []).append(
                    link.source_ref
                )

    def of(self, kind: type[_Kind]) -> list[_Kind]:
        """All of one type, in order of id."""
        return [one for _, one in sorted(self._objects.items()) if isinstance(one, kind)]

    def _some(self, kind: type[_Kind], names: Iterable[str]) -> list[_Kind]:
        found = (self._objects.get(name) for name in names)
        return [one for one in found if isinstance(one, kind) and not one.revoked]

    def indicators(self, campaign: str) -> list[_Indicator]:
        """What indicates a campaign."""
        return self._some(_Indicator, self._from.get(("is indicates", campaign), ()))

    def templates(self, campaign: str) -> tuple[dict[str, _Template], dt.datetime | None]:
        """The templates of a campaign, and until when any of them is worth looking for."""
        held: dict[str, _Template] = {}
        until = []
        for indicator in self.indicators(campaign):
            for seen in self._some(_Observed, self._from.get(("based-on", indicator.id), ())):
                found = self._some(_Template, seen.object_refs)
                held |= {one.id: one for one in found}
                until += [indicator.valid_until] * len(found)
        return held, max(until, default=None)

    def name(self, identity: str) -> str:
        """How an identity calls itself."""
        found = self._objects.get(identity)
        stated = found.name if isinstance(found, _Identity) else ""
        return printable(stated[:_NAME_LENGTH]) or "an unnamed peer"


def _typed(objects: Iterable[Any]) -> tuple[_Told, int]:
    """The objects of known types, and how many of these could not be read."""
    held: dict[str, _Common] = {}
    unread = 0
    for one in objects:
        kind = _TYPES.get(str(one.get("type"))) if isinstance(one, dict) else None
        if kind is None:
            continue
        try:
            read = msgspec.convert(one, kind)
        except msgspec.ValidationError:
            unread += 1
            continue
        if not _sound(read):
            unread += 1
        elif read.id not in held or held[read.id].modified <= read.modified:
            held[read.id] = read
    return _Told(held), unread


def _sound(read: _Common) -> bool:
    """Whether times have zones, and a template is a sketch of a size that can be."""
    if isinstance(read, _Indicator) and read.valid_until.tzinfo is None:
        return False
    if read.modified.tzinfo is None:
        return False
    if isinstance(read, _Template):
        values = read.minhash
        return (
            0 < len(values) <= SKETCH_SIZE
            and len(set(values)) == len(values) <= read.fragment_count
            and all(_FRAGMENT.fullmatch(value) for value in values)
        )
    return True


def _campaign(
    told: _Told, campaign: _Campaign, templates: tuple[_Template, ...], until: dt.datetime, at: dt.datetime
) -> PeerCampaign:
    marks = [
        found
        for one in told.indicators(campaign.id)
        if (found := _address(one)) is not None and found.valid_until > at
    ]
    return PeerCampaign(
        id=campaign.id,
        peer_id=campaign.created_by_ref,
        peer_name=told.name(campaign.created_by_ref),
        tlp=_tlp((campaign, *templates)),
        confidence=min(max(campaign.confidence, 0), 100) / 100,
        modified=campaign.modified,
        valid_until=until,
        templates=tuple(_template(one) for one in templates),
        addresses=tuple(sorted(marks, key=lambda one: one.mark)),
    )


def _template(one: _Template) -> PeerTemplate:
    # Role and objective are a stranger's words, and only shown.
    objective = printable(one.objective[:_NAME_LENGTH]) if one.objective else None
    return PeerTemplate(
        one.id, printable(one.role[:_NAME_LENGTH]), objective, one.fragment_count, tuple(sorted(one.minhash))
    )


def _address(one: _Indicator) -> PeerAddress | None:
    found = _ADDRESS.fullmatch(one.pattern)
    return PeerAddress(found[1], one.valid_until) if found else None


def _tlp(objects: Iterable[_Common]) -> Tlp:
    """The strictest mark of several objects; what bears none is taken to be strict."""
    levels = []
    for one in objects:
        known = [LEVELS[ref] for ref in one.object_marking_refs if ref in LEVELS]
        levels.append(max(known, key=lambda level: level.rank, default=UNMARKED))
    return max(levels, key=lambda level: level.rank)


def _disputes(opinions: Iterable[_Opinion]) -> dict[str, tuple[str, ...]]:
    """Who disagrees with which campaign."""
    found: dict[str, set[str]] = {}
    for one in opinions:
        if one.opinion in DISAGREES and not one.revoked:
            for name in one.object_refs:
                found.setdefault(name, set()).add(one.created_by_ref)
    return {name: tuple(sorted(by)) for name, by in sorted(found.items())}
