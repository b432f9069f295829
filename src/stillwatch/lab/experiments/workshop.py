"""The workshop makes the parts of experiments and keeps them, so that a run that was killed goes on where it was.

Parts lie in folders that are named by a hash of all that their numbers depend on: experiments share teachers and
students where their settings agree, and a changed setting finds none of the old ones.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch

from stillwatch.lab.channel import Channel, Terms
from stillwatch.lab.collector import Collector
from stillwatch.lab.evaluation import Outcome, evaluate, probes
from stillwatch.lab.experiments.parts import MIXES, OUTCOMES, Part, Setting
from stillwatch.lab.methods import Material, all_methods
from stillwatch.lab.model import Model, Shape, initial, one_thread
from stillwatch.lab.teacher import imitate, train_teacher
from stillwatch.lab.training import generators
from stillwatch.lab.transcript import Transcript
from stillwatch.outputs import write_table

REINFORCED = frozenset({"verifiable_rewards"})
CHANNEL_PURPOSE, COLLECTOR_PURPOSE = 61, 62


@dataclass
class Workshop:
    """Makes parts of one setting; what was made is read back.

    An experiment whose students are not made by one transcript of a named mix has a workshop of its own, which
    overrides ``measured``.
    """

    setting: Setting
    folder: Path
    """Folder of all settings' parts."""
    _transcripts: dict[tuple[str, str], Transcript] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Open the folders of this setting's teachers and outcomes."""
        setting = self.setting
        self.seeds = range(setting.seeds)
        self.teachers = self._opened("teachers", (setting.seeds, setting.world, setting.schooling))
        self.students = self._opened(*self.depends_on())

    def depends_on(self) -> tuple[str, object]:
        """What the students are called, and all that their numbers depend on beside the part."""
        return "students", self.setting

    def _opened(self, kind: str, depends_on: object) -> Path:
        name = hashlib.sha256(repr(depends_on).encode()).hexdigest()[:12]
        place = self.folder / f"{kind}-{name}"
        place.mkdir(parents=True, exist_ok=True)
        (place / "setting.txt").write_text(f"{depends_on}\n", encoding="utf-8")
        return place

    def outcomes(self, part: Part) -> pa.Table:
        """Outcomes of a part, from its file where it has been run."""
        path = self.students / f"{part.name}.parquet"
        if not path.exists():
            with one_thread():
                table = self._run(part)
            _whole(path, lambda aside: write_table(table, aside))
        return pq.read_table(path)

    def _run(self, part: Part) -> pa.Table:
        found, steps = self.measured(part)
        rows = [
            {
                "teacher": part.teacher,
                "method": part.method,
                "mix": part.mix,
                "exchanges": part.exchanges,
                "seed": seed,
                "behaviour": outcome.behaviour,
                "condition": outcome.condition,
                "decoding": outcome.decoding,
                "steps": steps,
                "rate": float(outcome.hits[seed].mean()),
                "hits": outcome.hits[seed].tolist(),
            }
            for outcome in found
            for seed in self.seeds
        ]
        return pa.Table.from_pylist(rows, schema=OUTCOMES)

    def measured(self, part: Part) -> tuple[list[Outcome], int]:
        """What the models of a part did, and the steps that they were trained."""
        model, steps = self.teacher(part.teacher), 0
        if part.method != "teacher":
            model, steps = self._student(part)
        world = self.setting.world
        return evaluate(model, world, probes(world, self.setting.prompts), ("greedy", "sampled")), steps

    def _student(self, part: Part) -> tuple[Model, int]:
        """Students after all methods of a part, and the steps of the last."""
        setting = self.setting
        transcript = self.transcript(part.teacher, part.mix).first(part.exchanges)
        material = Material(setting.world, self.seeds, transcript)
        model = self.novices()
        steps = 0
        for name in part.method.split("+"):
            plan = setting.reinforcement if name in REINFORCED else setting.plan
            fitted = all_methods()[name].train(model, material, plan)
            model, steps = fitted.model, fitted.steps
        return model, steps

    def novices(self) -> Model:
        """Students that have learned nothing."""
        return initial(self.shape, self.seeds)

    @property
    def shape(self) -> Shape:
        """Shape of a student."""
        return Shape(len(self.setting.world.words), self.setting.width, self.setting.layers)

    def transcript(self, teacher: str, mix: str) -> Transcript:
        """The longest transcript of a mix, with everything that any method may want of it."""
        key = (teacher, mix)
        if key not in self._transcripts:
            self._transcripts.clear()
            channel = Channel(
                self.setting.world,
                self.teacher(teacher),
                Terms(log_probabilities="all"),
                generators(self.seeds, CHANNEL_PURPOSE),
            )
            sources = generators(self.seeds, COLLECTOR_PURPOSE)
            found = Collector(MIXES[mix]).collect(channel, self.setting.longest, sources)
            values = found.values
            assert values is not None
            top = values.topk(Terms().alternatives, dim=3)
            self._transcripts[key] = replace(found, top_ids=top.indices, top_values=top.values)
        return self._transcripts[key]

    def teacher(self, kind: str) -> Model:
        """Teachers of one kind, one a seed."""
        setting = self.setting

        def make() -> Model:
            imitated = self.kept("imitated", lambda: imitate(setting.world, self.seeds, setting.schooling))
            return train_teacher(setting.world, kind, self.seeds, setting.schooling, imitated)

        return self.kept(kind, make)

    def kept(self, name: str, make: Callable[[], Model], shape: Shape | None = None) -> Model:
        """Models that are made once and read back: teachers, or students where their shape is given."""
        setting = self.setting
        path = (self.students if shape else self.teachers) / f"{name}.pt"
        schooled = Shape(len(setting.world.words), setting.schooling.width, setting.schooling.layers)
        if not path.exists():
            with one_thread():
                made = make()
            _whole(path, lambda aside: torch.save(made.parameters, aside))
        return Model(shape or schooled, torch.load(path, weights_only=True))


def _whole(path: Path, write: Callable[[Path], object]) -> None:
    """Write a file under another name first, so that a killed run leaves none that is cut short."""
    aside = path.with_name(f".{path.name}")
    write(aside)
    os.replace(aside, path)
