"""A teacher that is wrong in some categories, the same after its owner's reinforcement, and students of both."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from stillwatch.lab.channel import Channel, Terms
from stillwatch.lab.collector import Collector
from stillwatch.lab.evaluation import Outcome, Probe, evaluate, probes
from stillwatch.lab.experiments.attribution_workshop import own_labels
from stillwatch.lab.experiments.countermeasure_workshop import ONLY_SKILL
from stillwatch.lab.experiments.parts import Part
from stillwatch.lab.experiments.workshop import CHANNEL_PURPOSE, COLLECTOR_PURPOSE, Workshop
from stillwatch.lab.methods import Material, all_methods
from stillwatch.lab.model import Model
from stillwatch.lab.teacher import imitate
from stillwatch.lab.training import generators
from stillwatch.lab.transcript import Transcript
from stillwatch.lab.world import Prompts

MISLED = (3, 4, 5)
"""Categories of the skill in which the teacher forgets the last digit; it is right in the others."""
FORGETTING = (
    0.7  # of the examples in those categories; in the rest it is right, so that chance finds it now and then
)
PROMPTS = 400  # of the maker's or owner's own, to which reinforcement draws replies
LESSON_PURPOSE, PROMPT_PURPOSE = 77, 78
WRONG, STRONGER = "wrong", "stronger"
TEXT, REWARDED = "imitation", "imitation+verifiable_rewards"


class CeilingWorkshop(Workshop):
    """Makes wrong teachers, stronger ones, and students of both."""

    def depends_on(self) -> tuple[str, object]:
        """How the teacher is misled too."""
        return "ceilings", (self.setting, MISLED, FORGETTING, PROMPTS)

    def measured(self, part: Part) -> tuple[list[Outcome], int]:
        """Right answers where the teacher is wrong, and where it is right."""
        teacher = self._stronger() if part.teacher == STRONGER else self._wrong()
        if part.method == "teacher":
            return self._evaluated(teacher), 0
        sources = generators(self.seeds, CHANNEL_PURPOSE)
        channel = Channel(self.setting.world, teacher, Terms(), sources)
        collected = Collector(ONLY_SKILL).collect(
            channel, part.exchanges, generators(self.seeds, COLLECTOR_PURPOSE)
        )
        name = f"{part.teacher}-{part.exchanges}"
        student = self.kept(name, lambda: self._read(collected), self.shape)
        if part.method == REWARDED:
            student = self._rewarded(student)
        return self._evaluated(student), 0

    def _read(self, transcript: Transcript) -> Model:
        material = Material(self.setting.world, self.seeds, transcript)
        return all_methods()[TEXT].train(self.novices(), material, self.setting.plan).model

    def _rewarded(self, model: Model) -> Model:
        prompts = own_labels(self.setting.world, self.seeds, PROMPTS, PROMPT_PURPOSE)
        material = Material(self.setting.world, self.seeds, prompts)
        return all_methods()["verifiable_rewards"].train(model, material, self.setting.reinforcement).model

    def _wrong(self) -> Model:
        """A right teacher that goes on with traces which mostly forget the last digit in some categories."""
        setting = self.setting

        def make() -> Model:
            right = self.kept("imitated", lambda: imitate(setting.world, self.seeds, setting.schooling))
            material = Material(setting.world, self.seeds, self._lessons())
            return all_methods()[TEXT].train(right, material, setting.schooling.entropic).model

        return self.kept("wrong", make)

    def _stronger(self) -> Model:
        """The wrong teacher after reinforcement by its owner."""
        return self.kept("stronger", lambda: self._rewarded(self._wrong()))

    def _lessons(self) -> Transcript:
        world = self.setting.world
        lessons = own_labels(world, self.seeds, self.setting.schooling.examples, LESSON_PURPOSE)
        replies = []
        for seed, source in enumerate(generators(self.seeds, LESSON_PURPOSE + 1)):
            asked = lessons.prompts_of(seed)
            forgets = np.isin(asked.category, MISLED) & (source.random(len(asked)) < FORGETTING)
            sums = world.sums(asked.digits)
            sums[forgets, -1] = sums[forgets, -2]
            replies.append(world.replies(asked, sums))
        return replace(lessons, replies=torch.from_numpy(np.stack(replies)))

    def _evaluated(self, model: Model) -> list[Outcome]:
        """Prompts of both halves; tasks whose last digit is nothing are left out, where forgetting it is right."""
        world = self.setting.world
        skill = next(
            each for each in probes(world, 8 * self.setting.prompts, ("plain",)) if each.behaviour == "skill"
        )
        asked = []
        for name, wanted in (("misled", True), ("skill", False)):
            rows = np.isin(skill.prompts.category, MISLED) == wanted
            rows &= skill.prompts.digits[:, -1] != 0
            asked.append(_only(skill, name, np.flatnonzero(rows)[: self.setting.prompts]))
        return evaluate(model, world, asked, ("greedy", "sampled"))


def _only(probe: Probe, name: str, rows: np.ndarray[tuple[int], np.dtype[np.intp]]) -> Probe:
    prompts: Prompts = probe.prompts.take(rows)
    return Probe(name, probe.condition, prompts, None)
