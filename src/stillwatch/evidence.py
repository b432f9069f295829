"""Values of signals to bits: each signal's weight is read off a piecewise linear curve that was fitted once,
jointly.

The curves are made by ``scripts/fit_evidence`` on simulated operators and hard negatives; this module only
loads them. They are calibrated scores in bits, fitted together, and not likelihood ratios of single signals.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, field
from functools import lru_cache
from importlib.resources import files
from typing import TYPE_CHECKING

import numpy as np

from stillwatch.signals import all_signals

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    from stillwatch.engine.base import Engine

PRIORS = (1e-5, 1e-3, 1e-2)
"""Priors at which the posterior of a campaign is shown, beside the one that was asked for."""

INTENT = "objective"
"""The signal that speaks of intent; all others speak of coordination."""

START = "start"
"""Name under which the start stands among the evidence, so that its bits add up to the total."""

CONDUCT = ("mixing", "pacing", "routine")
"""The signals of what principals do, by comparison with each other: no innocent population shows all of
them."""

DOSE = "dose"
"""The signal of how many come back for a text. It is hardly ever silent, and weighs with conduct: accounts that all come
back do not live as an audience does, whatever hours they keep."""

RETURNING = 0.6
"""Value of the dose below which most of what a stream's principals do is left to a few of them."""


@dataclass(frozen=True, slots=True)
class Curve:
    """Bits of one signal as a function of its value: linear between knots, level outside of them."""

    values: tuple[float, ...]
    bits: tuple[float, ...]
    innocent: tuple[float, float]
    """Central 80% of the values of innocent streams in the fit."""

    def weigh(self, value: NDArray[np.float64]) -> NDArray[np.float64]:
        """Bits of each value; a silent signal (NaN) weighs nothing."""
        bits: NDArray[np.float64] = np.interp(value, self.values, self.bits)
        return np.where(np.isnan(value), 0.0, bits)


@dataclass(frozen=True, slots=True)
class Weights:
    """The fitted curves by name of signal."""

    version: str
    curves: dict[str, Curve]

    start: float
    """Bits at which every stream starts, before any signal speaks: the intercept of the fit."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What one signal says of one stream."""

    signal: str
    value: float
    n: int
    """What was counted for the value: exchanges, fragments, pairs or accounts, as the signal says."""

    bits: float
    """Positive speaks for extraction, negative against."""

    reason: str


