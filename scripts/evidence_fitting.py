"""Monotone piecewise linear logistic regression over the signals of simulated streams."""

from __future__ import annotations

import hashlib
import sys

import numpy as np
from numpy.typing import NDArray

from evidence_streams import Streams
from stillwatch.evidence import INTENT, Curve, Weights
from stillwatch.verdict import Bar

KNOTS: dict[str, tuple[float, ...]] = {
    "objective": (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95),
    "coverage": (0.2, 0.5, 0.7, 0.85, 0.95, 1.0),
    "partition": (0.2, 0.6, 0.85, 0.95, 1.0),
    "mixing": (-3.0, -2.0, -1.3, -0.9, -0.6, -0.35, -0.15, 0.0),
    "pacing": (-3.0, -2.2, -1.6, -1.2, -0.9, -0.6, -0.35, -0.1),
    "routine": (-2.5, -1.5, -1.0, -0.7, -0.5, -0.3, -0.1),
    "wordings": (0.0, 0.15, 0.25, 0.35, 0.5),
    "dose": (0.3, 0.6, 0.8, 0.9, 0.95, 0.98, 0.99),
    "load": (0.1, 0.3, 0.5, 0.7, 0.85, 0.97),
    "rhythm": (0.4, 0.65, 0.8, 0.9, 0.96, 1.0),
    "lockstep": (-1.0, 0.0, 1.0, 2.5, 4.0, 6.0),
    "infrastructure_payment": (-1.0, 0.0, 1.0, 2.5, 4.5, 8.0),
    "infrastructure_network": (-1.0, 0.0, 1.0, 2.5, 4.5, 8.0),
    "harvest": (0.0, 1.0, 2.5, 4.5, 7.0, 10.0),
    "pivot": (-1.0, 0.0, 1.0, 2.0, 3.0, 4.5),
    "reach": (0.0, 0.5, 1.0, 2.0, 3.5, 6.0),
    "succession": (-2.0, 0.0, 1.0, 2.0, 3.0, 5.0),
}
"""Values between which each curve is linear: chosen once, spread over what any stream shows."""

NEUTRAL: dict[str, int] = {
    "objective": 1,
    "coverage": 2,
    "partition": 3,
    "mixing": 3,
    "pacing": 3,
    "routine": 3,
    "wordings": 1,
    "dose": 2,
    "load": 3,
    "rhythm": 3,
    "lockstep": 1,
    "infrastructure_payment": 1,
    "infrastructure_network": 1,
    "harvest": 0,
    "pivot": 1,
    "reach": 0,
    "succession": 1,
}
"""Knot at which each curve is zero, as a silent signal is."""

MOST_STEP: dict[str, float] = {
    "objective": 0.45,
    "mixing": 1.0,
    "pacing": 2.4,
    "routine": 2.2,
    "partition": 1.2,
    "infrastructure_payment": 0.3,
    "coverage": 0.6,
    "wordings": 2.2,
    "dose": 1.3,
    "load": 1.6,
    "lockstep": 0.7,
    "rhythm": 0.35,
    "infrastructure_network": 0.2,
    "harvest": 0.25,
    "pivot": 0.15,
    "reach": 0.15,
    "succession": 0.25,
}
"""Logits that one stretch between knots may add. What an operator imitates at no cost (hours, load, networks)
may not weigh much, whatever these simulations say; nor may what the simulated innocents never do and real ones
will: ask for several completions, or move to a new model together because their client does."""

MOST_BELOW: dict[str, float] = {"load": 0.5, "lockstep": 0.3, "partition": 0.6}
"""The same below the neutral knot, where it is less: what costs an operator nothing to look innocent in (accounts that were
opened over a year, work that is dealt out unevenly, seeds that are asked again) may not clear it."""

LEAST_STEP: dict[str, float] = {"dose": 0.6, "mixing": 1.0, "pacing": 0.2, "routine": 0.4}
"""Logits that a stretch below the neutral knot takes away at least. Each signal of conduct is compared with
the stream itself, so a stream that fails one is no dispatcher's, unless everything else says so; the
simulated innocents fail several at once and would leave the weight of each undetermined."""

RIDGE = 0.002

WITHHELD = 0.4
"""Share of the streams from which a signal is withheld in a copy, so that no curve leans on another's
company."""


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


def fit(streams: Streams) -> Weights:
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
                    kept[np.ix_(out, np.array([key[0] == name for key in keys]))] = 0
        matrices.append(matrix * kept)
        targets.append(streams.positive)
        weights.append(streams.weight)
    x = np.concatenate([np.column_stack([m, np.ones(len(m))]) for m in matrices])
    y, w = np.concatenate(targets).astype(float), np.concatenate(weights)
    w = np.where(y > 0, w / w[y > 0].sum(), w / w[y == 0].sum()) / 2
    most = np.array(
        [
            min(MOST_STEP[name], MOST_BELOW.get(name, np.inf) if step < NEUTRAL[name] else np.inf)
            for name, step in keys
        ]
    )
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
    curves = {}
    for name in names:
        steps = np.array([beta[index] for index, key in enumerate(keys) if key[0] == name])
        level = np.r_[0, np.cumsum(steps)] / np.log(2)
        value = streams.value[~streams.positive, streams.signals.index(name)]
        value = value[~np.isnan(value)]
        low, high = np.quantile(value, [0.1, 0.9]) if len(value) else (0.0, 0.0)
        curves[name] = Curve(
            KNOTS[name],
            tuple(float(bit) for bit in level - level[NEUTRAL[name]]),
            (round(float(low), 3), round(float(high), 3)),
        )
    return Weights("", curves, float(beta[-1] / np.log(2)))


