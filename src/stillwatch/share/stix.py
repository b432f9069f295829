"""STIX 2.1: a bundle that a peer's instance can import, and that other tools can read.

A campaign uses the techniques of MITRE ATLAS and an infrastructure; an indicator of its templates is based on what was
observed, and one of its addresses ends within days; a note says what a finding is not. Ids are made of names, so a second
export of a campaign is a new version of the same objects.
"""

from __future__ import annotations

import datetime as dt
import json
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from stix2 import v21

from stillwatch.peers import NAMESPACE
from stillwatch.share.caveat import (
    ATLAS,
    ATLAS_CASE,
    ATLAS_TECHNIQUE,
    CAVEAT,
    RESPONSE,
    described,
    evidence,
)
from stillwatch.share.finding import Answer, Finding, Shared
from stillwatch.share.stix_objects import (
    MADE,
    PROJECT,
    CallerAddress,
    PromptTemplate,
    definitions,
    mark_of,
)
from stillwatch.verdict import Verdict

OPINIONS = {Verdict.EXTRACTION: "agree", Verdict.UNDETERMINED: "neutral"}
"""What a verdict by this house's own evidence says of a peer's; any other disagrees."""


def write(shared: Shared, path: Path) -> None:
    """Write a bundle; the caller gives a temporary name."""
    path.write_text(bundle(shared).serialize(indent=1, sort_keys=True) + "\n", encoding="utf-8")


def for_server(shared: Shared) -> list[dict[str, Any]]:
    """The objects of an export for a TAXII server, without the definitions of what the format means.

    Their property ``version`` makes medallion 3.0.0 take it for a time and fail on every later request for the
    collection. Who imports needs none of them; a file carries them.
    """
    objects: list[dict[str, Any]] = json.loads(bundle(shared).serialize())["objects"]
    return [one for one in objects if one["type"] != "extension-definition"]


def bundle(shared: Shared) -> Any:
    """The bundle of an export."""
    house = _House(shared)
    mark = mark_of(shared.tlp)
    objects = [mark, *definitions(), *([house.identity()] if shared.taken_back else house.everywhere())]
    for finding in shared.findings:
        objects += house.taken_back(finding) if shared.taken_back else house.campaign(finding)
    for answer in shared.answers:
        objects += house.answer(answer)
    unique = {str(one["id"]): one for one in objects}
    return v21.Bundle(
        *unique.values(), id=f"bundle--{house.name_of('bundle', *sorted(unique))}", allow_custom=True
    )


