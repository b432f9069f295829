"""The recipe of a simulated log: what is planted among whom. It loads from TOML and dumps to it."""

from __future__ import annotations

import dataclasses
import datetime
import json
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, cast, get_args, get_origin, get_type_hints

from stillwatch.objective.classes import OBJECTIVES

SHARING = ("none", "some", "all")
MIMICS = (
    *("none", "coverage", "load", "rhythm", "lockstep", "companions", "succession"),
    *("pivot", "infrastructure", "harvest", "reach", "objective"),
)
WITHHOLDABLE: Mapping[str, tuple[str, ...]] = {
    "identities": ("organization_id", "end_user_id", "conversation_id"),
    "network": ("ip", "asn", "country", "user_agent", "tls_fingerprint"),
    "payment": ("payment_fingerprint",),
    "ages": ("account_created_at",),
    "replies": ("completion", "output_tokens"),
    "sampling": ("max_tokens", "temperature", "sample_count", "top_logprobs"),
}
CHOICES: Mapping[str, tuple[str, ...]] = {
    "language": ("en", "zh", "ja", "th", "code"),
    "dispatch": ("even", "heavy_tailed"),
    "hours": ("round_the_clock", "human", "paced", "nightly", "bursts", "sittings"),
    "share_payment": SHARING,
    "share_network": SHARING,
    "share_address": SHARING,
    "replacement": ("none", "after_exchanges", "random_days"),
    "position": ("system", "user", "split"),
    "venue": ("direct", "agent", "client", "reseller"),
    "accounts_opened": ("together", "organic"),
    "reach": ("odd", "organic"),
    "mimic": MIMICS,
    "text": ("a", "b"),
}
"""What the fields that are words may say, by name of field."""

LONGEST = 3650
"""Days of a log at most."""
SPILL = 2
"""Days after its end that a time of the log may still lie in, in one time zone or another."""


class RecipeError(ValueError):
    """A recipe that cannot be simulated; the text names the field and what it may be."""


@dataclass(frozen=True, slots=True)
class Operator:
    """Somebody who runs several accounts to collect training data."""

    name: str = "operator-1"
    """Names the operator in the truth; no two of a recipe have the same."""
    accounts: int = 200
    """Principals that work at a time; replaced ones come on top."""
    exchanges_per_account: float = 25.0
    """Extraction exchanges a principal, on average."""
    objectives: tuple[str, ...] = ("elicited_reasoning",)
    """One template is worked through for each."""
    prompt: str = ""
    """Text of the template, in place of one of the text source's."""
    language: str = "en"
    """Language of templates and seeds."""
    camouflage: float = 0.9
    """Share of the accounts' exchanges that belongs to ordinary customers' whole sessions, 0 to 0.95."""
    wordings: int = 1
    """Wordings of every sentence in use, recombined anew for every exchange; 1 is a fixed text."""
    dispatch: str = "even"
    """How exchanges spread over accounts: even or heavy_tailed."""
    hours: str = "round_the_clock"
    """When it works: at all hours, in somebody's working day, at the pace of a rate limit, from 22 to 6 h in one
    time zone, in some ten batches of 1.5 to 6 hours, or each account in sittings of 3 to 8 requests like a person."""
    in_a_row: int = 1
    """Extraction exchanges that an account sends at each such moment, 5 to 120 s apart; from 2 on the accounts take
    turns, and 25 or so is a dispatcher that stays with an account. 1 to 50."""
    share_payment: str = "some"
    """How many of its accounts have a means of payment in common."""
    share_network: str = "some"
    """How many of its accounts come from a network in common."""
    share_address: str = "none"
    """How many of its accounts come from an address in common."""
    replacement: str = "none"
    """What gets an account banned: after_exchanges (ban_after of extraction) or random_days."""
    ban_after: int = 15
    """Extraction exchanges that an account survives."""
    pivot: bool = False
    """Moves to the released model at once."""
    seed_repeats: int = 1
    """How often each seed is asked, over all accounts."""
    position: str = "user"
    """Where the template stands: system, user, or split over both."""
    venue: str = "direct"
    """Through whose prompt or key it works: its own, a popular agent's, a public client's, a reseller's."""
    harvest: bool = False
    """Samples several completions, sweeps the temperature, asks for log-probabilities and long replies."""
    start_day: float = 0.0
    """Days after the start of the log at which it begins."""
    days: float = 0.0
    """Days at work, from start_day; 0 is until the end of the log."""
    organization: str = ""
    """Declared organization of all the accounts; empty: undeclared."""
    accounts_opened: str = "together"
    """together: within two days, shortly before; organic: over the past year, starting one by one."""
    disjoint: bool = False
    """Gives every objective accounts of its own."""
    reach: str = "odd"
    """odd: countries, networks and time zones that do not fit; organic: as customers."""
    mimic: str = "none"
    """The one signal of which it imitates the innocent value."""

    def __post_init__(self) -> None:
        """Check the fields."""
        _check_choices(self)
        _check_range("accounts", self.accounts, 1, 1_000_000)
        _check_range("exchanges_per_account", self.exchanges_per_account, 1, 1e9)
        _check_range("camouflage", self.camouflage, 0.0, 0.95)
        _check_range("wordings", self.wordings, 1, 6)
        _check_range("ban_after", self.ban_after, 1, 1_000_000)
        _check_range("in_a_row", self.in_a_row, 1, 50)
        _check_range("seed_repeats", self.seed_repeats, 1, 1_000)
        _check_range("start_day", self.start_day, 0.0, LONGEST)
        _check_range("days", self.days, 0.0, LONGEST)
        for objective in self.objectives:
            if objective not in OBJECTIVES:
                raise RecipeError(f"objectives: {objective!r} is not one of {', '.join(OBJECTIVES)}")
        if not self.objectives:
            raise RecipeError(f"objectives: none given; name one to three of {', '.join(OBJECTIVES)}")

    def resolved(self) -> Operator:
        """The operator with what it mimics worked into the other fields."""
        changes: dict[str, dict[str, Any]] = {
            "coverage": {"seed_repeats": 4},
            "load": {"dispatch": "heavy_tailed"},
            "rhythm": {"hours": "human"},
            "lockstep": {"accounts_opened": "organic"},
            "companions": {"disjoint": True},
            "succession": {"replacement": "none"},
            "pivot": {"pivot": False},
            "infrastructure": {"share_payment": "none", "share_network": "none", "share_address": "none"},
            "harvest": {"harvest": False},
            "reach": {"reach": "organic"},
        }
        return dataclasses.replace(self, **changes.get(self.mimic, {}))


