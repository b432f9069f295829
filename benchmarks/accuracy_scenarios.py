"""The scenarios of the accuracy benchmark: who is planted in which log, and what is asked of the scan."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from accuracy_prompts import PROMPTS
from stillwatch.arena import Operator, Recipe
from stillwatch.arena.recipe import MIMICS
from stillwatch.objective.classes import OBJECTIVES

Random = np.random.Generator

INNOCENTS = 3_500
LARGE = 100_000
"""Innocent principals of an ordinary log, and of a large one."""

SIZES = ((20, 51), (51, 111), (111, 201))
"""Accounts of the campaigns of one log, from and below."""

FIRST_SEED = 9_000
"""Seeds of this benchmark start here; those of the evidence fit are all below."""

CALIBRATION_SEED = 15_000
SEED_STEP = 100
KEYS = 20
ORDERS = 2
"""Keys, and other orders of the rows, under which one log is scanned again."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """Logs of one kind."""

    name: str
    about: str
    plant: Callable[[Random], tuple[Operator, ...]]
    logs: int = 3
    """Logs by default; each has its own seed."""

    goal: float = 0.0
    """Recall that every campaign should reach."""

    undetermined: bool = False
    """Whether the verdict undetermined is as right as extraction is."""

    withhold: tuple[str, ...] = ()
    innocents: int = INNOCENTS
    again: bool = False
    """Whether its log is scanned under other keys and in other orders of rows, too."""

    unseen: str = ""
    """Scenario that this one repeats with templates that no fit has read; empty: templates of the text source,
    on which the objective model is fitted."""


@dataclass(frozen=True, slots=True)
class Trial:
    """One scan of one log."""

    scenario: str
    number: int
    """Number of the log in its scenario, from 0."""

    recipe: Recipe
    goal: float
    key: int = 0
    """Number of the secret key."""

    order: int = 0
    """Number of the permutation of the rows; 0 leaves them in order of time."""

    @property
    def name(self) -> str:
        """Name of the log, the same for all its scans."""
        return f"{self.scenario}-{self.number + 1}"


def _drawn(random: Random, band: tuple[int, int], objectives: Sequence[str]) -> dict[str, Any]:
    """Fields of an ordinary operator, within what the reported campaigns showed."""
    return {
        "accounts": int(random.integers(*band)),
        "exchanges_per_account": round(float(random.uniform(20, 30)), 1),
        "objectives": tuple(objectives),
        "hours": str(random.choice(["round_the_clock", "paced"])),
        "share_payment": str(random.choice(["none", "some", "all"])),
        "share_network": str(random.choice(["none", "some", "all"])),
        "position": str(random.choice(["user", "system", "split"])),
        "accounts_opened": str(random.choice(["together", "organic"])),
        "reach": str(random.choice(["odd", "organic"])),
        "harvest": bool(random.integers(2)),
        "days": float(random.integers(10, 15)),
    }


def campaigns(random: Random, fixed: Sequence[Mapping[str, Any]], each: int = 1) -> tuple[Operator, ...]:
    """One operator for each entry of ``fixed``, of different sizes, no objective in two of them."""
    objectives = random.permutation(OBJECTIVES).tolist()
    operators = []
    for number, fields in enumerate(fixed):
        band = SIZES[number % len(SIZES)]
        drawn = _drawn(random, band, objectives[number * each : (number + 1) * each])
        operators.append(Operator(name=f"operator-{number + 1}", **(drawn | dict(fields))))
    return tuple(operators)


def _three(**fields: Any) -> Callable[[Random], tuple[Operator, ...]]:
    return lambda random: campaigns(random, [fields] * 3)


def _graded(**fields: Any) -> Callable[[Random], tuple[Operator, ...]]:
    """Three campaigns, without camouflage, at a half and at nine tenths."""
    return lambda random: campaigns(random, [fields | {"camouflage": share} for share in (0.0, 0.5, 0.9)])


def _mimic(signal: str) -> Callable[[Random], tuple[Operator, ...]]:
    """Three campaigns of two objectives that show every signal but the one they imitate."""
    obvious = {
        "hours": "round_the_clock",
        "dispatch": "even",
        "share_payment": "some",
        "share_network": "some",
        "accounts_opened": "together",
        "reach": "odd",
        "harvest": True,
        "pivot": True,
        "replacement": "after_exchanges",
        "mimic": signal,
    }
    shares = (0.0, 0.5, 0.9)
    return lambda random: campaigns(random, [obvious | {"camouflage": share} for share in shares], each=2)


def _careful(random: Random) -> tuple[Operator, ...]:
    careful = {
        "camouflage": 0.9,
        "wordings": 6,
        "hours": "human",
        "dispatch": "heavy_tailed",
        "share_payment": "none",
        "share_network": "none",
        "share_address": "none",
        "accounts_opened": "organic",
        "reach": "organic",
        "harvest": False,
    }
    return campaigns(random, [careful] * 3)


def _unseen(plant: Callable[[Random], tuple[Operator, ...]]) -> Callable[[Random], tuple[Operator, ...]]:
    """The same operators with templates of ``PROMPTS``, which have one wording."""

    def planted(random: Random) -> tuple[Operator, ...]:
        return tuple(
            replace(operator, prompt=str(random.choice(PROMPTS[operator.objectives[0]])), wordings=1)
            for operator in plant(random)
        )

    return planted


def _reseller(random: Random) -> tuple[Operator, ...]:
    fields = {"venue": "reseller", "position": "user"}
    return campaigns(random, [fields | {"camouflage": share} for share in (0.0, 0.5)])


LANGUAGES: Mapping[str, tuple[str, ...]] = {
    "zh": ("elicited_reasoning", "rubric_grading", "safe_rewriting", "data_analysis"),
    "ja": ("elicited_reasoning", "rubric_grading", "data_analysis"),
    "th": ("elicited_reasoning", "rubric_grading", "data_analysis"),
    "code": ("coding_drill",),
}
"""Objectives of which the text source has a template, by language."""


def _languages(random: Random) -> tuple[Operator, ...]:
    operators = []
    for number, (language, objectives) in enumerate(LANGUAGES.items()):
        drawn = _drawn(random, SIZES[int(random.integers(len(SIZES)))], [str(random.choice(objectives))])
        operators.append(Operator(name=f"operator-{number + 1}", language=language, camouflage=0.5, **drawn))
    return tuple(operators)


def _replaced(random: Random) -> tuple[Operator, ...]:
    bans = ({"replacement": "after_exchanges"}, {"replacement": "random_days"})
    return campaigns(random, [ban | {"camouflage": 0.5} for ban in bans])


def _objectives(random: Random) -> tuple[Operator, ...]:
    return campaigns(random, [{"camouflage": 0.9}, {"camouflage": 0.5}], each=3)


def _strangers(random: Random) -> tuple[Operator, ...]:
    nothing = {"share_payment": "none", "share_network": "none", "share_address": "none", "camouflage": 0.5}
    return campaigns(random, [nothing, nothing])


def _nobody(random: Random) -> tuple[Operator, ...]:
    del random
    return ()


def _mimics() -> Iterator[Scenario]:
    for signal in MIMICS[1:]:
        disguised = signal == "objective"
        yield Scenario(
            f"mimic_{signal}",
            f"all the signs but one: `{signal}` has the value that innocent streams show",
            _mimic(signal),
            logs=2,
            goal=0.90,
            undetermined=disguised,
        )


_SEEN: tuple[Scenario, ...] = (
    Scenario("camouflage_0", "three campaigns without camouflage", _three(camouflage=0.0), goal=0.98),
    Scenario("camouflage_50", "three campaigns at 50% camouflage", _three(camouflage=0.5), goal=0.98),
    Scenario("camouflage_90", "three campaigns at 90% camouflage", _three(camouflage=0.9), goal=0.98),
    Scenario(
        "careful",
        "human hours, uneven load, nothing shared, accounts opened over a year, six wordings of every sentence "
        "recombined anew, 90% camouflage",
        _careful,
        goal=0.90,
    ),
    Scenario("agent", "inside a popular agent's prompt", _graded(venue="agent", position="user"), goal=0.90),
    Scenario("reseller", "through the end users of one reseller's key", _reseller, goal=0.95),
    *_mimics(),
    Scenario("languages", "Chinese, Japanese, Thai and code at 50% camouflage", _languages, goal=0.95),
    Scenario(
        "bare",
        "text, times and accounts alone: no identities, networks, payments, ages or sampling, at 90%",
        _three(camouflage=0.9),
        goal=0.95,
        withhold=("identities", "network", "payment", "ages", "sampling"),
    ),
    Scenario(
        "replacement", "banned accounts are replaced within hours, 50% camouflage", _replaced, goal=0.98
    ),
    Scenario("three_objectives", "two operators, each through three objectives", _objectives, goal=0.98),
    Scenario("two_strangers", "two operators that share nothing", _strangers, goal=0.98),
    Scenario("clean", "nobody collects anything", _nobody, logs=20),
    Scenario(
        "again",
        f"one log under {KEYS} keys and in {ORDERS} other orders of its rows",
        _three(camouflage=0.5),
        logs=1,
        goal=0.98,
        again=True,
    ),
)

REPEATED = ("camouflage_0", "camouflage_50", "camouflage_90", "careful", "agent", "reseller", "bare")
"""Scenarios that are run with unseen templates too. The others need several wordings, languages or templates of one
operator, which a template that is given as text does not have."""

SCENARIOS: tuple[Scenario, ...] = (
    *_SEEN,
    *(
        replace(
            scenario,
            name=f"{scenario.name}_unseen",
            about=f"as `{scenario.name}`, with templates that no fit has read"
            + (" (one wording)" if scenario.name == "careful" else ""),
            plant=_unseen(scenario.plant),
            unseen=scenario.name,
        )
        for scenario in _SEEN
        if scenario.name in REPEATED
    ),
)

LARGE_CLEAN = Scenario(
    "large_clean", f"{LARGE:,} principals, nobody collects", _nobody, logs=2, innocents=LARGE
)

QUICK = ("camouflage_90", "camouflage_90_unseen", "clean", "again")
"""Scenarios of a quick run."""

QUICK_LOGS, QUICK_KEYS = 2, 2


@dataclass(frozen=True, slots=True)
class Extent:
    """How much of the benchmark is run."""

    quick: bool = False
    large: bool = False
    logs: int = 0
    """Logs of each scenario; 0 leaves each its own number."""

    scale: float = 1.0
    """Factor on the innocent principals and on the size of every campaign, for tests."""

    only: tuple[str, ...] = ()
    """Names of scenarios; empty: all."""

    def names(self) -> list[str]:
        """Scenarios that ``only`` may name."""
        return [scenario.name for scenario in (*SCENARIOS, *([LARGE_CLEAN] if self.large else []))]

    def unknown(self) -> str:
        """The names in ``only`` that are no scenario's."""
        return ", ".join(name for name in self.only if name not in self.names())

    def scenarios(self) -> list[Scenario]:
        """The scenarios to run, in order."""
        every = [*SCENARIOS, *([LARGE_CLEAN] if self.large else [])]
        wanted = self.only or (QUICK if self.quick else ())
        return [scenario for scenario in every if not wanted or scenario.name in wanted]

    def trials(self) -> list[Trial]:
        """Every scan of the run; the number of a scenario in the full list gives its seeds."""
        numbers = {scenario.name: number for number, scenario in enumerate((*SCENARIOS, LARGE_CLEAN))}
        found = []
        for scenario in self.scenarios():
            count = self.logs or (min(scenario.logs, QUICK_LOGS) if self.quick else scenario.logs)
            for number in range(count):
                # The two of a pair differ in their templates and in nothing else.
                seed = FIRST_SEED + SEED_STEP * numbers[scenario.unseen or scenario.name] + number
                trial = Trial(scenario.name, number, plan(scenario, seed, self.scale), scenario.goal)
                found.append(trial)
                if scenario.again:
                    keys, orders = (QUICK_KEYS, 1) if self.quick else (KEYS, ORDERS)
                    found.extend(replace(trial, key=key) for key in range(1, keys))
                    found.extend(replace(trial, order=order + 1) for order in range(orders))
        return found


def plan(scenario: Scenario, seed: int, scale: float = 1.0) -> Recipe:
    """The recipe of one log of a scenario."""
    random = np.random.default_rng(seed)
    innocents = max(50, round(scenario.innocents * scale))
    exchanges = round(innocents * float(random.uniform(14, 26)))
    operators = tuple(
        replace(operator, accounts=max(12, round(operator.accounts * scale)))
        for operator in scenario.plant(random)
    )
    return Recipe(
        seed=seed,
        text="b",
        innocents=innocents,
        exchanges=exchanges,
        operators=operators,
        withhold=scenario.withhold,
    )
