"""How the pages are served."""

from __future__ import annotations

from dataclasses import dataclass, field

from stillwatch.response.policy import Policy
from stillwatch.review.outside import Provider

LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


@dataclass(frozen=True, slots=True)
class Settings:
    """What an operator chooses."""

    policy: Policy = field(default_factory=Policy)
    """The limits of decisions."""
    names: tuple[str, ...] = LOOPBACK
    """Host names under which the pages answer; any other is refused, so that no page of a stranger can reach them
    under a name of its own (DNS rebinding)."""
    behind_proxy: bool = False
    """A proxy in front does TLS: cookies are sent over it alone, and it says where a request comes from."""
    body_bytes: int = 65_536
    """Bytes of a request's body at most."""
    logins_a_minute: int = 10
    """Attempts to log in, from one address or for one user."""
    provider: Provider | None = None
    """Where people log in besides here."""

    @property
    def cookie(self) -> str:
        """Name of the session's cookie; with the prefix a browser takes it over TLS alone, for this host alone."""
        return "__Host-stillwatch" if self.behind_proxy else "stillwatch"
