"""Who sends the exchanges: accounts with their networks, payments and clients, and the principals in them."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from stillwatch.arena.draws import Floats, Integers, below, combine, key_of, unit
from stillwatch.arena.plan import Array
from stillwatch.arena.rhythm import DAY, Habits

COUNTRIES: tuple[tuple[str, float, int, int], ...] = (
    # ISO code, hours ahead of UTC, weight, first autonomous system of an invented block
    ("US", -5.0, 30, 394000),
    ("US", -8.0, 12, 394100),
    ("GB", 0.0, 9, 210000),
    ("DE", 1.0, 8, 210200),
    ("FR", 1.0, 6, 210400),
    ("IN", 5.5, 10, 134000),
    ("BR", -3.0, 6, 268000),
    ("CA", -5.0, 4, 395000),
    ("AU", 10.0, 3, 136000),
    ("NL", 1.0, 2, 210600),
    ("PL", 1.0, 2, 210800),
    ("ES", 1.0, 2, 211000),
    ("MX", -6.0, 2, 269000),
    ("NG", 1.0, 1, 329000),
    ("ZA", 2.0, 1, 329200),
    ("KR", 9.0, 2, 140000),
    ("SG", 8.0, 2, 141000),
    ("JP", 9.0, 0, 138000),
    ("TW", 8.0, 0, 139000),
    ("TH", 7.0, 0, 142000),
    ("RU", 3.0, 0, 212000),
    ("VN", 7.0, 0, 143000),
)
"""Weight 0: only where somebody's language or an operator's reach asks for it."""
HOME_OF_LANGUAGE = {"ja": "JP", "zh": "TW", "th": "TH"}
CLOUD_SYSTEMS = (16509, 15169, 8075, 14061, 24940, 16276)
VPN_SYSTEMS = (9009, 60068, 212238, 62240)
BROWSERS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/133.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/18.3 Safari/605.1.15",
    "Mozilla/5.0 (X11; Linux x86_64; rv:135.0) Gecko/20100101 Firefox/135.0",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_3 like Mac OS X) AppleWebKit/605.1.15 Mobile/15E148",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/133.0.0.0 Mobile Safari/537.36",
)
LIBRARIES = (
    *(
        "OpenAI/Python 1.63.2",
        "OpenAI/Python 1.54.0",
        "anthropic-sdk-python/0.45.2",
        "python-requests/2.32.3",
    ),
    *("openai-node/4.83.0", "langchain/0.3.18", "litellm/1.60.8", "axios/1.7.9", "Go-http-client/2.0"),
    *("okhttp/4.12.0", "node-fetch/3.3.2", "curl/8.11.1"),
)


@dataclass(frozen=True, slots=True)
class Group:
    """How a group of new accounts looks; None stands for the organic choice."""

    kind: str
    """Prefix that keeps the groups' draws apart; never shown."""
    client: str = "browser"
    """browser, library, or the user agent itself."""
    language: str = "en"
    network: str = "home"
    """home, cloud, or the name of a network that all of them share."""
    network_share: float = 1.0
    """Share of the accounts on the shared network."""
    address_share: float = 0.0
    """Share of the accounts behind one address."""
    payment_share: float = 0.0
    """Share of the accounts that one of a few means of payment pays for."""
    opened: tuple[float, float] = (-365.0, 0.0)
    """Days relative to the start of the log between which they were opened."""
    organization: str = ""
    """Declared organization; "each" declares one for every account."""
    weekend: tuple[float, float] = (0.4, 1.1)
    countries: tuple[str, ...] = ()


