"""The log of the demo."""

from __future__ import annotations

from stillwatch.arena.recipe import Operator, Recipe


def demo_recipe(seed: int) -> Recipe:
    """Three operators, from bold to careful, among innocent principals of every kind."""
    return Recipe(
        seed=seed,
        exchanges=100_000,
        operators=(
            Operator(
                name="bold",
                accounts=150,
                exchanges_per_account=40,
                objectives=("elicited_reasoning", "data_analysis"),
                camouflage=0.5,
            ),
            Operator(
                name="moving",
                accounts=60,
                objectives=("rubric_grading",),
                replacement="after_exchanges",
                pivot=True,
            ),
            Operator(
                name="careful",
                accounts=40,
                exchanges_per_account=30,
                objectives=("agentic_trajectory",),
                wordings=6,
                hours="human",
                share_payment="none",
                share_network="none",
                accounts_opened="organic",
                reach="organic",
            ),
        ),
    )