@dataclass(frozen=True, slots=True)
class Release:
    """A new model that appears during the log."""

    model: str = "atlas-5"
    """Name of the model."""
    day: float = 7.0
    """Days after the start of the log."""

    def __post_init__(self) -> None:
        """Check the fields."""
        _check_range("day", self.day, -LONGEST, LONGEST)


@dataclass(frozen=True, slots=True)
class Shares:
    """Shares of the innocent principals by population; they are normalised to sum to one."""

    chat: float = 0.24
    library: float = 0.08
    viral: float = 0.04
    client: float = 0.16
    agent: float = 0.05
    integrator: float = 0.02
    reseller: float = 0.20
    benchmark: float = 0.03
    grader: float = 0.04
    pipeline: float = 0.05
    assignment: float = 0.03
    pool: float = 0.01
    enthusiast: float = 0.02
    tenant: float = 0.03
    job: float = 0.02

    def __post_init__(self) -> None:
        """Check the fields."""
        for one in dataclasses.fields(self):
            _check_range(f"shares.{one.name}", getattr(self, one.name), 0.0, 1e9)


@dataclass(frozen=True, slots=True)
class Recipe:
    """A log to simulate. The same recipe gives the same bytes."""

    seed: int = 1
    """Another seed gives another log of the same kind."""
    text: str = "a"
    """Text source, a or b; they share no templates."""
    start: str = "2026-03-02T00:00:00+00:00"
    """First moment of the log, ISO 8601 with an offset."""
    days: int = 14
    """Length of the log."""
    innocents: int = 3_500
    """Innocent principals: accounts, and end users of resellers."""
    exchanges: int = 180_000
    """Innocent exchanges, about."""
    history: int = 6
    """Earlier turns that a request carries at most."""
    short: bool = False
    """Short passages and replies, for benchmarks."""
    own_subjects: float = 1.0
    """Share of the innocent who come back to subjects of their own, 0 to 1; the others ask about anything."""
    shares: Shares = field(default_factory=Shares)
    """Shares of the innocent principals by population."""
    operators: tuple[Operator, ...] = ()
    """Who hides among them."""
    release: Release = field(default_factory=Release)
    """The new model that appears during the log."""
    prompts: tuple[str, ...] = ()
    """Files of real prompts that chats and seeds are taken from."""
    withhold: tuple[str, ...] = ()
    """Groups of columns that the log lacks."""
    slice_rows: int = 32_768
    """Rows that are written at a time."""

    def __post_init__(self) -> None:
        """Check the fields."""
        _check_choices(self)
        _check_range("days", self.days, 1, LONGEST)
        _check_range("innocents", self.innocents, 0, 10_000_000)
        _check_range("exchanges", self.exchanges, 0, 10_000_000_000)
        _check_range("history", self.history, 0, 100)
        _check_range("own_subjects", self.own_subjects, 0.0, 1.0)
        _check_range("slice_rows", self.slice_rows, 1, 1_000_000)
        if not self.innocents and not self.operators:
            raise RecipeError("innocents: 0 and no operators; nothing would be written, give one of them")
        for group in self.withhold:
            if group not in WITHHOLDABLE:
                raise RecipeError(f"withhold: {group!r} is not one of {', '.join(WITHHOLDABLE)}")
        names = [operator.name for operator in self.operators]
        if len(set(names)) < len(names):
            raise RecipeError("operators: two have the same name; name each differently")
        try:
            moment = datetime.datetime.fromisoformat(self.start)
        except ValueError:
            raise RecipeError(f"start: {self.start!r} is not an ISO 8601 time with an offset") from None
        if moment.tzinfo is None:
            raise RecipeError(f"start: {self.start!r} has no UTC offset; append +00:00")
        try:
            moment + datetime.timedelta(days=self.days + SPILL)
        except OverflowError:
            raise RecipeError(
                f"start: {self.start!r} is too late for {self.days} days; begin earlier"
            ) from None
        for operator in self.operators:
            if operator.start_day >= self.days:
                raise RecipeError(
                    f"start_day: operator {operator.name!r} begins {operator.start_day} days after the start of a log of "
                    f"{self.days} days; begin earlier, or make the log longer"
                )

    @property
    def start_us(self) -> int:
        """Start of the log, microseconds since 1970 UTC."""
        moment = datetime.datetime.fromisoformat(self.start)
        return int(moment.timestamp()) * 1_000_000

    @property
    def first_weekday(self) -> int:
        """Weekday of the first day, Monday is 0."""
        return datetime.datetime.fromisoformat(self.start).weekday()


