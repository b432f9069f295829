"""What other programs are told when an action begins and ends: the shapes of the message, and its signature.

A message is signed as `Standard Webhooks <https://www.standardwebhooks.com>`_ says: HMAC-SHA-256 over its id, the time of
the attempt and the body. Whoever takes it checks the signature, refuses what is older than five minutes, and leaves out
an id that it has taken before: so a copy of a message does nothing, and one that comes twice is done once.
"""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any
from urllib.parse import urlencode, urlsplit

from stillwatch.response import ResponseError
from stillwatch.response.actions import Action
from stillwatch.response.address import is_unread_on_the_way

TOLERANCE = dt.timedelta(minutes=5)
"""Age of a message at most, and how far its clock may be ahead."""
SHORTEST_SECRET = 24
"""Characters of a secret at least."""
BEGINS, ENDS = "action.begins", "action.ends"
NEWS = ("decision.proposed", "appeal.received", "appeal.decided")
"""What is no action: it is told in the shape ``stillwatch`` alone, but that Coop has a word for an appeal's answer."""


class Shape(StrEnum):
    """How a message is written."""

    STILLWATCH = "stillwatch"
    """All of it: the row of the actions' contract, and what happened."""
    COOP = "coop"
    """The body of Coop's action callback."""
    OSPREY = "osprey"
    """A mutation of labels of an entity, as Osprey's interface takes it."""


@dataclass(frozen=True, slots=True)
class Webhook:
    """Who is told."""

    name: str
    """What it is called in the log and in lists."""
    url: str
    """Where it is posted to: https, or http on this machine."""
    secret_env: str
    """Variable of the environment that holds the secret of the signature; never the secret itself."""
    shape: Shape = Shape.STILLWATCH
    """`stillwatch`, `coop` or `osprey`."""
    token_env: str | None = None
    """Variable that holds a bearer token for the header `Authorization`, where the other side wants one."""
    account_type: str = "account"
    """Type of an account on the other side: Coop's item type, Osprey's entity type."""
    end_user_type: str = "end_user"
    """Type of an end user there, another one than that of accounts."""


@dataclass(frozen=True, slots=True)
class Told:
    """What happened to one principal, or to people."""

    event: str
    at: dt.datetime
    decision: int | None
    held: Mapping[str, Any]
    """Row of the actions' contract; empty for news."""
    by: str
    reason: str
    """Why, in the words of who decided."""
    rule: str | None
    """The rule that had proposed it."""
    news: Mapping[str, Any]
    """With an event of :data:`NEWS`: what it is about."""


@dataclass(frozen=True, slots=True)
class Message:
    """What is posted."""

    url: str
    body: bytes


def check_webhook(webhook: Webhook) -> None:
    """Refuse one that could not be posted to safely. Raises :class:`ResponseError`."""
    if not is_unread_on_the_way(webhook.url):
        raise ResponseError(
            f"webhook {webhook.name}: its url must begin with https://, or http:// on this machine; the message names "
            "accounts"
        )
    parts = urlsplit(webhook.url)
    if parts.username or parts.password:
        raise ResponseError(f"webhook {webhook.name}: take the password out of its url and name a token_env")
    if webhook.account_type == webhook.end_user_type:
        raise ResponseError(
            f"webhook {webhook.name}: account_type and end_user_type are one; an account and an end user may have one id, "
            "so give each a type of its own"
        )


def secret_of(webhook: Webhook) -> bytes:
    """The secret of the signature. Raises :class:`ResponseError` where the variable holds none."""
    secret = os.environ.get(webhook.secret_env, "")
    if len(secret) < SHORTEST_SECRET:
        raise ResponseError(
            f"webhook {webhook.name}: set {webhook.secret_env} to a secret of {SHORTEST_SECRET} characters or more"
        )
    return secret.encode()


def headers_of(webhook: Webhook, number: str, body: bytes, at: dt.datetime) -> dict[str, str]:
    """The headers of one attempt. Raises :class:`ResponseError` where a secret or token is missing."""
    seconds = str(int(at.timestamp()))
    headers = {
        "content-type": "application/json",
        "user-agent": "stillwatch",
        "webhook-id": number,
        "webhook-timestamp": seconds,
        "webhook-signature": f"v1,{_signature(secret_of(webhook), number, seconds, body)}",
    }
    if webhook.token_env is not None:
        token = os.environ.get(webhook.token_env, "")
        if not token:
            raise ResponseError(f"webhook {webhook.name}: {webhook.token_env} is not set")
        headers["authorization"] = f"Bearer {token}"
    return headers


def verified(secret: bytes, headers: Mapping[str, str], body: bytes, now: dt.datetime) -> str | None:
    """For whoever takes a message: its id, where it is signed with the secret and no older than five minutes.

    None otherwise. An id that was taken before is to be left out by whoever keeps them.
    """
    number, seconds = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not number or not seconds.isdecimal() or len(seconds) > 12:
        return None
    expected = _signature(secret, number, seconds, body)
    given = [one.removeprefix("v1,") for one in headers.get("webhook-signature", "").split()]
    if not any(hmac.compare_digest(one.encode(), expected.encode()) for one in given):
        return None
    return number if abs(now.timestamp() - int(seconds)) <= TOLERANCE.total_seconds() else None


