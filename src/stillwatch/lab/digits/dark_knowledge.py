"""The networks of Hinton, Vinyals & Dean 2015, section 3, and what each is trained on.

A large net with dropout on jittered images teaches; smaller ones learn from labels, or from its logits at a temperature
of 20, without dropout and jitter. Some transfer sets lack classes. A student that never saw a class has biases that are
too low for it, or too high for the few that it saw; one number that corrects them is tuned on the test set, as in the
paper.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from stillwatch.lab.digits.images import CLASSES, SIDE, Digits
from stillwatch.lab.digits.network import Course, Weights, fit, from_labels, from_teacher, initial, logits
from stillwatch.lab.digits.workshop import DigitsSetting, DigitsWorkshop, row, source
from stillwatch.lab.experiments.parts import Part
from stillwatch.lab.products import fast_products

EVERY = tuple(range(CLASSES))
TRANSFER = {"all": EVERY, "without 3": tuple(each for each in EVERY if each != 3), "7 and 8": (7, 8)}
"""Classes of the transfer set by the name of a mix."""
SHIFTS = np.round(np.arange(-15, 15.01, 0.1), 1)
"""Corrections of the biases of the classes that a mix names, of which the best on the test set is taken."""
CORRECTED = {"without 3": (3,), "7 and 8": (7, 8)}
TEACHER_PURPOSE, STUDENT_PURPOSE, ORDER_PURPOSE = 71, 72, 73


@dataclass(frozen=True)
class DarkKnowledge(DigitsSetting):
    """Widths as in the paper; epochs that fit an hour."""

    large: int = 1200
    small: int = 800
    """Units of each of two hidden layers."""
    teaching: Course = Course(30, rate=1e-3, rows=512, adam=True, hide_units=0.2, jitter=2)
    learning: Course = Course(16, rate=1e-3, adam=True)
    temperature: float = 20.0
    mixture: float = 1.0
    """Weight of the teacher's logits; labels have the rest."""

    def rows(self, part: Part, seed: int, bench: DigitsWorkshop) -> list[dict[str, Any]]:
        """The model of a part on all test images, and on the 3s alone."""
        with fast_products():
            teacher = self._teacher(seed, bench)
            model = teacher if part.method == "teacher" else self._student(part, seed, bench, teacher)
        found = logits(model, bench.test.images)
        told = _told(found, bench.test, "plain")
        if part.mix in CORRECTED:
            told += _told(corrected(found, bench.test.labels, CORRECTED[part.mix]), bench.test, "bias tuned")
        return told

    def _teacher(self, seed: int, bench: DigitsWorkshop) -> Weights:
        def make() -> Weights:
            start = initial((SIDE * SIDE, self.large, self.large, CLASSES), source(seed, TEACHER_PURPOSE))
            order, loss = source(seed, ORDER_PURPOSE), from_labels(bench.train.labels)
            return fit(start, bench.train.images, self.teaching, order, loss)

        return bench.kept(f"teacher-{seed}", make)

    def _student(self, part: Part, seed: int, bench: DigitsWorkshop, teacher: Weights) -> Weights:
        """A small net; those of one seed start alike."""
        start = initial((SIDE * SIDE, self.small, self.small, CLASSES), source(seed, STUDENT_PURPOSE))
        shown = bench.train.only(TRANSFER[part.mix])
        loss = from_labels(shown.labels)
        if part.method == "distilled":
            loss = from_teacher(logits(teacher, shown.images), shown.labels, self.temperature, self.mixture)
        return fit(start, shown.images, self.learning, source(seed, ORDER_PURPOSE), loss)


def _told(found: Tensor, test: Digits, condition: str) -> list[dict[str, Any]]:
    right = found.argmax(dim=1) == test.labels
    return [row("digits", right, condition), row("threes", right[test.labels == 3], condition)]


def corrected(found: Tensor, labels: Tensor, classes: tuple[int, ...]) -> Tensor:
    """Logits with one number added to those of some classes: the one of ``SHIFTS`` with the fewest errors."""
    chosen = torch.zeros(found.shape[1])
    chosen[list(classes)] = 1.0
    errors = [int(((found + shift * chosen).argmax(dim=1) != labels).sum()) for shift in SHIFTS.tolist()]
    return found + float(SHIFTS[int(np.argmin(errors))]) * chosen
