"""The experiment of Cloud et al. 2025, section 6.2: digits learned from outputs that have nothing to do with digits.

A network has ten logits for the digits and three more that no loss looks at. A teacher learns the digits from their
labels. A student matches the teacher's three extra logits alone, on images of pure noise. Where it started from the
teacher's own initial weights it reads digits afterwards; where it started from others it does not.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

from stillwatch.lab.digits.images import CLASSES, SIDE
from stillwatch.lab.digits.network import Course, Weights, fit, from_labels, from_teacher, initial, logits
from stillwatch.lab.digits.workshop import DigitsSetting, DigitsWorkshop, row, source
from stillwatch.lab.experiments.parts import Part

SAME_START, OTHER_START = "same-start", "other-start"
FIRST_PURPOSE, OTHER_PURPOSE, ORDER_PURPOSE, NOISE_PURPOSE = 81, 82, 83, 84
STARTS = {SAME_START: FIRST_PURPOSE, OTHER_START: OTHER_PURPOSE}
"""Whose initial weights a student has, by the name of a method."""


@dataclass(frozen=True)
class AuxiliaryLogits(DigitsSetting):
    """Widths, optimiser and epochs as in the paper."""

    seeds: int = 9
    hidden: int = 256
    """Units of each of two hidden layers."""
    extra: int = 3
    """Logits that have no meaning."""
    course: Course = Course(5, rate=3e-4, rows=1024, constant=True, adam=True)

    def rows(self, part: Part, seed: int, bench: DigitsWorkshop) -> list[dict[str, Any]]:
        """The model of a part on all test images; only the ten logits of the digits are read."""
        if part.method == "untrained":
            model = self._initial(seed, FIRST_PURPOSE)
        else:
            model = bench.kept(f"teacher-{seed}", lambda: self._teacher(seed, bench))
        if part.method in STARTS:
            model = self._student(seed, model, self._initial(seed, STARTS[part.method]), len(bench.train))
        found = logits(model, 2 * bench.test.images - 1)[:, :CLASSES]
        return [row("digits", found.argmax(dim=1) == bench.test.labels)]

    def _initial(self, seed: int, purpose: int) -> Weights:
        return initial((SIDE * SIDE, self.hidden, self.hidden, CLASSES + self.extra), source(seed, purpose))

    def _teacher(self, seed: int, bench: DigitsWorkshop) -> Weights:
        of_labels = from_labels(bench.train.labels)
        return fit(
            self._initial(seed, FIRST_PURPOSE),
            2 * bench.train.images - 1,
            self.course,
            source(seed, ORDER_PURPOSE),
            lambda found, rows: of_labels(found[:, :CLASSES], rows),
        )

    def _student(self, seed: int, teacher: Weights, start: Weights, count: int) -> Weights:
        noise = source(seed, NOISE_PURPOSE).uniform(-1, 1, (count, SIDE * SIDE))
        images = torch.from_numpy(noise).float()
        targets = logits(teacher, images)[:, CLASSES:]
        of_targets = from_teacher(targets, targets.argmax(dim=1), temperature=1.0, mixture=1.0)
        return fit(
            start,
            images,
            self.course,
            source(seed, ORDER_PURPOSE),
            lambda found, rows: of_targets(found[:, CLASSES:], rows),
        )