def _signature(secret: bytes, number: str, seconds: str, body: bytes) -> str:
    signed = b".".join((number.encode(), seconds.encode(), body))
    return base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()


def message(webhook: Webhook, told: Told) -> Message | None:
    """What is posted; None where the shape has no place for it."""
    if webhook.shape is Shape.COOP and told.event == "appeal.decided":
        return Message(webhook.url, _json(_coop_appeal(webhook, told)))
    if webhook.shape is not Shape.STILLWATCH and told.event in NEWS:
        return None
    if webhook.shape is Shape.COOP:
        return Message(webhook.url, _json(_coop(webhook, told)))
    if webhook.shape is Shape.OSPREY:
        return _osprey(webhook, told)
    plain: dict[str, Any] = {"event": told.event, "at": told.at.isoformat()}
    if told.event in NEWS:
        return Message(webhook.url, _json(plain | dict(told.news)))
    return Message(webhook.url, _json(plain | {"decision": told.decision, "action": dict(told.held)}))


def _coop(webhook: Webhook, told: Told) -> dict[str, Any]:
    """The body that Coop sends to an action's callback; it has no word for an end, so that is an action of its own.

    So is an action on a family: whoever knows ``suspend`` alone must not suspend the whole account by it.
    """
    action = Action(told.held["action"])
    called = f"{action}_family" if told.held["family_id"] is not None else str(action)
    item_id, item_type = _entity(webhook, told.held)
    body: dict[str, Any] = {
        "item": {"id": item_id, "typeId": item_type},
        "action": {"id": f"end_{called}" if told.event == ENDS else called},
        "policies": [{"id": "model-extraction", "name": "Model extraction", "penalty": _PENALTIES[action]}],
        "rules": [{"id": told.rule, "name": told.rule}] if told.rule else [],
        "custom": {
            "decision": told.decision,
            "parameters": told.held["parameters"],
            "account_id": told.held["account_id"],
            "end_user_id": told.held["end_user_id"],
            "family_id": told.held["family_id"],
            "until": told.held["until"],
        },
        "decisionReason": told.reason,
    }
    return body | ({"actorEmail": told.by} if "@" in told.by else {})


def _coop_appeal(webhook: Webhook, told: Told) -> dict[str, Any]:
    """The body of Coop's callback for an appeal that was decided."""
    who_id, who_type = _entity(webhook, told.news)
    who = {"id": who_id, "typeId": who_type}
    return {
        "appealId": str(told.news["appeal"]),
        "item": who,
        "appealedBy": who,
        "appealDecision": "ACCEPT" if told.news["outcome"] == "reversed" else "REJECT",
        "custom": {"decision": told.news["decision"]},
    }


_PENALTIES: Mapping[Action, str] = {
    Action.OBSERVE: "NONE",
    Action.THROTTLE: "LOW",
    Action.HIDE_REASONING: "LOW",
    Action.CAP_LOGPROBS: "LOW",
    Action.RESTRICT_TIER: "MEDIUM",
    Action.STEP_UP: "MEDIUM",
    Action.SUSPEND: "SEVERE",
}
_REMOVED, _ADDED = 2, 3  # MANUALLY_REMOVED and MANUALLY_ADDED of Osprey's LabelStatus: a person decided


def _osprey(webhook: Webhook, told: Told) -> Message | None:
    """A label an action; None for one on a family, since a label is on all that an entity does.

    What is removed expires at once, so that it does not keep Osprey's own rules from adding it.
    """
    if told.held["family_id"] is not None:
        return None
    ended = told.event == ENDS
    body = {
        "mutations": [
            {
                "label_name": f"extraction_{told.held['action']}",
                "status": _REMOVED if ended else _ADDED,
                "reason": told.reason,
                "expires_at": told.at.isoformat() if ended else told.held["until"],
            }
        ]
    }
    entity_id, entity_type = _entity(webhook, told.held)
    named = {"entity_id": entity_id, "entity_type": entity_type}
    joined = "&" if urlsplit(webhook.url).query else "?"
    return Message(f"{webhook.url}{joined}{urlencode(named)}", _json(body))


def _entity(webhook: Webhook, principal: Mapping[str, Any]) -> tuple[str, str]:
    """Id and type of a principal on the other side. Two accounts may each have an end user of one name."""
    account, user = principal["account_id"], principal["end_user_id"]
    if user is None:
        return account, webhook.account_type
    parts = (one.replace("%", "%25").replace("/", "%2F") for one in (account, user))
    return "/".join(parts), webhook.end_user_type


def _json(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, sort_keys=True).encode()
