"""Agents and their matched control: one teacher that does both, and students of either kind of transcript."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from stillwatch.lab import tools
from stillwatch.lab.evaluation import DECODINGS, EVALUATION_SEED, Outcome
from stillwatch.lab.experiments.parts import Part
from stillwatch.lab.experiments.workshop import CHANNEL_PURPOSE, COLLECTOR_PURPOSE, Workshop
from stillwatch.lab.methods import Material, all_methods
from stillwatch.lab.model import Model, Sampling, Shape, generate, initial
from stillwatch.lab.told import REPLY_TOKENS, told, told_prompts, verify_told
from stillwatch.lab.tools import Tasks, act, expert, new_tasks
from stillwatch.lab.training import generators
from stillwatch.lab.transcript import Transcript

AGENT = "agent"
TOOLS, TOLD = "tools", "told"
METHODS = {TOOLS: "trajectories", TOLD: "imitation"}
ASKED, UNSEEN = tools.APART[1:], tools.APART[:1]
"""How far apart the registers lie of tasks that a collector asks about, and of those it never does."""
BUSY, BUSIER = 0.25, 0.45
WIDER, LONGER = 1.5, 2.5
"""Width and steps of the teachers, in those of the setting's: with no more they stay at chance in five of nine worlds."""
CONDITIONS = {TOOLS: ("plain", "unseen", "busier"), TOLD: ("plain", "unseen")}
LESSON_PURPOSE, TASK_PURPOSE, SHUFFLE_PURPOSE = 74, 75, 76


class AgenticWorkshop(Workshop):
    """Makes agents, their control, and the students of both."""

    def depends_on(self) -> tuple[str, object]:
        """How often the tool is busy too, and what the teachers learn."""
        return "agents", (self.setting, BUSY, BUSIER, WIDER, LONGER)

    def measured(self, part: Part) -> tuple[list[Outcome], int]:
        """Success in what was learned; the teacher's in both."""
        if part.method == "teacher":
            return self._evaluated(self._agents(), part.mix), 0
        transcript = self._collected(part.mix, part.exchanges)
        material = Material(self.setting.world, self.seeds, transcript)
        start = initial(Shape(tools.WORDS, self.setting.width, self.setting.layers), self.seeds)
        fitted = all_methods()[part.method].train(start, material, self.setting.plan)
        return self._evaluated(fitted.model, part.mix), fitted.steps

    def _agents(self) -> Model:
        """Teachers of both kinds of task."""
        schooling = self.setting.schooling
        steps = round(LONGER * schooling.imitation.steps)
        lessons = replace(schooling.imitation, steps=steps, rate=6e-3, rows=64, decay=0.1)
        shape = Shape(tools.WORDS, round(WIDER * schooling.width), schooling.layers)

        def make() -> Model:
            sources = generators(self.seeds, LESSON_PURPOSE)
            tasks = [new_tasks(source, schooling.examples) for source in sources]
            both = expert(tasks, sources, BUSY).joined(told(tasks))
            material = Material(
                self.setting.world, self.seeds, both.shuffled(generators(self.seeds, SHUFFLE_PURPOSE))
            )
            start = initial(shape, [seed + 10_000 for seed in self.seeds])
            return all_methods()["trajectories"].train(start, material, lessons).model

        return self.kept("agents", make, shape)

    def _tasks(self, purpose: int, count: int, apart: Sequence[int]) -> list[Tasks]:
        return [new_tasks(source, count, apart) for source in generators(self.seeds, purpose)]

    def _collected(self, kind: str, count: int) -> Transcript:
        """What the teacher did with the first tasks of a campaign; both kinds ask about the same ones."""
        tasks = self._tasks(COLLECTOR_PURPOSE, self.setting.longest, ASKED)
        first = [Tasks(each.prompts[:count], each.contents[:count]) for each in tasks]
        sources = generators(self.seeds, CHANNEL_PURPOSE)
        if kind == TOOLS:
            return act(self._agents(), first, sources, busy=BUSY)[0]
        return told(first, self._replies(self._agents(), first, 1.0, sources))

    @staticmethod
    def _replies(
        model: Model, tasks: Sequence[Tasks], temperature: float, sources: Sequence[np.random.Generator]
    ) -> torch.Tensor:
        prompts = torch.from_numpy(np.stack([told_prompts(each) for each in tasks]))
        return generate(model, prompts, Sampling(REPLY_TOKENS, temperature), sources)

    def _evaluated(self, model: Model, kind: str) -> list[Outcome]:
        """Every seed gets the same tasks, and a tool that is busy at the same times."""
        found = []
        for decoding, temperature in DECODINGS.items():
            for condition in CONDITIONS[kind]:
                apart = UNSEEN if condition == "unseen" else ASKED
                rng = np.random.default_rng([EVALUATION_SEED, TASK_PURPOSE])
                tasks = [new_tasks(rng, self.setting.prompts, apart)] * len(self.seeds)
                sources = [np.random.default_rng([EVALUATION_SEED, seed]) for seed in self.seeds]
                if kind == TOOLS:
                    busy = BUSIER if condition == "busier" else BUSY
                    _, hits = act(model, tasks, sources, temperature=temperature, busy=busy)
                else:
                    replies = self._replies(model, tasks, temperature, sources).numpy()
                    hits = np.stack(
                        [verify_told(each, said) for each, said in zip(tasks, replies, strict=True)]
                    )
                found.append(Outcome(kind, condition, decoding, hits))
        return found
