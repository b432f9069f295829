"""What peers said, as `stillwatch import` keeps it and a scan reads it: templates under the circle's key.

Plain records and a file of JSON. Nothing here says what a peer's word weighs; see :mod:`stillwatch.corroboration`.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

VERSION = 1
NAMESPACE = uuid.UUID("9c5b6a2e-6f0d-5b8e-9d0c-2f3a7f1c4e11")
"""Of the STIX ids that are made of names."""
SKETCH_SIZE = 128
"""Most fragments of a template that are shared, those with the smallest keyed hashes (bottom-k MinHash: Broder 1997;
Cohen & Kaplan 2007)."""


class PeersError(Exception):
    """A file of peers that cannot be used; the text says which, why, and what to do."""


class Tlp(StrEnum):
    """Traffic Light Protocol 2.0 (FIRST 2022): how far what is marked may travel; the strictest comes last."""

    CLEAR = "clear"
    GREEN = "green"
    AMBER = "amber"
    AMBER_STRICT = "amber+strict"
    RED = "red"

    @property
    def rank(self) -> int:
        """Place in the order of strictness, from 0."""
        return list(Tlp).index(self)


@dataclass(frozen=True, slots=True)
class PeerTemplate:
    """A template that a peer saw, as a keyed sketch of its fragments."""

    id: str
    """Its STIX id."""
    role: str
    """Part of the request in which it stands, as the peer says."""
    objective: str | None
    size: int
    """Fragments of the whole template."""
    sketch: tuple[str, ...]
    """The smallest of them, 16 hexadecimal digits each, ascending."""

    @property
    def fragments(self) -> NDArray[np.int64]:
        """The fragments of the sketch as a sketch of a log holds them."""
        return np.array([int(value, 16) for value in self.sketch], np.uint64).view(np.int64)


@dataclass(frozen=True, slots=True)
class PeerAddress:
    """An address that a peer's campaign called from."""

    mark: str
    """HMAC under the circle's key, 32 hexadecimal digits."""
    valid_until: dt.datetime


@dataclass(frozen=True, slots=True)
class PeerCampaign:
    """A campaign that a peer reports."""

    id: str
    """Its STIX id, which the peer alone can give again."""
    peer_id: str
    peer_name: str
    tlp: Tlp
    confidence: float
    """Probability of extraction that the peer states, 0 to 1."""
    modified: dt.datetime
    valid_until: dt.datetime
    """From then on it is no evidence."""
    templates: tuple[PeerTemplate, ...]
    addresses: tuple[PeerAddress, ...]
    disputed_by: tuple[str, ...] = ()
    """Other peers who saw the same text and disagree."""

    @property
    def said_by(self) -> str:
        """Who says it, as a report may print it: what is marked red is for those who were told, and a report travels."""
        return "a peer (TLP:RED)" if self.tlp is Tlp.RED else f"{self.peer_name} (TLP:{self.tlp.upper()})"


@dataclass(frozen=True, slots=True)
class Peers:
    """Everything that the peers of one circle said."""

    circle: str
    """Public name of the circle's key."""
    campaigns: tuple[PeerCampaign, ...]
    disputes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Identities that disagree with a campaign, by its id; the campaign may come later."""
    version: int = VERSION


def identity_of(key_name: str) -> str:
    """STIX id of the instance with a local key of that public name."""
    return f"identity--{uuid.uuid5(NAMESPACE, key_name)}"


def merge(circle: str, parts: Iterable[Peers], own: str | None = None) -> Peers:
    """Several files as one; of one campaign the newest version counts, and whoever disputes any version does.

    ``own``: an identity whose campaigns are left out, since nobody is a peer of itself.
    """
    newest: dict[str, PeerCampaign] = {}
    disputed: dict[str, set[str]] = {}
    for part in parts:
        for name, by in part.disputes.items():
            disputed.setdefault(name, set()).update(one for one in by if one != own)
        for campaign in part.campaigns:
            held = newest.get(campaign.id)
            if held is None or held.modified < campaign.modified:
                newest[campaign.id] = campaign
    disputes = {name: tuple(sorted(by)) for name, by in sorted(disputed.items()) if by}
    merged = [
        replace(one, disputed_by=disputes.get(one.id, ())) for one in newest.values() if one.peer_id != own
    ]
    return Peers(circle, tuple(sorted(merged, key=lambda one: one.id)), disputes)


def to_json(peers: Peers) -> Any:
    """The document of a file of peers."""
    return msgspec.to_builtins(peers)


def read_peers(path: Path, circle: str | None) -> Peers:
    """What `stillwatch import` wrote. Raises :class:`PeersError` for a file of another circle, version or kind."""
    again = "make it again with `stillwatch import`"
    if circle is None:
        raise PeersError(f"{path} holds what peers said under the key of a circle; name it with --circle-key")
    try:
        text = path.read_bytes()
    except OSError as error:
        raise PeersError(
            f"cannot read {path}: {error.strerror}; give a file that `stillwatch import` wrote"
        ) from error
    try:
        version = json.loads(text)["version"]
    except (ValueError, TypeError, KeyError) as error:
        raise PeersError(f"{path} is no file of peers; {again}") from error
    if version != VERSION:
        raise PeersError(f"{path} is of version {version!r} and {VERSION} is known; {again}")
    try:
        peers = msgspec.json.decode(text, type=Peers)
    except msgspec.ValidationError as error:
        raise PeersError(f"{path} is damaged: {error}; {again}") from error
    if peers.circle != circle:
        raise PeersError(
            f"{path} was made with the key of another circle ({peers.circle}, this one is {circle}); what it holds "
            "cannot be compared, so give the key that your peers have"
        )
    return peers
