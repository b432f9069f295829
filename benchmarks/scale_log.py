"""Logs of any size, all of one kind: what a provider sees whose log is so many times larger."""

from __future__ import annotations

from stillwatch.arena import Operator, Recipe

WHOLE = 16_000_000
"""Exchanges at which a log has a million accounts, 24,000 of them in campaigns."""
INNOCENTS, TAKING_PART = 976_000, 24_000
CAMOUFLAGE = tuple(tenth / 10 for tenth in range(10))
"""One operator each; the share of its accounts' exchanges that is ordinary customers'."""
COLLECTED = 25.0
"""Exchanges that an account of an operator collects; its camouflage comes on top."""


def recipe(rows: int, seed: int = 1) -> Recipe:
    """A log of about so many exchanges: a million accounts on sixteen million, ten operators of any size among them."""
    share = rows / WHOLE
    accounts = max(8, round(TAKING_PART * share / len(CAMOUFLAGE)))
    operators = tuple(
        Operator(
            name=f"operator-{number}",
            accounts=accounts,
            exchanges_per_account=COLLECTED,
            camouflage=camouflage,
        )
        for number, camouflage in enumerate(CAMOUFLAGE)
    )
    collected = sum(accounts * COLLECTED / (1 - camouflage) for camouflage in CAMOUFLAGE)
    return Recipe(
        seed=seed, innocents=round(INNOCENTS * share), exchanges=round(rows - collected), history=1, short=True,
        operators=operators,
    )  # fmt: skip
