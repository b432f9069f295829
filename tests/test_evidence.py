"""Bits and their sums: an object with other bits has other sums."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from stillwatch.evidence import CONDUCT, DOSE, Measured, load_weights
from stillwatch.signals import all_signals

NAMES = tuple(signal.name for signal in all_signals())


def measured(streams: int = 5) -> Measured:
    rng = np.random.default_rng(1)
    shape = streams, len(NAMES)
    return Measured(NAMES, rng.normal(size=shape), np.ones(shape, np.int64), rng.normal(size=shape), -6.5)


def test_the_sums_are_those_of_the_bits_and_the_start() -> None:
    found = measured()
    of_conduct = np.stack([found.bits_of(name) for name in CONDUCT])
    assert found.total == pytest.approx([float(sum(row)) - 6.5 for row in found.bits])
    assert found.conduct == pytest.approx(of_conduct.sum(axis=0) + found.bits_of(DOSE))
    assert found.against == pytest.approx(of_conduct.min(axis=0))


@pytest.mark.parametrize("name", sorted(load_weights().curves))
def test_without_a_signal_its_bits_are_missing_from_the_sums(name: str) -> None:
    whole = measured()
    bits = whole.bits.copy()
    bits[:, NAMES.index(name)] = 0.0
    without = replace(whole, bits=bits)
    assert whole.total - without.total == pytest.approx(whole.bits_of(name))
    of_conduct = whole.bits_of(name) if name in (*CONDUCT, DOSE) else np.zeros(5)
    assert whole.conduct - without.conduct == pytest.approx(of_conduct)
