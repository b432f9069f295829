"""Streams of simulated logs, and monotone piecewise linear logistic regression over their signals."""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from stillwatch.arena import Operator, Recipe, simulate
from stillwatch.evidence import Curve, Weights, load_weights, measure
from stillwatch.families.fragments import Presence
from stillwatch.keys import Keys
from stillwatch.objective.classes import OBJECTIVES
from stillwatch.rejects import RejectLog
from stillwatch.scan import Options, Scanned, examine
from stillwatch.sketching import Source, sketch_log
from stillwatch.spool import Spool

KNOTS: dict[str, tuple[float, ...]] = {
    "objective": (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95),
    "coverage": (0.2, 0.5, 0.7, 0.85, 0.95, 1.0),
    "partition": (0.2, 0.6, 0.85, 0.95, 1.0),
    "mixing": (-3.0, -2.0, -1.3, -0.9, -0.6, -0.35, -0.15, 0.0),
    "pacing": (-3.0, -2.2, -1.6, -1.2, -0.9, -0.6, -0.35, -0.1),
    "routine": (-2.5, -1.5, -1.0, -0.7, -0.5, -0.3, -0.1),
    "load": (0.1, 0.3, 0.5, 0.7, 0.85, 0.97),
    "rhythm": (0.4, 0.65, 0.8, 0.9, 0.96, 1.0),
    "lockstep": (-1.0, 0.0, 1.0, 2.5, 4.0, 6.0),
    "infrastructure_payment": (-1.0, 0.0, 1.0, 2.5, 4.5, 8.0),
    "infrastructure_network": (-1.0, 0.0, 1.0, 2.5, 4.5, 8.0),
}
"""Values between which each curve is linear: chosen once, spread over what any stream shows."""

NEUTRAL: dict[str, int] = {
    "objective": 3,
    "coverage": 2,
    "partition": 3,
    "mixing": 3,
    "pacing": 3,
    "routine": 3,
    "load": 3,
    "rhythm": 3,
    "lockstep": 1,
    "infrastructure_payment": 1,
    "infrastructure_network": 1,
}
"""Knot at which each curve is zero, as a silent signal is."""

MAIN = 0.3
"""A planted family is learnt from if it holds this share of what the operator's largest one holds: the others
are chance repetitions of what fills its slots."""

MOST_STEP: dict[str, float] = {
    "objective": 1.6,
    "mixing": 3.0,
    "pacing": 2.4,
    "routine": 2.2,
    "partition": 1.2,
    "infrastructure_payment": 1.0,
    "coverage": 0.6,
    "load": 0.5,
    "lockstep": 0.5,
    "rhythm": 0.35,
    "infrastructure_network": 0.2,
}
"""Logits that one stretch between knots may add. What an operator imitates at no cost (hours, load, networks)
may not weigh much, whatever these simulations say."""

LEAST_STEP: dict[str, float] = {"mixing": 1.2, "pacing": 1.2, "routine": 1.2}
"""Logits that a stretch below the neutral knot takes away at least. Each signal of conduct is compared with
the stream itself, so a stream that fails one is no dispatcher's, unless everything else says so; the
simulated innocents fail several at once and would leave the weight of each undetermined."""

RIDGE = 0.002

WITHHELD = 0.4
"""Share of the streams from which a signal is withheld in a copy, so that no curve leans on another's
company."""


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
                dispatch=str(rng.choice(["even", "heavy_tailed"])),
                hours=str(rng.choice(["round_the_clock", "human", "paced"])),
                share_payment=str(rng.choice(["none", "some", "all"])),
                share_network=str(rng.choice(["none", "some", "all"])),
                replacement=str(rng.choice(["none", "after_exchanges", "random_days"])),
                seed_repeats=int(rng.choice([1, 1, 1, 4])),
                position=str(rng.choice(["user", "system", "split"])),
                venue=str(rng.choice(["direct", "direct", "direct", "agent", "reseller"])),
                accounts_opened=str(rng.choice(["together", "organic"])),
                reach=str(rng.choice(["odd", "organic"])),
                harvest=bool(rng.integers(2)),
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


