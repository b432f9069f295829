"""The truth of a simulated log, by principal and by exchange."""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import pyarrow.parquet as pq

Principal = tuple[str, str | None]
"""Account, and its end user where the log names one."""


@dataclass(frozen=True, slots=True)
class Truth:
    """Who is who in a log."""

    operator: dict[Principal, str]
    """Operator of each principal that is one's."""

    population: dict[Principal, str]
    """Population that each principal belongs to; ``camouflage`` and ``operator`` are an operator's."""

    planted: dict[str, set[str]]
    """Exchanges that each operator collected."""

    senders: dict[str, set[Principal]]
    """Principals through which each operator collected any."""

    user_owners: dict[str, set[str]]
    """Operators of the end users of an account, the empty name for the innocent; accounts with users alone."""

    def principals_of(self, operator: str) -> set[Principal]:
        """All principals of one operator."""
        return {principal for principal, name in self.operator.items() if name == operator}

    def innocent(self, principal: Principal) -> bool:
        """Whether it is wrong to accuse it: no operator's, or a key of which only some users are."""
        if principal in self.operator:
            return False
        return principal in self.population or "" in self.user_owners.get(principal[0], {""})

    def owner_of(self, principal: Principal) -> str:
        """Operator of a principal, or of all users of a key; the empty name where it is innocent."""
        if self.innocent(principal):
            return ""
        return self.operator.get(principal) or min(self.user_owners[principal[0]])


def read_truth(path: Path, end_users: bool) -> Truth:
    """Read a truth; ``end_users``: whether the log names them, else the account is the principal."""
    names = ("exchange_id", "account_id", "end_user_id", "population", "operator_id", "extraction")
    table = pq.read_table(path, columns=list(names)).to_pydict()
    operator: dict[Principal, str] = {}
    kinds: defaultdict[Principal, Counter[str]] = defaultdict(Counter)
    planted: defaultdict[str, set[str]] = defaultdict(set)
    senders: defaultdict[str, set[Principal]] = defaultdict(set)
    owners: defaultdict[str, set[str]] = defaultdict(set)
    for exchange, account, user, kind, owner, taken in zip(*(table[name] for name in names), strict=True):
        principal = (account, user if end_users else None)
        kinds[principal][kind] += 1
        if owner is not None:
            operator[principal] = owner
        if taken:
            planted[owner].add(exchange)
            senders[owner].add(principal)
        if principal[1] is not None:
            owners[account].add(owner or "")
    population = {principal: max(held, key=held.__getitem__) for principal, held in kinds.items()}
    return Truth(operator, population, planted, senders, dict(owners))