def _check_range(name: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise RecipeError(f"{name}: {value} is outside {low} to {high}")


def _check_choices(record: Operator | Recipe) -> None:
    for name, allowed in CHOICES.items():
        value = getattr(record, name, None)
        if value is not None and value not in allowed:
            raise RecipeError(f"{name}: {value!r} is not one of {', '.join(allowed)}")


PRESETS: Mapping[str, Recipe] = {
    "default": Recipe(operators=(Operator(),)),
    "benchmark": Recipe(
        innocents=12_000, exchanges=950_000, history=1, short=True, operators=(Operator(camouflage=0.9),)
    ),
    "tiny": Recipe(innocents=300, exchanges=6_000, operators=(Operator(accounts=30, camouflage=0.5),)),
}


def loads(text: str) -> Recipe:
    """A recipe from TOML text; fields that are left out have their defaults.

    >>> loads('seed = 7\\n[[operators]]\\nname = "one"\\naccounts = 20').operators[0].accounts
    20
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise RecipeError(f"not TOML: {error}") from None
    recipe: Recipe = _build(Recipe, data, "recipe")
    return recipe


def load(path: Path) -> Recipe:
    """A recipe from a TOML file."""
    try:
        return loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise RecipeError(f"cannot read the recipe {path}: {error.strerror}; name another") from error
    except UnicodeDecodeError as error:
        raise RecipeError(f"cannot read the recipe {path}: it is not UTF-8") from error
    except RecipeError as error:
        raise RecipeError(f"{path}: {error}") from error


def _build(kind: Any, data: Any, where: str) -> Any:
    """A record of a kind out of plain data."""
    if get_origin(kind) is tuple:
        if not isinstance(data, list):
            raise RecipeError(f"{where}: a list is needed")
        return tuple(_build(get_args(kind)[0], item, where) for item in data)
    if not dataclasses.is_dataclass(kind):
        if kind is float and isinstance(data, int) and not isinstance(data, bool):
            return float(data)
        if not isinstance(data, kind) or (kind is int and isinstance(data, bool)):
            raise RecipeError(f"{where}: {type(data).__name__} was given, {kind.__name__} is needed")
        return data
    if not isinstance(data, Mapping):
        raise RecipeError(f"{where}: a table is needed")
    make = cast(Callable[..., Any], kind)
    hints = get_type_hints(kind)
    unknown = sorted(set(data) - set(hints))
    if unknown:
        raise RecipeError(f"{where}: unknown field {unknown[0]!r}; it has {', '.join(hints)}")
    return make(**{name: _build(hints[name], value, name) for name, value in data.items()})


def dumps(recipe: Recipe) -> str:
    """TOML text that loads to the same recipe.

    >>> loads(dumps(PRESETS["default"])) == PRESETS["default"]
    True
    """
    lines: list[str] = []
    _dump(dataclasses.asdict(recipe), "", lines)
    return "\n".join(lines).lstrip("\n") + "\n"


def _dump(table: Mapping[str, Any], prefix: str, lines: list[str]) -> None:
    nested: list[tuple[str, Any]] = []
    for name, value in table.items():
        rows = isinstance(value, list | tuple) and bool(value) and isinstance(value[0], Mapping)
        if isinstance(value, Mapping) or rows:
            nested.append((name, value))
        else:
            lines.append(f"{name} = {_scalar(value)}")
    for name, value in nested:
        if isinstance(value, Mapping):
            lines.extend(("", f"[{prefix}{name}]"))
            _dump(value, f"{prefix}{name}.", lines)
        else:
            for row in value:
                lines.extend(("", f"[[{prefix}{name}]]"))
                _dump(row, f"{prefix}{name}.", lines)


def _scalar(value: Any) -> str:
    match value:
        case bool():
            return "true" if value else "false"
        case list() | tuple():
            return "[" + ", ".join(_scalar(item) for item in value) + "]"
        case str():
            # A JSON string is a TOML basic string, once DEL is escaped as well.
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case _:
            return repr(value)


__all__ = ["OBJECTIVES", "PRESETS", "Operator", "Recipe", "RecipeError", "Release", "Shares", "dumps", "load"]