def features(streams: Streams, names: list[str]) -> tuple[NDArray[np.float64], list[tuple[str, int]]]:
    """One column a stretch between knots: how much of it a value has passed, zero at the neutral knot."""
    columns, keys = [], []
    for name in names:
        value = streams.value[:, streams.signals.index(name)]
        knots = KNOTS[name]
        for step in range(len(knots) - 1):
            passed = np.clip((value - knots[step]) / (knots[step + 1] - knots[step]), 0, 1)
            columns.append(np.where(np.isnan(value), 0.0, passed - (step < NEUTRAL[name])))
            keys.append((name, step))
    return np.stack(columns, axis=1), keys


def fit(streams: Streams) -> dict[str, Curve]:
    """Non-negative steps by projected gradient on the balanced logistic loss, with some signals withheld at
    random."""
    rng = np.random.default_rng(1)
    names = [name for name in streams.signals if name in KNOTS]
    matrix, keys = features(streams, names)
    matrices, targets, weights = [], [], []
    for copy in range(6):
        kept = np.ones(matrix.shape)
        if copy:
            for name in names:
                if name != "objective":
                    out = rng.random(len(matrix)) < WITHHELD
                    kept[np.ix_(out, [key[0] == name for key in keys])] = 0
        matrices.append(matrix * kept)
        targets.append(streams.positive)
        weights.append(streams.weight)
    x = np.concatenate([np.column_stack([m, np.ones(len(m))]) for m in matrices])
    y, w = np.concatenate(targets).astype(float), np.concatenate(weights)
    w = np.where(y > 0, w / w[y > 0].sum(), w / w[y == 0].sum()) / 2
    most = np.array([MOST_STEP[name] for name, _ in keys])
    least = np.array([LEAST_STEP.get(name, 0.0) if step < NEUTRAL[name] else 0.0 for name, step in keys])
    beta = np.zeros(x.shape[1])
    momentum = beta.copy()
    rate = 2.0
    for step in range(6000):
        previous = beta
        look = momentum
        chance = 1 / (1 + np.exp(-(x @ look)))
        gradient = x.T @ (w * (chance - y)) + RIDGE * np.r_[look[:-1], 0] / len(beta)
        beta = look - rate * gradient
        beta[:-1] = np.clip(beta[:-1], least, most)
        momentum = beta + (step / (step + 3)) * (beta - previous)
    return _curves(beta, keys, names, streams)


def _curves(
    beta: NDArray[np.float64], keys: list[tuple[str, int]], names: list[str], streams: Streams
) -> dict[str, Curve]:
    curves = {}
    for name in names:
        steps = np.array([beta[index] for index, key in enumerate(keys) if key[0] == name])
        bits = np.r_[0, np.cumsum(steps)] / np.log(2)
        bits -= bits[NEUTRAL[name]]
        if name == "objective":  # it always speaks, so it carries the intercept
            bits += beta[-1] / np.log(2)
        value = streams.value[~streams.positive, streams.signals.index(name)]
        value = value[~np.isnan(value)]
        low, high = np.quantile(value, [0.1, 0.9]) if len(value) else (0.0, 0.0)
        curves[name] = Curve(
            KNOTS[name], tuple(np.round(bits, 3).tolist()), (round(float(low), 3), round(float(high), 3))
        )
    return curves


PREVALENCE = 1e-3
"""Share of a log's shared texts that are extraction, at which the scale of the bits is set."""


def scale(curves: dict[str, Curve], streams: Streams) -> dict[str, Curve]:
    """Curves times one factor, with a shift on the objective, fitted on streams that the curves never saw.

    Maximum likelihood at weights that restore ``PREVALENCE``, with the smoothed targets of Platt 1999, so
    that perfect separation does not claim infinite evidence.
    """
    total = bits(curves, streams) * np.log(2)
    positive = streams.positive
    odds = np.log(PREVALENCE / (1 - PREVALENCE))
    target = np.where(positive, (positive.sum() + 1) / (positive.sum() + 2), 1e-3 / ((~positive).sum() + 2))
    weight = np.where(positive, PREVALENCE / positive.sum(), (1 - PREVALENCE) / (~positive).sum())

    def loss(factor: float, added: float) -> float:
        logit = factor * total + added + odds
        return float((weight * (np.logaddexp(0, logit) - target * logit)).sum())

    grid = [
        (factor, added)
        for factor in np.linspace(0.5, 2.5, 81)
        for added in np.linspace(-6, 6, 121) * np.log(2)
    ]
    factor, added = min(grid, key=lambda pair: loss(*pair))
    print(f"factor {factor:.3f}, shift {added / np.log(2):+.2f} bits", file=sys.stderr)
    result = {}
    for name, curve in curves.items():
        extra = added / np.log(2) if name == "objective" else 0.0
        result[name] = Curve(
            curve.values, tuple(round(bit * factor + extra, 3) for bit in curve.bits), curve.innocent
        )
    return result


