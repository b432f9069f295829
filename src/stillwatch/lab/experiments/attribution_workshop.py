"""Students of every combination of a teacher's exchanges, own labelled data, and reinforcement."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from stillwatch.lab.channel import Channel, Terms
from stillwatch.lab.collector import Collector
from stillwatch.lab.evaluation import Outcome, evaluate, probes
from stillwatch.lab.experiments.countermeasure_workshop import ONLY_SKILL, TEACHER
from stillwatch.lab.experiments.parts import Part
from stillwatch.lab.experiments.workshop import CHANNEL_PURPOSE, COLLECTOR_PURPOSE, Workshop
from stillwatch.lab.methods import Material, all_methods
from stillwatch.lab.model import Model
from stillwatch.lab.training import generators
from stillwatch.lab.transcript import Transcript
from stillwatch.lab.world import PAD, World

SOURCES = {"T": "the teacher's exchanges", "O": "own labelled data", "R": "reinforcement"}
OWN_PURPOSE, PROMPT_PURPOSE, SHUFFLE_PURPOSE = 65, 66, 67
REWARDED_PROMPTS = 400  # prompts of the student's maker, which reinforcement draws replies to


def cell(sources: frozenset[str], own: int, exchanges: int) -> Part:
    """The student of some sources: so many exchanges of the teacher, so many own examples."""
    return Part(TEACHER, "from-" + ("".join(sorted(sources)) or "nothing"), f"{own}-own", exchanges)


class AttributionWorkshop(Workshop):
    """Makes the eight students of a factorial."""

    def depends_on(self) -> tuple[str, object]:
        """The prompts of reinforcement too."""
        return "attribution", (self.setting, REWARDED_PROMPTS)

    def measured(self, part: Part) -> tuple[list[Outcome], int]:
        """Skill of the student, or of the teacher."""
        world = self.setting.world
        asked = [
            each for each in probes(world, self.setting.prompts, ("plain",)) if each.behaviour == "skill"
        ]
        if part.method == "teacher":
            return evaluate(self.teacher(part.teacher), world, asked, ("greedy", "sampled")), 0
        sources = frozenset(part.method.removeprefix("from-")) & frozenset(SOURCES)
        own = int(part.mix.removesuffix("-own"))
        model, steps = self._read(sources - {"R"}, own, part.exchanges)
        if "R" in sources:
            prompts = own_labels(world, self.seeds, REWARDED_PROMPTS, PROMPT_PURPOSE)
            material = Material(world, self.seeds, prompts)
            plan = self.setting.reinforcement
            fitted = all_methods()["verifiable_rewards"].train(model, material, plan)
            model, steps = fitted.model, steps + fitted.steps
        return evaluate(model, world, asked, ("greedy", "sampled")), steps

    def _read(self, sources: frozenset[str], own: int, exchanges: int) -> tuple[Model, int]:
        """Students that have read what the sources hold; made once, since reinforcement starts from them too."""
        if not sources:
            return self.novices(), 0
        world, parts = self.setting.world, []
        if "T" in sources:
            channel = Channel(world, self.teacher(TEACHER), Terms(), generators(self.seeds, CHANNEL_PURPOSE))
            parts.append(
                Collector(ONLY_SKILL).collect(channel, exchanges, generators(self.seeds, COLLECTOR_PURPOSE))
            )
        if "O" in sources:
            parts.append(own_labels(world, self.seeds, own, OWN_PURPOSE))
        read = (
            parts[0]
            if len(parts) == 1
            else parts[0].joined(parts[1]).shuffled(generators(self.seeds, SHUFFLE_PURPOSE))
        )
        steps = 0

        def make() -> Model:
            nonlocal steps
            fitted = all_methods()["imitation"].train(
                self.novices(), Material(world, self.seeds, read), self.setting.plan
            )
            steps = fitted.steps
            return fitted.model

        name = f"{''.join(sorted(sources))}-{own}-{exchanges}"
        return self.kept(name, make, self.shape), steps


def own_labels(world: World, seeds: Sequence[int], count: int, purpose: int) -> Transcript:
    """Prompts about the skill with right replies, as people write them."""
    skill = np.array(world.behaviours[0].asked)
    prompts = [world.prompts(source, source.choice(skill, count)) for source in generators(seeds, purpose)]
    replies = torch.from_numpy(np.stack([world.replies(each, world.sums(each.digits)) for each in prompts]))
    return Transcript(
        prompts=torch.from_numpy(np.stack([each.tokens for each in prompts])),
        replies=replies,
        written=replies != PAD,
        category=torch.from_numpy(np.stack([each.category for each in prompts])),
        digits=torch.from_numpy(np.stack([each.digits for each in prompts])),
    )
