"""The arena: simulated logs with a known truth: innocent populations, and operators who hide among them."""

from stillwatch.arena.recipe import PRESETS, Operator, Recipe, RecipeError, Release, Shares
from stillwatch.arena.simulation import Truth, generate, simulate

__all__ = [
    "PRESETS",
    "Operator",
    "Recipe",
    "RecipeError",
    "Release",
    "Shares",
    "Truth",
    "generate",
    "simulate",
]