@dataclass(slots=True)
class People:
    """Accounts and principals, added group by group."""

    seed: int
    account_columns: dict[str, list[Array]] = field(default_factory=dict)
    principal_columns: dict[str, list[Array]] = field(default_factory=dict)
    accounts: int = 0
    principals: int = 0
    agents: list[str] = field(default_factory=list)
    organizations: list[str] = field(default_factory=lambda: [""])

    def add(self, group: Group, count: int) -> Integers:
        """New accounts with a principal each; returns the principals."""
        account = self._add_accounts(group, count)
        return self._add_principals(group, account, np.zeros(count, dtype=np.int64))

    def add_end_users(self, group: Group, account: int, count: int) -> Integers:
        """New end users of an account; returns their principals."""
        return self._add_principals(group, np.full(count, account), np.arange(1, count + 1) + self.principals)

    def add_customers(self, group: Group, count: int) -> Integers:
        """People without an account of their own, e.g. customers of a pool."""
        return self._add_principals(group, np.full(count, -1), np.zeros(count, dtype=np.int64))

    def account_of(self, principal: int) -> int:
        """Account of a principal."""
        return int(self.column("account")[principal])

    def set_opened(self, principals: Integers, opened: Integers) -> None:
        """Say when the accounts of these principals were opened, microseconds from the start of the log."""
        self.column("opened", account=True)[self.column("account")[principals]] = opened

    def _add_accounts(self, group: Group, count: int) -> Integers:
        number = np.arange(self.accounts, self.accounts + count)
        key = combine(np.full(count, np.uint64(key_of(self.seed, "account"))), number)
        shared = np.uint64(key_of(self.seed, group.kind, group.network, self.accounts))
        network = key_of(self.seed, group.kind, group.network) % 40
        country = self._countries(group, count, self.accounts)
        system = np.array([row[3] for row in COUNTRIES])[country] + below(combine(key, 1), 24)
        if group.network == "cloud":
            system = np.array(CLOUD_SYSTEMS)[below(combine(key, 2), len(CLOUD_SYSTEMS))]
        elif group.network != "home":
            system = np.where(unit(combine(key, 4)) < group.network_share, 397000 + network, system)
        vpn = (unit(combine(key, 5)) < 0.04) & (group.network == "home")
        system = np.where(vpn, np.array(VPN_SYSTEMS)[below(combine(key, 6), len(VPN_SYSTEMS))], system)
        host = combine(key, 7)
        host = np.where(vpn, np.uint64(900) + below(host, 60).astype(np.uint64), host)
        together = unit(combine(key, 8)) < group.address_share
        host = np.where(together, shared, host)
        system = np.where(together, 397000 + network, system)
        payment = combine(key, 9)
        few = max(1, round(count * group.payment_share / 12))
        one_of_few = combine(np.full(count, shared), below(combine(key, 10), few))
        payment = np.where(unit(combine(key, 11)) < group.payment_share, one_of_few, payment)
        first, last = group.opened
        opened = ((first + (last - first) * unit(combine(key, 12))) * DAY).astype(np.int64)
        self._append(
            self.account_columns,
            country=country,
            system=system,
            host=host,
            roams=(unit(combine(key, 13)) < 0.35) & (group.client == "browser") & ~together,
            payment=payment,
            opened=opened,
            agent=self._clients(group, count, self.accounts),
            organization=self._organizations(group, count),
        )
        self.accounts += count
        return number

    def _countries(self, group: Group, count: int, offset: int) -> Integers:
        """Row of COUNTRIES for every account."""
        key = combine(np.full(count, np.uint64(key_of(self.seed, "country"))), np.arange(count) + offset)
        codes = group.countries or tuple(filter(None, [HOME_OF_LANGUAGE.get(group.language)]))
        weights = [float(row[0] in codes) if codes else float(row[2]) for row in COUNTRIES]
        cdf = np.cumsum(weights) / sum(weights)
        return np.searchsorted(cdf, unit(key), side="right")

    def _clients(self, group: Group, count: int, offset: int) -> Integers:
        """Number of the user agent of every account."""
        menu = {"browser": BROWSERS, "library": LIBRARIES}.get(group.client, (group.client,))
        numbers = np.array([self._agent(agent) for agent in menu])
        key = combine(np.full(count, np.uint64(key_of(self.seed, "client"))), np.arange(count) + offset)
        return np.asarray(numbers[below(key, len(menu))])

    def _agent(self, agent: str) -> int:
        if agent not in self.agents:
            self.agents.append(agent)
        return self.agents.index(agent)

    def _organizations(self, group: Group, count: int) -> Integers:
        """Number of the organization of every account; 0 is none."""
        first = len(self.organizations)
        if not group.organization:
            return np.zeros(count, dtype=np.int64)
        if group.organization == "each":
            digits = [key_of(self.seed, "organization", first + n) % 10**8 for n in range(count)]
            self.organizations.extend(f"org-{digit:08d}" for digit in digits)
            return np.arange(first, first + count)
        self.organizations.append(group.organization)
        return np.full(count, first)

    def _add_principals(self, group: Group, account: Integers, end_user: Integers) -> Integers:
        count = len(account)
        number = np.arange(self.principals, self.principals + count)
        key = combine(np.full(count, np.uint64(key_of(self.seed, "principal"))), number)
        own = self._countries(group, count, self.principals)
        if account.size and account[0] >= 0 and not end_user.any():
            own = self.column("country", account=True)[account]
        low, high = group.weekend
        self._append(
            self.principal_columns,
            account=account,
            end_user=end_user,
            utc_offset=np.array([row[1] for row in COUNTRIES])[own],
            chronotype=4.0 * (unit(combine(key, 1)) + unit(combine(key, 2)) - 1.0),
            active_share=0.15 + 0.8 * unit(combine(key, 3)) ** 1.5,
            weekend=low + (high - low) * unit(combine(key, 4)),
        )
        self.principals += count
        return number

    @staticmethod
    def _append(columns: dict[str, list[Array]], **values: Array) -> None:
        for name, value in values.items():
            columns.setdefault(name, []).append(value)

    def column(self, name: str, *, account: bool = False) -> Array:
        """A column over all principals, or over all accounts."""
        columns = self.account_columns if account else self.principal_columns
        if name not in columns:
            return np.zeros(0, dtype=np.int64)
        if len(columns[name]) > 1:
            columns[name] = [np.concatenate(columns[name])]
        return columns[name][0]

    def habits(self) -> Habits:
        """Habits of every principal."""

        def floats(name: str) -> Floats:
            return self.column(name).astype(np.float64)

        return Habits(floats("utc_offset"), floats("chronotype"), floats("active_share"), floats("weekend"))
