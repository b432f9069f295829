"""Makes the parts of experiments on digits and keeps them, model by model, so that a killed run goes on where it was."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor

from stillwatch.lab.digits.images import HOW_TO_GET, ImagesError, read_digits
from stillwatch.lab.digits.network import Weights
from stillwatch.lab.experiments.parts import OUTCOMES, Part
from stillwatch.lab.model import one_thread
from stillwatch.outputs import write_table


@dataclass(frozen=True)
class DigitsSetting:
    """What the numbers of an experiment on digits depend on, beside the part and the images."""

    seeds: int = 5
    data: Path | None = field(default=None, repr=False)
    """Folder of the images; they are told apart by what they hold, not by where they lie."""

    def rows(self, part: Part, seed: int, bench: DigitsWorkshop) -> list[dict[str, Any]]:
        """Train a part's model of one seed and measure it; rows that :func:`row` makes."""
        raise NotImplementedError


class DigitsWorkshop:
    """Makes parts of one setting from one set of images."""

    def __init__(self, setting: DigitsSetting, folder: Path) -> None:
        if setting.data is None:
            raise ImagesError(f"this experiment needs images: give --data a folder with {HOW_TO_GET}")
        self.setting = setting
        self.train, self.test = (read_digits(setting.data, split) for split in ("train", "test"))
        depends_on = f"{setting} on images {self.train.digest()} and {self.test.digest()}"
        self.place = folder / f"digits-{hashlib.sha256(depends_on.encode()).hexdigest()[:12]}"
        self.place.mkdir(parents=True, exist_ok=True)
        (self.place / "setting.txt").write_text(f"{depends_on}\n", encoding="utf-8")

    def outcomes(self, part: Part) -> pa.Table:
        """Outcomes of a part for all seeds, from their files where they have been run."""
        return pa.concat_tables([self._outcome(part, seed) for seed in range(self.setting.seeds)])

    def _outcome(self, part: Part, seed: int) -> pa.Table:
        path = self.place / f"{part.name}-{seed}.parquet"
        if not path.exists():
            with one_thread():
                rows = self.setting.rows(part, seed, self)
            told = {
                "teacher": part.teacher,
                "method": part.method,
                "mix": part.mix,
                "exchanges": part.exchanges,
            }
            table = pa.Table.from_pylist([{**told, "seed": seed, **row} for row in rows], schema=OUTCOMES)
            _whole(path, lambda aside: write_table(table, aside))
        return pq.read_table(path)

    def kept(self, name: str, make: Callable[[], Weights]) -> Weights:
        """Weights under a name, made where they are not there yet."""
        path = self.place / f"{name}.pt"
        if not path.exists():
            made = make()
            _whole(path, lambda aside: torch.save(made, aside))
        found: Weights = torch.load(path, weights_only=True)
        return found


def row(behaviour: str, right: Tensor, condition: str = "plain") -> dict[str, Any]:
    """What a model made of some test images: whether each was right [N]."""
    return {
        "behaviour": behaviour,
        "condition": condition,
        "decoding": "greedy",
        "steps": 0,
        "rate": float(right.float().mean()),
        "hits": right.tolist(),
    }


def source(seed: int, purpose: int) -> np.random.Generator:
    """A random source of one seed; different purposes share no numbers."""
    return np.random.default_rng([seed, purpose])


def _whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under another name first, so that a killed run leaves none that is cut short."""
    aside = path.with_name(f".{path.name}")
    write(aside)
    os.replace(aside, path)
