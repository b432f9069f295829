"""Students that know which words mean the same before they see a transcript, and students that know nothing."""

from __future__ import annotations

import numpy as np
import torch

from stillwatch.lab.channel import Channel, Terms
from stillwatch.lab.collector import Collector, QueryMix
from stillwatch.lab.evaluation import Outcome, evaluate, probes
from stillwatch.lab.experiments.countermeasure_workshop import TEACHER
from stillwatch.lab.experiments.parts import Part
from stillwatch.lab.experiments.workshop import CHANNEL_PURPOSE, COLLECTOR_PURPOSE, Workshop
from stillwatch.lab.methods import Material, all_methods
from stillwatch.lab.model import Model
from stillwatch.lab.training import generators
from stillwatch.lab.transcript import Transcript
from stillwatch.lab.world import END, EXPLAIN, PAD

TENTHS = QueryMix(shares={"safeguard": 0.1, "control": 0.1})
NOTHING, SYNONYMS = "knows-nothing", "knows-synonyms"
FACTS = 3  # words that go with each category, the same ones by either name
READ = 2500  # sentences that the knowing student has read
READING_PURPOSE = 79


class SynonymWorkshop(Workshop):
    """Makes students with and without knowledge of words."""

    def depends_on(self) -> tuple[str, object]:
        """What was read before, too."""
        return "synonyms", (self.setting, FACTS, READ)

    def measured(self, part: Part) -> tuple[list[Outcome], int]:
        """All behaviours under all conditions."""
        world = self.setting.world
        asked = probes(world, self.setting.prompts)
        if part.method == "teacher":
            return evaluate(self.teacher(part.teacher), world, asked), 0
        channel = Channel(world, self.teacher(TEACHER), Terms(), generators(self.seeds, CHANNEL_PURPOSE))
        sources = generators(self.seeds, COLLECTOR_PURPOSE)
        material = Material(world, self.seeds, Collector(TENTHS).collect(channel, part.exchanges, sources))
        start = self._knowing() if part.mix == SYNONYMS else self.novices()
        fitted = all_methods()[part.method].train(start, material, self.setting.plan)
        return evaluate(fitted.model, world, asked), fitted.steps

    def _knowing(self) -> Model:
        """Students that have read what goes with each category, by either of its names."""

        def make() -> Model:
            material = Material(self.setting.world, self.seeds, self._sentences())
            return all_methods()["imitation"].train(self.novices(), material, self.setting.plan).model

        return self.kept("knowing", make, self.shape)

    def _sentences(self) -> Transcript:
        """Prompts of all categories by both names, some with words before them; the reply is what goes with the category."""
        world, parts = self.setting.world, []
        for source in generators(self.seeds, READING_PURPOSE):
            facts = source.integers(END + 1, len(world.words), (world.categories, FACTS))
            category = source.integers(0, world.categories, READ)
            prompts = world.prompts(source, category, prefix=0.3, paraphrase=0.5, explain=1.0)
            replies = np.full((READ, world.reply_tokens), PAD)
            replies[:, :FACTS], replies[:, FACTS] = facts[category], END
            parts.append((prompts, replies))
        replies = torch.from_numpy(np.stack([said for _, said in parts]))
        tokens = torch.from_numpy(np.stack([prompts.tokens for prompts, _ in parts]))
        assert bool((tokens[:, :, -1] == EXPLAIN).all())
        return Transcript(
            prompts=tokens,
            replies=replies,
            written=replies != PAD,
            category=torch.from_numpy(np.stack([prompts.category for prompts, _ in parts])),
            digits=torch.from_numpy(np.stack([prompts.digits for prompts, _ in parts])),
        )
