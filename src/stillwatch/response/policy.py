"""``policy.toml``: what a decision may do by itself, when a second person must look, and what rules propose.

::

    version = 1

    [approval]
    principals = 10          # who hits so many or more needs a second person
    innocent = 0.5           # or so many innocents by expectation

    [enforcement]
    lasts = "30d"            # how long an action holds where nobody says
    longest = "90d"          # and at most
    spread = "6h"            # it begins for each principal at a moment drawn from this span
    followed = 50            # principals that one decision may gain while it holds

    [appeals]
    open_for = "90d"         # how long the accused may object
    answered_within = "14d"  # within which time they are told that they get an answer

    [retention]              # what is left out is kept for ever
    keep_text = "90d"        # examples of text, after the end of their log
    keep_accounts = "400d"   # accounts of old scans
    keep_objections = "400d" # what was objected and answered
    keep_messages = "30d"    # messages that were delivered

    [[rules]]
    name = "throttle what is certain"
    mode = "shadow"
    action = "throttle"
    parameters = { requests_per_minute = 6 }
    when = { least_probability = 0.999, most_innocent = 0.1 }
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import msgspec

from stillwatch.response import ResponseError
from stillwatch.response.rules import VERDICTS, Rule, When, checked
from stillwatch.response.webhooks import Webhook, check_webhook

VERSION = 1
_SPAN = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class Policy:
    """The limits of decisions, and the rules."""

    principals: int = 10
    """Principals from which on a second person approves."""
    innocent: float = 0.5
    """Innocents by expectation from which on a second person approves."""
    lasts: dt.timedelta = dt.timedelta(days=30)
    """How long an action holds where nobody says."""
    longest: dt.timedelta = dt.timedelta(days=90)
    """How long an action may hold."""
    spread: dt.timedelta = dt.timedelta(hours=6)
    """Span from which the beginning of enforcement is drawn, for each principal."""
    followed: int = 50
    """Principals that one decision may gain by following its case."""
    open_for: dt.timedelta = dt.timedelta(days=90)
    """How long the accused may object after they got the link."""
    answered_within: dt.timedelta = dt.timedelta(days=14)
    """Within which time they are told that they get an answer."""
    keep_text: dt.timedelta | None = None
    """How long after a scan's log ends the examples of its text are kept; None: for ever."""
    keep_accounts: dt.timedelta | None = None
    """How long the rows of its accounts are, but those by which an open case is known."""
    keep_objections: dt.timedelta | None = None
    """How long after the answer what was objected and answered is."""
    keep_messages: dt.timedelta | None = None
    """How long messages of the outbox are, but those that wait."""
    rules: tuple[Rule, ...] = ()
    """What is proposed of which case, in order."""
    webhooks: tuple[Webhook, ...] = ()
    """Who is told when an action begins and ends."""
    digest: str = "built in"
    """Hash of the file, for the audit log."""
    text: str = ""
    """The file itself, kept with the first decision that is made by it."""


def span(text: str) -> dt.timedelta:
    """A span of time. Raises :class:`ResponseError` where it is none.

    >>> span("90m"), span("30d")
    (datetime.timedelta(seconds=5400), datetime.timedelta(days=30))
    """
    found = _SPAN.fullmatch(text.strip())
    if found is None:
        raise ResponseError(f"{text!r} is no span of time; write a number with s, m, h or d, such as 6h")
    return dt.timedelta(**{_UNITS[found[2]]: int(found[1])})


