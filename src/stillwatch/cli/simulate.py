"""``stillwatch simulate``: a log with a known truth, to try a scan on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from stillwatch.arena.recipe import Recipe

OUT = typer.Option(
    ..., "--out", metavar="DIR", help="Folder for exchanges.parquet, truth.parquet and recipe.toml."
)
RECIPE = typer.Option(None, "--recipe", metavar="FILE", help="TOML recipe; the other options override it.")
PRESET = typer.Option("default", "--preset", help="Recipe to start from: default, tiny or benchmark.")
SEED = typer.Option(None, "--seed", help="Seed; the same recipe and seed give the same bytes.")
TEXT = typer.Option(None, "--text", help="Text source: a or b, which share no templates.")
DAYS = typer.Option(None, "--days", help="Length of the log in days.")
INNOCENTS = typer.Option(None, "--innocents", help="Innocent principals.")
EXCHANGES = typer.Option(None, "--exchanges", help="Innocent exchanges, about.")
PROMPTS = typer.Option(
    [],
    "--prompts",
    metavar="FILE",
    help="Real prompts (JSON lines with a key 'text', or plain lines); may repeat.",
)
WITHHOLD = typer.Option(
    [],
    "--withhold",
    help="Columns to leave out: identities, network, payment, ages, replies, sampling; may repeat.",
)
OPERATORS = typer.Option(
    None, "--operators", min=0, help="Number of operators, told apart by their objectives; 0 for none."
)
ACCOUNTS = typer.Option(None, "--accounts", help="Principals of each operator.")
PER_ACCOUNT = typer.Option(None, "--exchanges-per-account", help="Extraction exchanges of each of them.")
CAMOUFLAGE = typer.Option(
    None, "--camouflage", help="Share of ordinary traffic in operators' accounts, 0 to 0.95."
)
OBJECTIVE = typer.Option([], "--objective", help="Objective of the operators; may repeat.")
LANGUAGE = typer.Option(None, "--language", help="Language of the templates: en, zh, ja, th or code.")
WORDINGS = typer.Option(None, "--wordings", help="Alternative wordings of every sentence, 1 to 6.")
DISPATCH = typer.Option(None, "--dispatch", help="Load over accounts: even or heavy_tailed.")
HOURS = typer.Option(None, "--hours", help="round_the_clock, human, paced, nightly, bursts or sittings.")
VENUE = typer.Option(None, "--venue", help="direct, agent, client or reseller.")
POSITION = typer.Option(None, "--position", help="Place of the template: system, user or split.")
REPEATS = typer.Option(None, "--seed-repeats", help="Times that every seed is asked.")
REPLACEMENT = typer.Option(None, "--replacement", help="none, after_exchanges or random_days.")
SHARE = typer.Option(None, "--share", help="Shared payment, network and address at once: none, some or all.")
MIMIC = typer.Option(None, "--mimic", help="The one signal whose innocent value the operators imitate.")
PIVOT = typer.Option(None, "--pivot/--no-pivot", help="Operators move to the new model at its release.")
HARVEST = typer.Option(
    None, "--harvest/--no-harvest", help="Operators sample many completions and log-probabilities."
)


def simulate(
    *,
    out: Path = OUT,
    recipe: Path | None = RECIPE,
    preset: str = PRESET,
    seed: int | None = SEED,
    text: str | None = TEXT,
    days: int | None = DAYS,
    innocents: int | None = INNOCENTS,
    exchanges: int | None = EXCHANGES,
    prompts: list[str] = PROMPTS,
    withhold: list[str] = WITHHOLD,
    operators: int | None = OPERATORS,
    accounts: int | None = ACCOUNTS,
    exchanges_per_account: float | None = PER_ACCOUNT,
    camouflage: float | None = CAMOUFLAGE,
    objective: list[str] = OBJECTIVE,
    language: str | None = LANGUAGE,
    wordings: int | None = WORDINGS,
    dispatch: str | None = DISPATCH,
    hours: str | None = HOURS,
    venue: str | None = VENUE,
    position: str | None = POSITION,
    seed_repeats: int | None = REPEATS,
    replacement: str | None = REPLACEMENT,
    share: str | None = SHARE,
    mimic: str | None = MIMIC,
    pivot: bool | None = PIVOT,
    harvest: bool | None = HARVEST,
) -> None:
    """Simulate a log: innocent populations, and operators who hide among them."""
    from stillwatch.arena.recipe import PRESETS, load
    from stillwatch.arena.simulation import simulate as run

    if preset not in PRESETS:
        raise typer.BadParameter(f"{preset!r} is not one of {', '.join(PRESETS)}", param_hint="--preset")
    log: dict[str, Any] = {
        "seed": seed,
        "text": text,
        "days": days,
        "innocents": innocents,
        "exchanges": exchanges,
    }
    log |= {"prompts": tuple(prompts) or None, "withhold": tuple(withhold) or None}
    told: dict[str, Any] = {
        "accounts": accounts,
        "exchanges_per_account": exchanges_per_account,
        "camouflage": camouflage,
    }
    told |= {"objectives": tuple(objective) or None, "language": language, "wordings": wordings}
    told |= {"dispatch": dispatch, "hours": hours, "venue": venue, "position": position, "mimic": mimic}
    told |= {"seed_repeats": seed_repeats, "replacement": replacement, "pivot": pivot, "harvest": harvest}
    told |= {"share_payment": share, "share_network": share, "share_address": share}
    start = load(recipe) if recipe else PRESETS[preset]
    truth = run(_changed(start, log, operators, told), out)
    typer.echo(
        f"{truth.exchanges:,} exchanges of {truth.accounts:,} accounts; {truth.extraction_exchanges:,} are "
        f"extraction by {truth.operator_principals:,} principals\n{truth.exchanges_path}\n{truth.truth_path}"
    )


def _changed(start: Recipe, log: dict[str, Any], operators: int | None, told: dict[str, Any]) -> Recipe:
    """The recipe with the options that were given worked in."""
    from dataclasses import replace

    from stillwatch.arena.recipe import Operator
    from stillwatch.objective.classes import OBJECTIVES

    given = {name: value for name, value in log.items() if value is not None}
    ours = {name: value for name, value in told.items() if value is not None}
    staff = start.operators
    if operators is not None:
        base = staff[0] if staff else Operator()
        staff = tuple(
            replace(base, name=f"operator-{n + 1}", objectives=(OBJECTIVES[n % len(OBJECTIVES)],))
            for n in range(operators)
        )
    return replace(start, **given, operators=tuple(replace(operator, **ours) for operator in staff))
