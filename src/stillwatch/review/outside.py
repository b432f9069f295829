"""Logging in elsewhere: an OpenID Connect provider says who somebody is, and a table of ours what role that gives.

A TOML file (``stillwatch serve --oidc FILE``)::

    issuer = "https://login.example.org"
    client_id = "stillwatch"
    secret_env = "STILLWATCH_OIDC_SECRET"
    address = "https://review.example.org"
    role_claim = "groups"

    [roles]
    "abuse-analysts" = "analyst"
    "abuse-leads" = "approver"

The authorization code flow with PKCE and a nonce, by Authlib: signature, issuer, audience, expiry and nonce of the token are
checked by it.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from stillwatch.response.address import is_unread_on_the_way
from stillwatch.review import ServeError
from stillwatch.store.users import Role

COOKIE, PATH = "stillwatch-outside", "/oidc"
CALLBACK = PATH + "/callback"
MINUTES = 10
"""How long somebody may take at the provider."""


@dataclass(frozen=True, slots=True)
class Provider:
    """Where people log in."""

    issuer: str
    """Its address, as its tokens name it: https, or http on this machine."""
    client_id: str
    """What this program is called there."""
    secret_env: str
    """Variable of the environment that holds the client's secret."""
    address: str
    """Where people reach these pages; the provider must know `address/oidc/callback`."""
    roles: Mapping[str, Role] = field(default_factory=dict)
    """What a value of the role claim gives here; of several the highest. Whoever has none is not let in."""
    name_claim: str = "email"
    """Claim that gives the user's name here."""
    role_claim: str = "groups"
    """Claim with the values above: a word or a list of words."""
    scope: str = "openid email profile"
    """What is asked for."""

    def role_of(self, claims: Mapping[str, Any]) -> Role | None:
        """The highest role that the claims give.

        >>> there = Provider("https://a", "b", "C", "https://d", {"leads": Role.APPROVER, "all": Role.VIEWER})
        >>> there.role_of({"groups": ["all", "leads"]}), there.role_of({"groups": "others"})
        (<Role.APPROVER: 'approver'>, None)
        """
        told = claims.get(self.role_claim, [])
        values = told if isinstance(told, list) else [told]
        given = [self.roles[one] for one in values if isinstance(one, str) and one in self.roles]
        return max(given, key=list(Role).index, default=None)

    def name_of(self, claims: Mapping[str, Any]) -> str | None:
        """The name; none where it is an address that the provider has not verified."""
        name = claims.get(self.name_claim)
        if not isinstance(name, str) or (
            self.name_claim == "email" and claims.get("email_verified") is False
        ):
            return None
        return name

    @property
    def secret(self) -> str:
        """The client's secret. Raises :class:`ServeError` where the variable is not set."""
        secret = os.environ.get(self.secret_env, "")
        if not secret:
            raise ServeError(f"{self.secret_env} is not set; put the client's secret there")
        return secret


def read_provider(path: Path) -> Provider:
    """The provider of a file. Raises :class:`ServeError` with what is wrong and what is allowed."""
    try:
        told = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ServeError(f"cannot read {path}: {error}") from error
    if unknown := sorted(set(told) - set(Provider.__slots__)):
        raise ServeError(
            f"{path} has no {', '.join(unknown)}; allowed are {', '.join(sorted(Provider.__slots__))}"
        )
    try:
        found = msgspec.convert(told, Provider)
    except msgspec.ValidationError as error:
        raise ServeError(f"{path}: {error}") from error
    for name, address in (("issuer", found.issuer), ("address", found.address)):
        if not is_unread_on_the_way(address):
            raise ServeError(f"{path}: {name} must begin with https://, or http:// on this machine")
    if not found.roles:
        raise ServeError(f"{path}: without [roles] nobody is let in; name at least one")
    return found
