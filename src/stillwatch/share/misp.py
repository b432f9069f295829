"""MISP: one event for each export, an object for each template and account, tagged with TLP and ATLAS."""

from __future__ import annotations

import datetime as dt
import uuid
from pathlib import Path
from typing import Any

from pymisp import MISPEvent, MISPObject, MISPTag

from stillwatch.peers import NAMESPACE, Tlp
from stillwatch.share.caveat import ATLAS, CAVEAT, described, evidence
from stillwatch.share.finding import Finding, Shared

ORGANISATION_ONLY, COMMUNITY, ALL = 0, 1, 3
DISTRIBUTION = {
    Tlp.CLEAR: ALL,
    Tlp.GREEN: COMMUNITY,
    Tlp.AMBER: COMMUNITY,
    Tlp.AMBER_STRICT: ORGANISATION_ONLY,
    Tlp.RED: ORGANISATION_ONLY,
}
"""How far an event may travel by itself; the tag says what people may do."""
ONGOING = 1


def write(shared: Shared, path: Path) -> None:
    """Write the event as JSON; the caller gives a temporary name."""
    path.write_text(event(shared).to_json(sort_keys=True, indent=1) + "\n", encoding="utf-8")


def event(shared: Shared) -> MISPEvent:
    """The event of an export."""
    told = MISPEvent()
    told.from_dict(
        info=f"Model extraction through an API: {len(shared.findings)} campaigns",
        uuid=str(_named(shared, "event", *(one.campaign_id for one in shared.findings))),
        date=shared.made_at.date(),
        threat_level_id=3,
        analysis=ONGOING,
        distribution=DISTRIBUTION[shared.tlp],
        timestamp=int(shared.made_at.timestamp()),
    )
    for name in (
        f"tlp:{shared.tlp}",
        *(f'misp-galaxy:mitre-atlas-attack-pattern="{title} - {number}"' for number, title in ATLAS),
    ):
        tag = MISPTag()
        tag.from_dict(name=name)
        told.add_tag(tag)
    told.add_attribute("comment", CAVEAT, category="Other", uuid=str(_named(shared, "caveat")))
    for finding in shared.findings:
        _add(told, shared, finding)
    return told


def _named(shared: Shared, *names: str) -> uuid.UUID:
    return uuid.uuid5(NAMESPACE, "\0".join((shared.identity, "misp", *names)))


def _add(told: MISPEvent, shared: Shared, finding: Finding) -> None:
    name = finding.campaign_id
    about = _object(shared, "intrusion-set", name)
    for relation, value in (
        ("name", f"Model extraction {name}"),
        ("description", f"{described(finding)} {evidence(finding)}"),
        ("first_seen", finding.first_seen),
        ("last_seen", finding.last_seen),
    ):
        _say(shared, about, relation, value)
    told.add_object(about)
    for place, template in enumerate(finding.templates):
        held = _object(shared, "ai-chat-prompt", name, str(place))
        _say(shared, held, "role", "user" if template.role == "new" else template.role)
        # The template's field for a prompt holds no text: only who has the circle's key can compare it.
        _say(shared, held, "prompt", f"minhash:{shared.circle}:{template.size}:{','.join(template.sketch)}")
        _say(shared, held, "comment", "keyed MinHash of a template, not text")
        _relate(shared, held, about)
        told.add_object(held)
    for mark in finding.accounts:
        account = _object(shared, "user-account", name, mark)
        _say(shared, account, "user-id", f"hmac:{shared.circle}:{mark}")
        _relate(shared, account, about)
        told.add_object(account)
    for number in finding.networks:
        told.add_attribute(
            "AS", f"AS{number}", comment=name, uuid=str(_named(shared, name, "as", str(number))), to_ids=False
        )
    for address in finding.addresses:
        told.add_attribute(
            "other", f"hmac:{shared.circle}:{address.mark}", uuid=str(_named(shared, name, "address", address.mark)),
            comment=f"address of {name}, until {(address.last_seen + shared.valid_addresses).isoformat()}",
            last_seen=address.last_seen + shared.valid_addresses, to_ids=False,
        )  # fmt: skip


def _object(shared: Shared, kind: str, *names: str) -> MISPObject:
    made = MISPObject(kind, strict=True)
    made.uuid = str(_named(shared, kind, *names))
    made.timestamp = shared.made_at
    return made


def _say(shared: Shared, held: MISPObject, relation: str, value: str | dt.datetime) -> None:
    more: dict[str, Any] = {"uuid": str(_named(shared, str(held.uuid), relation)), "to_ids": False}
    held.add_attribute(relation, value=value, timestamp=shared.made_at, **more)


def _relate(shared: Shared, held: MISPObject, about: MISPObject) -> None:
    name = str(_named(shared, str(held.uuid), "reference"))
    held.add_reference(about.uuid, "related-to", uuid=name, timestamp=shared.made_at)
