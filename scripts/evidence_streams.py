"""Streams of simulated logs, with the truth about them: what the evidence is fitted on."""

from __future__ import annotations

import hashlib
import pickle
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stillwatch.arena import Operator, Recipe, simulate
from stillwatch.examine import Options, Scanned, examine
from stillwatch.families.fragments import Presence
from stillwatch.keys import Keys
from stillwatch.objective.classes import OBJECTIVES
from stillwatch.rejects import RejectLog
from stillwatch.sketching import Source, sketch_log
from stillwatch.spool import Spool

HOURS = ("round_the_clock", "round_the_clock", "human", "human", "paced", "nightly", "bursts", "sittings")
MAIN = 0.3
"""A planted family is learnt from if it holds this share of what the operator's largest one holds: the others
are chance repetitions of what fills its slots."""


@dataclass(frozen=True, slots=True)
class Streams:
    """s streams of simulated logs with the truth about them."""

    value: NDArray[np.float64]
    """float64[s, signals], NaN where silent."""

    positive: NDArray[np.bool_]
    weight: NDArray[np.float64]
    kind: list[str]
    signals: tuple[str, ...]


def recipe(seed: int, held_out: bool) -> Recipe:
    """A log of its own kind: operators drawn at random, from other corners where they are held out."""
    rng = np.random.default_rng(seed)
    pivots = np.random.default_rng((seed, 1)).integers(2, size=5)
    operators = []
    for number in range(5):
        count = int(rng.integers(1, 4))
        operators.append(
            Operator(
                name=f"o{number}",
                accounts=int(rng.integers(20, 140)),
                exchanges_per_account=float(rng.uniform(15, 40)),
                objectives=tuple(rng.choice(OBJECTIVES, count, replace=False).tolist()),
                camouflage=float(rng.choice([0, 0.5, 0.8, 0.9])),
                wordings=int(rng.choice([1, 1, 2, 3, 6])),
                dispatch=str(rng.choice(["even", "even", "heavy_tailed"])),
                hours=str(rng.choice(HOURS)),
                in_a_row=int(rng.choice([1, 1, 1, 2, 4, 25])),
                share_payment=str(rng.choice(["none", "some", "all"])),
                share_network=str(rng.choice(["none", "some", "all"])),
                replacement=str(rng.choice(["none", "after_exchanges", "random_days"])),
                seed_repeats=int(rng.choice([1, 1, 1, 4])),
                position=str(rng.choice(["user", "system", "split"])),
                venue=str(rng.choice(["direct", "direct", "direct", "agent", "reseller"])),
                accounts_opened=str(rng.choice(["together", "organic"])),
                reach=str(rng.choice(["odd", "organic"])),
                harvest=bool(rng.integers(2)),
                pivot=bool(pivots[number]),
                days=float(rng.choice([0, 4, 9])),
            )
        )
    withhold = () if seed % 3 else ("payment", "ages", "network")
    text = "b" if held_out else "a"
    innocents = int(rng.integers(2500, 4500))
    return Recipe(
        seed=seed,
        text=text,
        innocents=innocents,
        exchanges=int(innocents * rng.uniform(14, 26)),
        operators=tuple(operators),
        withhold=withhold,
        own_subjects=float(rng.choice([0.0, 0.5, 1.0])),
    )


def collect(seeds: Iterable[int], held_out: bool, cache: Path) -> Streams:
    """Streams of one log a seed; kept in ``cache`` by recipe and code."""
    cache.mkdir(parents=True, exist_ok=True)
    planned = [recipe(seed, held_out) for seed in seeds]
    with ProcessPoolExecutor(2) as pool:
        parts = list(pool.map(_cached, planned, [cache] * len(planned)))
    return Streams(
        np.concatenate([part.value for part in parts]),
        np.concatenate([part.positive for part in parts]),
        np.concatenate([part.weight for part in parts]),
        [kind for part in parts for kind in part.kind],
        parts[0].signals,
    )