@dataclass(frozen=True, slots=True)
class Measured:
    """Values and bits of all signals for s streams; NaN where a signal is silent.

    The sums are made with the object, once, since they are asked for once a stream: other bits, other sums.
    """

    signals: tuple[str, ...]
    value: NDArray[np.float64]
    """float64[s, signals]"""

    n: NDArray[np.int64]
    bits: NDArray[np.float64]
    start: float

    total: NDArray[np.float64] = field(init=False)
    """float64[s]: bits of all signals together, and the start."""

    conduct: NDArray[np.float64] = field(init=False)
    """float64[s]: bits of the signals of conduct together, and of the dose."""

    against: NDArray[np.float64] = field(init=False)
    """float64[s]: bits of the one of them that speaks most against."""

    silent: NDArray[np.bool_] = field(init=False)
    """bool[s]: whether one of them says nothing, for want of exchanges, or most principals sent too few of them for
    theirs to say much. Where ``pacing`` speaks for, ``routine`` is not waited for: both compare a principal's hours with
    the stream's, and a stream of one day has no second one."""

    def __post_init__(self) -> None:
        """Sum up the bits."""
        places = [self.signals.index(name) for name in CONDUCT]
        of_conduct = self.bits[:, places]
        mixing, pacing, routine = (np.isnan(self.value[:, place]) for place in places)
        silent = mixing | pacing | (routine & ~(self.bits_of("pacing") > 0)) | (self.of(DOSE) < RETURNING)
        for name, value in (
            ("total", self.bits.sum(axis=1) + self.start),
            ("conduct", of_conduct.sum(axis=1) + self.bits_of(DOSE)),
            ("against", of_conduct.min(axis=1)),
            ("silent", silent),
        ):
            object.__setattr__(self, name, value)

    @classmethod
    def nothing(cls, weights: Weights) -> Measured:
        """Of no stream."""
        names = tuple(signal.name for signal in all_signals())
        empty = np.empty((0, len(names)))
        return cls(names, empty, empty.astype(np.int64), empty, weights.start)

    def take(self, streams: NDArray[np.int64]) -> Measured:
        """The same of some streams, in the order given; a stream may be asked for twice."""
        return Measured(self.signals, self.value[streams], self.n[streams], self.bits[streams], self.start)

    def without(self, signal: str) -> Measured:
        """The same as if one signal said nothing."""
        place = self.signals.index(signal)
        value, n, bits = self.value.copy(), self.n.copy(), self.bits.copy()
        value[:, place], n[:, place], bits[:, place] = np.nan, 0, 0.0
        return Measured(self.signals, value, n, bits, self.start)

    def replaced(self, streams: NDArray[np.int64], other: Measured) -> Measured:
        """The same with what ``other`` says of the ``streams``, in the order given."""
        value, n, bits = self.value.copy(), self.n.copy(), self.bits.copy()
        value[streams], n[streams], bits[streams] = other.value, other.n, other.bits
        return Measured(self.signals, value, n, bits, self.start)

    def followed_by(self, other: Measured) -> Measured:
        """The streams of both, those of ``other`` numbered on."""
        value, n, bits = (
            np.concatenate([getattr(self, name), getattr(other, name)]) for name in ("value", "n", "bits")
        )
        return Measured(self.signals, value, n, bits, self.start)

    def of(self, signal: str) -> NDArray[np.float64]:
        """Values of one signal: float64[s]."""
        return self.value[:, self.signals.index(signal)]

    def bits_of(self, signal: str) -> NDArray[np.float64]:
        """Bits of one signal: float64[s]."""
        return self.bits[:, self.signals.index(signal)]

    def counted(self, signal: str) -> NDArray[np.int64]:
        """Of how many exchanges, principals or pairs one signal speaks: int64[s]."""
        return self.n[:, self.signals.index(signal)]

    def explain(self, stream: int) -> list[Evidence]:
        """Every signal that speaks of one stream, the weightiest first, and the start."""
        described = {signal.name: signal for signal in all_signals()}
        found = [
            Evidence(name, float(value), int(n), float(bits), described[name].describe(float(value), int(n)))
            for name, value, n, bits in zip(
                self.signals, self.value[stream], self.n[stream], self.bits[stream], strict=True
            )
            if not math.isnan(value)
        ]
        found.append(
            Evidence(START, 0.0, 0, self.start, "where every shared text starts, before a signal speaks")
        )
        return sorted(found, key=lambda evidence: (-abs(evidence.bits), evidence.signal))


@lru_cache(maxsize=1)
def load_weights() -> Weights:
    """The curves that are shipped with the package."""
    raw = json.loads((files("stillwatch") / "evidence.json").read_text())
    curves = {
        name: Curve(
            tuple(curve["values"]), tuple(curve["bits"]), (curve["innocent"][0], curve["innocent"][1])
        )
        for name, curve in raw["curves"].items()
    }
    return Weights(raw["version"], curves, raw["start"])


def measure(engine: Engine, streams: int, weights: Weights) -> Measured:
    """Every signal on the streams 0 to ``streams`` - 1, whose tables the engine holds."""
    signals = all_signals()
    value = np.full((streams, len(signals)), np.nan)
    n = np.zeros((streams, len(signals)), np.int64)
    for index, signal in enumerate(signals):
        table = signal.value(engine.query(signal.statistics))
        rows = table["stream_id"].to_numpy()
        value[rows, index] = _floats(table)
        n[rows, index] = table["n"].to_numpy()
    bits = np.zeros_like(value)
    for index, signal in enumerate(signals):
        if signal.name in weights.curves:
            bits[:, index] = weights.curves[signal.name].weigh(value[:, index])
    names = tuple(signal.name for signal in signals)
    return Measured(names, value, n, bits, weights.start)


def _floats(table: pa.Table) -> NDArray[np.float64]:
    column = table["value"].combine_chunks().to_numpy(zero_copy_only=False)
    values: NDArray[np.float64] = column.astype(np.float64)
    return values


def posterior(bits: float, prior: float) -> float:
    """Probability of extraction after ``bits`` of evidence.

    >>> round(posterior(10.0, 1e-3), 2)
    0.51
    """
    odds: float = prior / (1 - prior) * 2.0 ** min(bits, 1000.0)
    return odds / (1 + odds)
