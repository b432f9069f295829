"""The registry: which organizations declared what they do, and what they may do until when.

A TOML file::

    [[organization]]
    id = "org-1"                       # organization_id of the log; or accounts = ["acct-1", "acct-2"]
    may = ["data_generation"]          # free words, shown in the report
    until = 2026-12-31                 # optional; after the log's last exchange it must not lie in the past
    reference = "contract 2026-14"     # optional
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path


class RegistryError(Exception):
    """A registry file that cannot be read; the text names the entry and what is allowed."""


@dataclass(frozen=True, slots=True)
class Licence:
    """What one organization may do."""

    organization_id: str | None
    accounts: frozenset[str]
    may: tuple[str, ...]
    until: dt.date | None
    reference: str | None


@dataclass(frozen=True, slots=True)
class Registry:
    """All licences, looked up by organization or account."""

    licences: tuple[Licence, ...] = ()

    def licence(self, account_id: str, organization_id: str | None, on: dt.date) -> Licence | None:
        """The licence that covers an account on a day, or None."""
        for licence in self.licences:
            named = account_id in licence.accounts or (
                organization_id is not None and organization_id == licence.organization_id
            )
            if named and (licence.until is None or on <= licence.until):
                return licence
        return None

    def in_force(self, on: dt.date) -> str:
        """A name for those whom some licence covers on a day, the same for the same; empty where it is nobody."""
        standing = [entry for entry in self.licences if entry.until is None or on <= entry.until]
        if not standing:
            return ""
        organizations = {entry.organization_id for entry in standing if entry.organization_id is not None}
        accounts = {account for entry in standing for account in entry.accounts}
        named = json.dumps([sorted(organizations), sorted(accounts)])
        return hashlib.blake2b(named.encode(), digest_size=8).hexdigest()

    def declares(self, account_id: str, organization_id: str | None) -> bool:
        """Whether the registry names the account at all, also where its licence ran out."""
        return any(
            account_id in entry.accounts
            or (organization_id is not None and organization_id == entry.organization_id)
            for entry in self.licences
        )


_KEYS = {"id", "accounts", "may", "until", "reference"}


def read_registry(path: Path) -> Registry:
    """Registry of a TOML file. Raises :class:`RegistryError` with the entry at fault and the remedy."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise RegistryError(f"cannot read the registry {path}: {error}") from error
    entries = raw.get("organization", [])
    if not isinstance(entries, list) or set(raw) - {"organization"}:
        raise RegistryError(f"{path}: expected [[organization]] tables only, found {', '.join(sorted(raw))}")
    return Registry(tuple(_licence(path, number, entry) for number, entry in enumerate(entries, 1)))


def _licence(path: Path, number: int, entry: object) -> Licence:
    where = f"{path}: organization {number}"
    if not isinstance(entry, dict):
        raise RegistryError(
            f"{where} is no table; begin each entry with [[organization]] and write its keys below"
        )
    if unknown := set(entry) - _KEYS:
        raise RegistryError(
            f"{where}: unknown key {', '.join(sorted(unknown))}; allowed are {', '.join(sorted(_KEYS))}"
        )
    identity, accounts, may, until = (
        entry.get("id"),
        entry.get("accounts", []),
        entry.get("may", []),
        entry.get("until"),
    )
    if not (isinstance(accounts, list) and all(map(_is_name, accounts))):
        raise RegistryError(f"{where}: 'accounts' and 'may' must be lists of texts")
    if not (isinstance(may, list) and all(isinstance(word, str) for word in may)):
        raise RegistryError(f"{where}: 'accounts' and 'may' must be lists of texts")
    if identity is not None and not _is_name(identity):
        raise RegistryError(f"{where}: 'id' must be a text, the log's organization_id")
    if identity is None and not accounts:
        raise RegistryError(f"{where}: give an 'id' (the log's organization_id) or a list of 'accounts'")
    if isinstance(until, dt.datetime):
        until = until.date()
    if until is not None and not isinstance(until, dt.date):
        raise RegistryError(f"{where}: 'until' must be a date such as 2026-12-31 without quotes")
    reference = entry.get("reference")
    if reference is not None and not isinstance(reference, str):
        raise RegistryError(f"{where}: 'reference' must be a text")
    return Licence(
        None if identity is None else str(identity),
        frozenset(str(account) for account in accounts),
        tuple(str(word) for word in may),
        until,
        reference,
    )


def _is_name(value: object) -> bool:
    """Whether a value can be the name of somebody in a log: a text, or digits without quotes."""
    return (isinstance(value, str) and value != "") or (
        isinstance(value, int) and not isinstance(value, bool)
    )