def bits(curves: dict[str, Curve], streams: Streams) -> NDArray[np.float64]:
    """Bits of each stream."""
    return sum(
        (curve.weigh(streams.value[:, streams.signals.index(name)]) for name, curve in curves.items()),
        np.zeros(len(streams.positive)),
    )


def assess(curves: dict[str, Curve], streams: Streams) -> dict[str, object]:
    """Log loss and calibration reweighted to two prevalences, and what would be accused at the default
    bar."""
    total = bits(curves, streams)
    objective = streams.value[:, streams.signals.index("objective")]
    coordination = total - curves["objective"].weigh(objective)
    result: dict[str, object] = {
        "positive": int(streams.positive.sum()),
        "negative": int((~streams.positive).sum()),
    }
    for prevalence in (1e-3, 1e-5):
        logit = total * np.log(2) + np.log(prevalence / (1 - prevalence))
        weight = np.where(
            streams.positive,
            prevalence / streams.positive.sum(),
            (1 - prevalence) / (~streams.positive).sum(),
        )
        loss = np.logaddexp(0, np.where(streams.positive, -logit, logit))
        base = -(prevalence * np.log(prevalence) + (1 - prevalence) * np.log(1 - prevalence))
        chance = 1 / (1 + np.exp(-logit))
        middle = (chance > 0.05) & (chance < 0.95)
        bins = []
        for low, high in ((0.05, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 0.95)):
            inside = (chance >= low) & (chance < high)
            if inside.any():
                bins.append(
                    {
                        "range": [low, high],
                        "streams": int(inside.sum()),
                        "said": float(np.average(chance[inside], weights=weight[inside])),
                        "is": float(np.average(streams.positive[inside], weights=weight[inside])),
                    }
                )
        result[f"at {prevalence:g}"] = {
            "log_loss": float((weight * loss).sum()),
            "log_loss_of_prevalence": float(base),
            "between": int(middle.sum()),
            "calibration": bins,
        }
    accused = (total >= np.log2(99 * 999)) & (objective >= 0.5) & (coordination >= 4)
    operators = {kind for kind, mine in zip(streams.kind, streams.positive, strict=True) if mine}
    found = {
        kind for kind, mine, yes in zip(streams.kind, streams.positive, accused, strict=True) if mine and yes
    }
    result["operators"] = len(operators)
    result["operators with an accused family"] = len(found)
    result["missed"] = sorted(operators - found)
    result["innocent families accused"] = [
        f"{kind} {total[index]:.1f}"
        for index, (kind, mine, yes) in enumerate(zip(streams.kind, streams.positive, accused, strict=True))
        if yes and not mine
    ]
    result["highest innocent"] = sorted(
        ((round(float(total[i]), 1), streams.kind[i]) for i in np.flatnonzero(~streams.positive)),
        reverse=True,
    )[:8]
    return result


def document(curves: dict[str, Curve], streams: Streams) -> dict[str, object]:
    """The file that is shipped."""
    body = {
        name: {"values": curve.values, "bits": curve.bits, "innocent": curve.innocent}
        for name, curve in sorted(curves.items())
    }
    version = hashlib.sha256(repr(sorted(body.items())).encode()).hexdigest()[:8]
    return {
        "version": version,
        "streams": {"positive": int(streams.positive.sum()), "negative": int((~streams.positive).sum())},
        "curves": body,
    }


__all__ = ["Weights", "assess", "collect", "document", "fit", "load_weights", "measure"]
