"""The recipe of every log of the accuracy benchmark, as a page beside the results."""

from __future__ import annotations

from collections.abc import Sequence

from accuracy_scenarios import Trial
from stillwatch.arena import Operator, Recipe
from stillwatch.arena.recipe import dumps, loads


def write_recipes(trials: Sequence[Trial], page: str) -> str:
    """One section a log, folded; what has its default is left out."""
    lines = [
        "# Recipes",
        "",
        f"Every log of [the accuracy page]({page}). Save a recipe as a file and make its log again with "
        "`stillwatch simulate --recipe`; fields that are left out have their [defaults](arena.md)."
        if page == "accuracy.md"
        else "Fields that are left out have their defaults.",
        "",
    ]
    for name, recipe in {trial.name: trial.recipe for trial in trials}.items():
        lines += [
            "<details>",
            f"<summary>{name}</summary>",
            "",
            "```toml",
            brief(recipe),
            "```",
            "",
            "</details>",
            "",
        ]
    return "\n".join(lines)


def brief(recipe: Recipe) -> str:
    """TOML of the fields that differ from their defaults.

    >>> print(brief(Recipe(seed=4, operators=(Operator(name="one", accounts=7),))))
    seed = 4
    <BLANKLINE>
    [[operators]]
    name = "one"
    accounts = 7
    """
    usual = dumps(Recipe(operators=(Operator(name=""),))).split("\n\n")
    head, *sections = dumps(recipe).rstrip("\n").split("\n\n")
    by_title = {section.split("\n", 1)[0]: section.split("\n") for section in usual}
    kept = ["\n".join(line for line in head.split("\n") if line not in usual[0].split("\n"))]
    for section in sections:
        title, *fields = section.split("\n")
        own = [line for line in fields if line not in by_title[title]]
        if own:
            kept.append("\n".join([title, *own]))
    text = "\n\n".join(kept)
    if loads(text) != recipe:
        raise ValueError("a recipe that is not the same after it was shortened")
    return text