def _cached(planned: Recipe, cache: Path) -> Streams:
    path = cache / f"{hashlib.sha256(f'{planned}{_code()}'.encode()).hexdigest()[:16]}.pickle"
    if not path.exists():
        path.write_bytes(pickle.dumps(_streams(planned, cache)))
    loaded: Streams = pickle.loads(path.read_bytes())
    return loaded


def _code() -> str:
    import stillwatch

    root = Path(stillwatch.__file__).parent
    files = sorted(
        [
            *root.glob("*.py"),
            *root.glob("families/*.py"),
            *root.glob("signals/*.py"),
            *root.glob("arena/**/*.py"),
            *root.glob("objective/*"),
        ]
    )
    return hashlib.sha256(b"".join(file.read_bytes() for file in files if file.is_file())).hexdigest()


def _streams(planned: Recipe, folder: Path) -> Streams:
    log = folder / f"log-{planned.seed}"
    simulate(planned, log)
    options = Options()
    with Spool(folder) as spool:
        presence = Presence(options.rule.least_principals, slots=1 << 24)
        for batch in sketch_log(Source((log / "exchanges.parquet",)), Keys(b"fit" * 8), RejectLog(None)):
            spool.write(batch)
            presence.observe(batch)
        scanned = examine(spool, presence, options)
        truth = pq.read_table(
            log / "truth.parquet", columns=["exchange_id", "population", "operator_id", "extraction"]
        ).to_pydict()
        planted = {
            name: operator
            for name, operator, mine in zip(
                truth["exchange_id"], truth["operator_id"], truth["extraction"], strict=True
            )
            if mine
        }
        worn = set(
            name
            for name, kind in zip(truth["exchange_id"], truth["population"], strict=True)
            if kind == "camouflage"
        )
        kinds = dict(zip(truth["exchange_id"], truth["population"], strict=True))
        names = scanned.sketches["exchange_id"].to_pylist()
    for file in log.iterdir():
        file.unlink()
    rows = []
    largest = _largest(scanned, names, planted)
    keys = scanned.principals.account[scanned.principals.of_row]
    one_key = {}
    order = np.argsort(scanned.families.family, kind="stable")
    bounds = np.searchsorted(scanned.families.family[order], np.arange(len(scanned.families.names) + 1))
    for family in range(len(scanned.families.names)):
        ids = [
            names[row] for row in scanned.families.row[order[bounds[family] : bounds[family + 1]]].tolist()
        ]
        held = np.unique(
            keys[scanned.families.row[order[bounds[family] : bounds[family + 1]]]], return_counts=True
        )[1]
        one_key[family] = bool(held.max() >= 0.9 * held.sum())
        operators = [planted[name] for name in ids if name in planted]
        share = len(operators) / len(ids)
        most = max((operators.count(o) for o in set(operators)), default=0) / len(ids)
        if share > 0.05 and (
            most < 0.8 or len(ids) < MAIN * largest.get(max(set(operators), key=operators.count), 0)
        ):
            continue
        camouflage = sum(name in worn for name in ids) / len(ids)
        positive = most >= 0.8
        kind = (
            operators[0]
            if positive
            else max(set(map(kinds.get, ids)), key=[kinds[name] for name in ids].count)
        )
        if not positive and (camouflage > 0.2 or one_key[family]):
            # What an operator's accounts send besides is neither innocent nor extraction;
            # a single account's product is
            # ruled on by its structure and not by evidence.
            continue
        weight = 1.0
        rows.append((scanned.by_family.value[family], positive, weight, f"{planned.seed}:{kind}"))
    return Streams(
        np.array([r[0] for r in rows]),
        np.array([r[1] for r in rows]),
        np.array([r[2] for r in rows]),
        [r[3] for r in rows],
        scanned.by_family.signals,
    )


def _largest(scanned: Scanned, names: list[str], planted: dict[str, str]) -> dict[str, int]:
    """Exchanges of each operator in the family that holds most of them."""
    counts = Counter(
        (family, planted[names[row]])
        for family, row in zip(scanned.families.family.tolist(), scanned.families.row.tolist(), strict=True)
        if names[row] in planted
    )
    best: dict[str, int] = {}
    for (_, operator), count in counts.items():
        best[operator] = max(best.get(operator, 0), count)
    return best
