"""Recipe -> log and truth, in memory or on disk."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from stillwatch.arena.draws import combine, key_of, unit
from stillwatch.arena.log import TRUTH_SCHEMA, LogWriter
from stillwatch.arena.operators import operate
from stillwatch.arena.plan import Plan, concatenate, rows_of
from stillwatch.arena.populations.chat import chat
from stillwatch.arena.populations.clients import agents, clients, integrators, reseller, tenants
from stillwatch.arena.populations.evaluation import benchmarks, graders, pipelines
from stillwatch.arena.populations.jobs import jobs
from stillwatch.arena.populations.pasted import assignments, enthusiasts, library, viral
from stillwatch.arena.populations.pool import pools
from stillwatch.arena.recipe import Recipe, dumps
from stillwatch.arena.render import BROAD, NARROW
from stillwatch.arena.text import a, b
from stillwatch.arena.world import World
from stillwatch.exchange import EXCHANGE_SCHEMA
from stillwatch.outputs import staged

Population = Callable[[World, int, float], list[Plan]]
POPULATIONS: Mapping[str, tuple[Population, float]] = {
    "chat": (chat, 1.0),
    "library": (library, 0.9),
    "viral": (viral, 0.7),
    "client": (clients, 1.0),
    "agent": (agents, 1.6),
    "integrator": (integrators, 8.0),
    "reseller": (reseller, 0.4),
    "benchmark": (benchmarks, 1.2),
    "grader": (graders, 0.9),
    "pipeline": (pipelines, 0.9),
    "assignment": (assignments, 0.6),
    "pool": (pools, 3.0),
    "enthusiast": (enthusiasts, 0.8),
    "tenant": (tenants, 1.2),
    "job": (jobs, 0.7),
}
"""Every innocent population, and the exchanges of a principal of it relative to a chat user."""


@dataclass(frozen=True, slots=True)
class Truth:
    """What was written, and where."""

    exchanges: int
    """Rows of the log."""
    extraction_exchanges: int
    """Rows that an operator collected; its accounts' camouflage is left out."""
    accounts: int
    """Distinct accounts."""
    operator_principals: int
    """Distinct (account, end user) pairs of operators."""
    exchanges_path: Path
    truth_path: Path
    recipe_path: Path


def build(recipe: Recipe) -> tuple[World, Plan]:
    """Plan a whole log."""
    world = World(recipe, {"a": a, "b": b}[recipe.text].source())
    plans: list[Plan] = []
    shares = {name: float(getattr(recipe.shares, name)) for name in POPULATIONS}
    total_share = sum(shares.values()) or 1.0
    counts = {name: round(recipe.innocents * share / total_share) for name, share in shares.items()}
    weights = {name: counts[name] * POPULATIONS[name][1] for name in POPULATIONS}
    scale = recipe.exchanges / (sum(weights.values()) or 1.0)
    for name, (population, _) in POPULATIONS.items():
        if counts[name]:
            plans.extend(population(world, counts[name], weights[name] * scale))
    for number, operator in enumerate(recipe.operators):
        plans.extend(operate(world, operator, number))
    planned = concatenate(plans)
    _broaden(recipe, planned)
    return world, planned


def _broaden(recipe: Recipe, planned: Plan) -> None:
    """Take their own subjects from a share of the innocent, customers behind others' accounts among them."""
    profile = planned["profile"]
    # A profile is the number of the person who asks, whoever's account it is, or the vocabulary of a firm.
    person = np.where(profile < NARROW, profile, planned["principal"])
    key = combine(np.full(len(person), np.uint64(key_of(recipe.seed, "subjects"))), person)
    planned["profile"][unit(key) >= recipe.own_subjects] = BROAD


def generate(recipe: Recipe) -> tuple[pa.Table, pa.Table]:
    """The log and its truth as tables.

    >>> from stillwatch.arena.recipe import PRESETS
    >>> exchanges, truth = generate(PRESETS["tiny"])
    >>> exchanges.num_rows == truth.num_rows, exchanges.column_names[:3]
    (True, ['exchange_id', 'account_id', 'started_at'])
    """
    slices = list(LogWriter(*build(recipe)).slices())
    exchanges = pa.Table.from_batches([log for log, _ in slices], schema=EXCHANGE_SCHEMA)
    return exchanges, pa.Table.from_batches([truth for _, truth in slices], schema=TRUTH_SCHEMA)


def simulate(recipe: Recipe, out_dir: Path) -> Truth:
    """Write exchanges.parquet, truth.parquet and recipe.toml into a directory."""
    world, planned = build(recipe)
    names = ("exchanges.parquet", "truth.parquet", "recipe.toml")
    final = [out_dir / name for name in names]
    # Last comes the truth, so that it is never the truth of another log.
    with staged(out_dir, what=f"the log into {out_dir}", seals=names[1:2]) as stage:
        aside = [stage / name for name in names]
        _write(recipe, world, planned, aside)
    principal = planned["principal"]
    return Truth(
        exchanges=rows_of(planned),
        extraction_exchanges=int(planned["extraction"].sum()),
        accounts=len(np.unique(world.people.column("account")[principal])),
        operator_principals=len(np.unique(principal[planned["operator"] >= 0])),
        exchanges_path=final[0],
        truth_path=final[1],
        recipe_path=final[2],
    )


def _write(recipe: Recipe, world: World, planned: Plan, paths: Sequence[Path]) -> None:
    """Write the log, its truth and its recipe."""
    with (
        pq.ParquetWriter(paths[0], EXCHANGE_SCHEMA, compression="zstd", compression_level=1) as log_file,
        pq.ParquetWriter(paths[1], TRUTH_SCHEMA, compression="zstd") as truth_file,
    ):
        for log, truth in LogWriter(world, planned).slices():
            log_file.write_batch(log)
            truth_file.write_batch(truth)
    paths[2].write_text(dumps(recipe), encoding="utf-8")
