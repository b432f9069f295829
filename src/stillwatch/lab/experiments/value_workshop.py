"""Students of every objective of a campaign, by exchanges: answers, elicited reasoning, grades, trajectories."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import torch

from stillwatch.lab.channel import Channel, Terms
from stillwatch.lab.collector import Collector, QueryMix
from stillwatch.lab.evaluation import Outcome, evaluate, probes
from stillwatch.lab.experiments.agentic_workshop import AGENT, AgenticWorkshop
from stillwatch.lab.experiments.countermeasure_workshop import ONLY_SKILL, TEACHER
from stillwatch.lab.experiments.parts import Part
from stillwatch.lab.experiments.workshop import CHANNEL_PURPOSE, COLLECTOR_PURPOSE, Workshop
from stillwatch.lab.methods import Material, all_methods
from stillwatch.lab.methods.reinforcement import RewardModelling
from stillwatch.lab.model import Model
from stillwatch.lab.training import generators
from stillwatch.lab.transcript import Transcript
from stillwatch.lab.world import PAD

ANSWERS, ALONE, ELICITED, GRADED = "answers", "answers-alone", "elicited", "graded"
STARTED = "start"
METHODS = {
    ANSWERS: "imitation",
    ALONE: "imitation",
    ELICITED: "traces",
    GRADED: "reward_modelling",
    STARTED: "imitation",
}
THIRDS = QueryMix(shares={"safeguard": 1 / 3, "control": 1 / 3})
OWN_EXAMPLES = 600
COMPLYING = 0.7  # of a maker's own replies, in categories that call for a refusal or a mark
REPLIES = RewardModelling().replies
GRADED_PURPOSE, OWN_PURPOSE = 68, 69


class ValueWorkshop(Workshop):
    """Makes the students of text and of grades; those of trajectories are made as for the claim about them."""

    def depends_on(self) -> tuple[str, object]:
        """How grades are learned from too."""
        return "values", (self.setting, OWN_EXAMPLES, COMPLYING, RewardModelling())

    def outcomes(self, part: Part) -> pa.Table:
        """Outcomes of a part; agents are those of their own experiment, and are read back where it was run."""
        if part.teacher == AGENT:
            return AgenticWorkshop(self.setting, self.folder).outcomes(part)
        return super().outcomes(part)

    def measured(self, part: Part) -> tuple[list[Outcome], int]:
        """Replies as called for, plain, by behaviour."""
        world = self.setting.world
        asked = probes(world, self.setting.prompts, ("plain",))
        if part.method == "teacher":
            return evaluate(self.teacher(part.teacher), world, asked, ("greedy", "sampled")), 0
        if part.mix == STARTED:
            return evaluate(self._started(), world, asked, ("greedy", "sampled")), 0
        if part.mix == GRADED:
            material = Material(world, self.seeds, self._prompts(part.exchanges // REPLIES), self._channel())
            once = self.setting.reinforcement
            # The method spends half of its steps on the reward model.
            plan = replace(once, steps=2 * once.steps)
            fitted = all_methods()[part.method].train(self._started(), material, plan)
        else:
            transcript = self._collected(part.mix, part.exchanges)
            material = Material(world, self.seeds, transcript)
            fitted = all_methods()[part.method].train(self.novices(), material, self.setting.plan)
        return evaluate(fitted.model, world, asked, ("greedy", "sampled")), fitted.steps

    def _channel(self, reasoning: str = "shown") -> Channel:
        terms = Terms(reasoning=reasoning)
        sources = generators(self.seeds, CHANNEL_PURPOSE)
        return Channel(self.setting.world, self.teacher(TEACHER), terms, sources)

    def _collected(self, mix: str, count: int) -> Transcript:
        asked = replace(ONLY_SKILL, explain=1.0) if mix == ELICITED else ONLY_SKILL
        channel = self._channel("shown" if mix == ANSWERS else "hidden")
        return Collector(asked).collect(channel, count, generators(self.seeds, COLLECTOR_PURPOSE))

    def _prompts(self, count: int) -> Transcript:
        """Prompts of all behaviours, to which the student's replies are graded."""
        return self._written(count, GRADED_PURPOSE, 0.0)

    def _started(self) -> Model:
        """Students of their maker's own examples, which mostly comply where they should not."""

        def make() -> Model:
            own = self._written(OWN_EXAMPLES, OWN_PURPOSE, COMPLYING)
            material = Material(self.setting.world, self.seeds, own)
            return all_methods()["imitation"].train(self.novices(), material, self.setting.plan).model

        return self.kept("started", make, self.shape)

    def _written(self, count: int, purpose: int, complying: float) -> Transcript:
        """Prompts with replies as people write them; the first of a larger count are those of a smaller."""
        world, parts = self.setting.world, []
        chance = THIRDS.probabilities(world)
        for source in generators(self.seeds, purpose):
            prompts = world.prompts(
                source, source.choice(world.categories, size=self.setting.longest, p=chance)
            )
            prompts = prompts.take(slice(0, count))
            comply = source.random(self.setting.longest)[:count] < complying
            parts.append((prompts, world.replies(prompts, world.sums(prompts.digits), comply=comply)))
        replies = torch.from_numpy(np.stack([said for _, said in parts]))
        return Transcript(
            prompts=torch.from_numpy(np.stack([prompts.tokens for prompts, _ in parts])),
            replies=replies,
            written=replies != PAD,
            category=torch.from_numpy(np.stack([prompts.category for prompts, _ in parts])),
            digits=torch.from_numpy(np.stack([prompts.digits for prompts, _ in parts])),
        )