PREVALENCE = 1e-3
"""Share of a log's shared texts that are extraction, at which the scale of the bits is set."""


def scale(weights: Weights, streams: Streams) -> Weights:
    """Weights times one factor, with another start, fitted on streams that the curves never saw.

    Maximum likelihood at weights that restore ``PREVALENCE``, with the smoothed targets of Platt 1999, so
    that perfect separation does not claim infinite evidence.
    """
    total = bits(weights, streams) * np.log(2)
    positive = streams.positive
    odds = np.log(PREVALENCE / (1 - PREVALENCE))
    target = np.where(positive, (positive.sum() + 1) / (positive.sum() + 2), 1e-3 / ((~positive).sum() + 2))
    weight = np.where(positive, PREVALENCE / positive.sum(), (1 - PREVALENCE) / (~positive).sum())

    def loss(pair: tuple[float, float]) -> float:
        logit = pair[0] * total + pair[1] + odds
        return float((weight * (np.logaddexp(0, logit) - target * logit)).sum())

    shifts = np.linspace(-6, 6, 121) * np.log(2)
    factor, added = min(
        ((factor, added) for factor in np.linspace(0.5, 2.5, 81) for added in shifts), key=loss
    )
    print(f"factor {factor:.3f}, shift {added / np.log(2):+.2f} bits", file=sys.stderr)
    curves = {
        name: Curve(curve.values, tuple(round(bit * factor, 3) for bit in curve.bits), curve.innocent)
        for name, curve in weights.curves.items()
    }
    return Weights("", curves, round(weights.start * factor + added / np.log(2), 3))


def bits(weights: Weights, streams: Streams) -> NDArray[np.float64]:
    """Bits of each stream."""
    total = np.full(len(streams.positive), weights.start)
    for name, curve in weights.curves.items():
        total += curve.weigh(streams.value[:, streams.signals.index(name)])
    return total


def assess(weights: Weights, streams: Streams) -> dict[str, object]:
    """Log loss and calibration reweighted to two prevalences, and what clears the default bar."""
    total = bits(weights, streams)
    positive = streams.positive
    result: dict[str, object] = {"positive": int(positive.sum()), "negative": int((~positive).sum())}
    for prevalence in (1e-3, 1e-5):
        result[f"at {prevalence:g}"] = _calibration(total, positive, prevalence)
    bar = Bar()
    needed = np.log2(bar.probability / (1 - bar.probability) * (1 - bar.prior) / bar.prior)
    asked = streams.value[:, streams.signals.index(INTENT)] >= bar.intent
    cleared = (total >= needed) & asked
    best: dict[str, float] = {}
    for index in np.flatnonzero(positive).tolist():
        best[streams.kind[index]] = max(best.get(streams.kind[index], -np.inf), float(total[index]))
    result["operators"] = len(best)
    result["operators with a family over the bar"] = sum(bool(value >= needed) for value in best.values())
    result["below"] = {name: round(value, 1) for name, value in sorted(best.items()) if value < needed}
    highest = np.flatnonzero(~positive & asked)
    ranked = highest[np.argsort(-total[highest])][:8]
    result["highest innocent that asks"] = [[round(float(total[i]), 1), streams.kind[i]] for i in ranked]
    result["innocent families over the bar"] = int((cleared & ~positive).sum())
    return result


def _calibration(
    total: NDArray[np.float64], positive: NDArray[np.bool_], prevalence: float
) -> dict[str, object]:
    logit = total * np.log(2) + np.log(prevalence / (1 - prevalence))
    weight = np.where(positive, prevalence / positive.sum(), (1 - prevalence) / (~positive).sum())
    loss = np.logaddexp(0, np.where(positive, -logit, logit))
    chance = 1 / (1 + np.exp(-logit))
    base = -(prevalence * np.log(prevalence) + (1 - prevalence) * np.log(1 - prevalence))
    bins = []
    for low, high in ((0.05, 0.25), (0.25, 0.5), (0.5, 0.75), (0.75, 0.95)):
        inside = (chance >= low) & (chance < high)
        if inside.any():
            said = float(np.average(chance[inside], weights=weight[inside]))
            true = float(np.average(positive[inside], weights=weight[inside]))
            bins.append({"from": low, "to": high, "streams": int(inside.sum()), "said": said, "is": true})
    return {
        "log_loss": float((weight * loss).sum()),
        "log_loss_of_prevalence": float(base),
        "calibration": bins,
    }


def document(weights: Weights, streams: Streams) -> dict[str, object]:
    """The file that is shipped."""
    body = {
        name: {"values": curve.values, "bits": curve.bits, "innocent": curve.innocent}
        for name, curve in sorted(weights.curves.items())
    }
    version = hashlib.sha256(repr((weights.start, sorted(body.items()))).encode()).hexdigest()[:8]
    fitted_on = {"positive": int(streams.positive.sum()), "negative": int((~streams.positive).sum())}
    return {"version": version, "streams": fitted_on, "start": weights.start, "curves": body}