def read_policy(path: Path) -> Policy:
    """The policy of a TOML file. Raises :class:`ResponseError` with the key at fault and what is allowed."""
    try:
        text = path.read_bytes()
        told = tomllib.loads(text.decode("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ResponseError(f"cannot read the policy {path}: {error}") from error
    if told.get("version") != VERSION:
        raise ResponseError(f"{path}: expected version = {VERSION} at its top")
    try:
        return _policy(told, text)
    except ResponseError as error:
        raise ResponseError(f"{path}: {error}") from error


def _policy(told: Mapping[str, Any], text: bytes) -> Policy:
    _only("the file", told, {"version", "rules", "webhooks", *_TABLES})
    values: dict[str, Any] = {}
    for table, keys in _TABLES.items():
        part = told.get(table, {})
        if not isinstance(part, dict):
            raise ResponseError(f"{table} must be a table, [{table}]")
        _only(f"[{table}]", part, set(keys))
        for key, value in part.items():
            values[key] = _value(key, value, keys[key])
    values["rules"] = tuple(_rule(number, one) for number, one in enumerate(_tables(told, "rules"), 1))
    values["webhooks"] = tuple(map(_webhook, _tables(told, "webhooks")))
    policy = Policy(**values, digest=hashlib.sha256(text).hexdigest(), text=text.decode("utf-8"))
    if not policy.spread < policy.lasts <= policy.longest:
        raise ResponseError("spread must be shorter than lasts, and lasts no longer than longest")
    if len({one.name for one in policy.webhooks}) < len(policy.webhooks):
        raise ResponseError("two webhooks have one name; give each a name of its own")
    checked(policy.rules, policy.lasts, policy.longest, policy.spread)
    return policy


_TABLES: Mapping[str, Mapping[str, str]] = {
    "approval": {"principals": "whole", "innocent": "number"},
    "enforcement": {"lasts": "span", "longest": "span", "spread": "span", "followed": "whole"},
    "appeals": {"open_for": "span", "answered_within": "span"},
    "retention": dict.fromkeys(("keep_text", "keep_accounts", "keep_objections", "keep_messages"), "span"),
}


def _only(where: str, told: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(told) - known):
        raise ResponseError(f"{where} has no {', '.join(unknown)}; allowed are {', '.join(sorted(known))}")


def _value(key: str, value: object, kind: str) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "span" and isinstance(value, str):
        return span(value)
    if kind == "whole" and number and isinstance(value, int) and value >= 0:
        return value
    if kind == "number" and isinstance(value, int | float) and number and 0 <= value < float("inf"):
        return float(value)
    wanted = {
        "span": 'a span such as "6h"',
        "whole": "a whole number from 0 on",
        "number": "a number from 0 on",
    }
    raise ResponseError(f"{key} must be {wanted[kind]}")


def _tables(told: Mapping[str, Any], name: str) -> list[Mapping[str, Any]]:
    found = told.get(name, [])
    if not isinstance(found, list) or not all(isinstance(one, dict) for one in found):
        raise ResponseError(f"{name} must be tables, each under [[{name}]]")
    return found


def _webhook(told: Mapping[str, Any]) -> Webhook:
    where = f"webhook {told.get('name', '')}".strip()
    _only(where, told, set(Webhook.__slots__))
    try:
        webhook = msgspec.convert(told, Webhook)
    except msgspec.ValidationError as error:
        raise ResponseError(f"{where}: {error}") from error
    check_webhook(webhook)
    return webhook


def _rule(number: int, told: Mapping[str, Any]) -> Rule:
    where = f"rule {told.get('name', number)}"
    _only(where, told, set(Rule.__slots__))
    when = told.get("when", {})
    if not isinstance(when, dict):
        raise ResponseError(f"{where}: when must be a table")
    _only(f"{where}: when", when, set(When.__slots__))
    try:
        spans = {key: span(told[key]) for key in ("lasts", "spread") if key in told}
        ages = {"least_age": span(when["least_age"])} if "least_age" in when else {}
        condition = msgspec.convert({**when, **ages}, When)
        rule = msgspec.convert({**told, **spans, "when": {}}, Rule)
    except (TypeError, AttributeError, msgspec.ValidationError) as error:
        raise ResponseError(f"{where}: {error}") from error
    if not condition.verdict or set(condition.verdict) - set(VERDICTS):
        raise ResponseError(f"{where}: verdict must be a list of {' and '.join(VERDICTS)}")
    if not rule.name.strip():
        raise ResponseError(f"{where}: give it a name")
    return replace(rule, when=condition)