class _House:
    """Makes the objects of one instance."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared
        self._marks = [mark_of(shared.tlp)["id"]]

    def name_of(self, kind: str, *names: str) -> uuid.UUID:
        return uuid.uuid5(NAMESPACE, "\0".join((self._shared.identity, kind, *names)))

    def _made(self, kind: Any, created: dt.datetime, *names: str, **more: Any) -> Any:
        """An object of this instance, in the version of this export."""
        identity = f"{kind._type}--{self.name_of(kind._type, *names)}"
        return kind(
            id=identity, created=created, modified=max(self._shared.made_at, created),
            created_by_ref=self._shared.identity, object_marking_refs=self._marks, allow_custom=True,
            revoked=self._shared.taken_back, **more,
        )  # fmt: skip

    def identity(self) -> Any:
        """Who speaks."""
        return v21.Identity(
            id=self._shared.identity, created=MADE, modified=MADE, name=self._shared.name,
            identity_class="organization",
        )  # fmt: skip

    def everywhere(self) -> list[Any]:
        """Who speaks, the techniques, and what may be done."""
        action = self._made(
            v21.CourseOfAction, self._shared.made_at, name="Respond by steps", description=RESPONSE
        )
        techniques = [_technique(number, name) for number, name in ATLAS]
        return [
            self.identity(),
            *techniques,
            action,
            *(self._relation(action, "mitigates", one, self._shared.made_at) for one in techniques),
        ]

    def _relation(self, source: Any, kind: str, target: Any, created: dt.datetime) -> Any:
        return self._made(
            v21.Relationship, created, source["id"], kind, target["id"], relationship_type=kind,
            source_ref=source["id"], target_ref=target["id"],
        )  # fmt: skip

    def campaign(self, finding: Finding) -> list[Any]:
        """Everything about one campaign."""
        name, begun = finding.campaign_id, finding.first_seen
        campaign = self._made(
            v21.Campaign, begun, name, name=f"Model extraction {name}", description=described(finding),
            first_seen=begun, last_seen=finding.last_seen, confidence=_percent(finding.probability),
            labels=[finding.verdict], external_references=[_case()],
        )  # fmt: skip
        infrastructure = self._made(
            v21.Infrastructure, begun, name, name=f"Accounts and networks of {name}",
            description=f"{finding.principals:,} principals that one hand seems to move.",
            infrastructure_types=["unknown"], first_seen=begun, last_seen=finding.last_seen,
        )  # fmt: skip
        templates, accounts, networks = self._observed(finding)
        objects = [campaign, infrastructure, *templates, *accounts, *networks]
        objects += [
            self._relation(campaign, "uses", one, begun)
            for one in (infrastructure, *(_technique(number, title) for number, title in ATLAS))
        ]
        objects += [self._relation(infrastructure, "consists-of", one, begun) for one in networks]
        if templates:
            objects += self._indicated(finding, campaign, templates, accounts)
        if finding.addresses:
            objects += self._addresses(finding, campaign)
        note = self._made(
            v21.Note, begun, name, abstract="What this does not say", content=f"{CAVEAT} {evidence(finding)}",
            object_refs=[one["id"] for one in objects if one["type"] in {"campaign", "indicator"}],
        )  # fmt: skip
        return [*objects, note]

    def taken_back(self, finding: Finding) -> list[Any]:
        """Everything that this house said of a campaign, revoked; what was observed is nobody's word and has no versions."""
        return [one for one in self.campaign(finding) if one.get("revoked")]

    def _observed(self, finding: Finding) -> tuple[list[Any], list[Any], list[Any]]:
        """The observables of a campaign: templates, accounts and networks."""
        templates = [
            PromptTemplate(
                circle=self._shared.circle, role=one.role, objective=one.objective, fragment_count=one.size,
                minhash=list(one.sketch), object_marking_refs=self._marks,
            )
            for one in finding.templates
        ]  # fmt: skip
        accounts = [
            v21.UserAccount(user_id=mark, object_marking_refs=self._marks) for mark in finding.accounts
        ]
        networks = [
            v21.AutonomousSystem(number=number, object_marking_refs=self._marks)
            for number in finding.networks
        ]
        return templates, accounts, networks

    def _indicated(
        self, finding: Finding, campaign: Any, templates: list[Any], accounts: list[Any]
    ) -> list[Any]:
        """The templates as an indicator, what it is based on, and that it was seen."""
        name, begun = finding.campaign_id, finding.first_seen
        observed = self._made(
            v21.ObservedData, begun, name, first_observed=begun, last_observed=finding.last_seen,
            number_observed=finding.exchanges, object_refs=[one["id"] for one in (*templates, *accounts)],
        )  # fmt: skip
        pattern = " OR ".join(
            f"[llm-prompt-template:minhash[*] IN ({_quoted(one['minhash'])})]" for one in templates
        )
        indicator = self._made(
            v21.Indicator, begun, name, "templates", name=f"Templates of {name}", pattern=pattern,
            pattern_type="stix", valid_from=begun, valid_until=finding.last_seen + self._shared.valid,
            indicator_types=["malicious-activity"], confidence=_percent(finding.probability),
        )  # fmt: skip
        sighting = self._made(
            v21.Sighting, begun, name, sighting_of_ref=indicator["id"], observed_data_refs=[observed["id"]],
            where_sighted_refs=[self._shared.identity], first_seen=begun, last_seen=finding.last_seen,
            count=min(finding.exchanges, 999_999_999),
        )  # fmt: skip
        return [
            observed, indicator, sighting, self._relation(indicator, "indicates", campaign, begun),
            self._relation(indicator, "based-on", observed, begun),
        ]  # fmt: skip

    def _addresses(self, finding: Finding, campaign: Any) -> list[Any]:
        """Addresses, each with an indicator of its own that ends within days of when it was seen."""
        objects = []
        for one in finding.addresses:
            address = CallerAddress(
                circle=self._shared.circle, hmac=one.mark, object_marking_refs=self._marks
            )
            indicator = self._made(
                v21.Indicator, finding.first_seen, finding.campaign_id, one.mark, name="An address of the campaign",
                pattern=f"[llm-caller-address:hmac = '{one.mark}']", pattern_type="stix",
                valid_from=finding.first_seen, valid_until=one.last_seen + self._shared.valid_addresses,
                indicator_types=["anomalous-activity"],
            )  # fmt: skip
            objects += [
                address,
                indicator,
                self._relation(indicator, "indicates", campaign, finding.first_seen),
            ]
        return objects

    def answer(self, answer: Answer) -> list[Any]:
        """What this house says of a peer's campaign that it found in its own log."""
        at = self._shared.made_at
        agrees = OPINIONS.get(Verdict(answer.verdict), "disagree")
        opinion = self._made(
            v21.Opinion, at, answer.campaign, opinion=agrees, object_refs=[answer.campaign],
            explanation=(
                f"{answer.found} of {answer.of} shared fragments of a template are in a log here; by its own "
                f"evidence that stream is {answer.verdict}"
            ),
        )  # fmt: skip
        if agrees == "disagree":
            return [opinion]
        sighting = self._made(
            v21.Sighting, at, "answer", answer.campaign, sighting_of_ref=answer.campaign,
            where_sighted_refs=[self._shared.identity],
        )  # fmt: skip
        return [opinion, sighting]


def _technique(number: str, name: str) -> Any:
    """A technique of ATLAS; the same for everybody."""
    return v21.AttackPattern(
        id=f"attack-pattern--{uuid.uuid5(NAMESPACE, number)}", created=MADE, modified=MADE, created_by_ref=PROJECT,
        name=name,
        external_references=[
            v21.ExternalReference(
                source_name="mitre-atlas", external_id=number, url=ATLAS_TECHNIQUE + number
            )
        ],
    )  # fmt: skip


def _case() -> Any:
    number, url = ATLAS_CASE
    return v21.ExternalReference(
        source_name="mitre-atlas", external_id=number, url=url, description="Campaigns of this kind."
    )


def _quoted(values: Sequence[str]) -> str:
    return ", ".join(f"'{value}'" for value in values)


def _percent(probability: float) -> int:
    return int(100 * probability)
