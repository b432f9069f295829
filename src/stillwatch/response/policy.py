"""``policy.toml``: what a decision may do by itself and when a second person must look.

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
"""

from __future__ import annotations

import datetime as dt
import hashlib
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stillwatch.response import ResponseError

VERSION = 1
_SPAN = re.compile(r"(\d{1,6})([smhd])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


@dataclass(frozen=True, slots=True)
class Policy:
    """The limits of decisions."""

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
    digest: str = "built in"
    """Hash of the file, for the audit log."""


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
    _only(path, "the file", told, {"version", "approval", "enforcement"})
    values: dict[str, Any] = {}
    for table, keys in (("approval", _APPROVAL), ("enforcement", _ENFORCEMENT)):
        part = told.get(table, {})
        if not isinstance(part, dict):
            raise ResponseError(f"{path}: {table} must be a table, [{table}]")
        _only(path, f"[{table}]", part, set(keys))
        for key, value in part.items():
            values[key] = _value(path, key, value, keys[key])
    policy = Policy(**values, digest=hashlib.sha256(text).hexdigest())
    if not policy.spread < policy.lasts <= policy.longest:
        raise ResponseError(f"{path}: spread must be shorter than lasts, and lasts no longer than longest")
    return policy


_APPROVAL = {"principals": "whole", "innocent": "number"}
_ENFORCEMENT = {"lasts": "span", "longest": "span", "spread": "span", "followed": "whole"}


def _only(path: Path, where: str, told: Mapping[str, Any], known: set[str]) -> None:
    if unknown := sorted(set(told) - known):
        raise ResponseError(
            f"{path}: {where} has no {', '.join(unknown)}; allowed are {', '.join(sorted(known))}"
        )


def _value(path: Path, key: str, value: object, kind: str) -> Any:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind == "span" and isinstance(value, str):
        return span(value)
    if kind == "whole" and number and isinstance(value, int) and value >= 0:
        return value
    if kind == "number" and isinstance(value, int | float) and number and math.isfinite(value) and value >= 0:
        return float(value)
    wanted = {
        "span": 'a span such as "6h"',
        "whole": "a whole number from 0 on",
        "number": "a number from 0 on",
    }
    raise ResponseError(f"{path}: {key} must be {wanted[kind]}")
