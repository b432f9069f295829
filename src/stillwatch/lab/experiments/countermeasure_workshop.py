"""Students behind a channel with a countermeasure, and the honest users of the same channel."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import torch

from stillwatch.lab.channel import Channel, Terms
from stillwatch.lab.collector import Collector, QueryMix
from stillwatch.lab.countermeasures.antidistillation import Antidistillation, Proxies, proxies_of
from stillwatch.lab.countermeasures.base import NONE, Countermeasure
from stillwatch.lab.countermeasures.capping import Capping
from stillwatch.lab.countermeasures.hiding import Hiding
from stillwatch.lab.countermeasures.rewriting import Rewriting
from stillwatch.lab.countermeasures.rounding import Rounding
from stillwatch.lab.countermeasures.summary import Summary
from stillwatch.lab.countermeasures.temperature import Temperature
from stillwatch.lab.countermeasures.watermark import Watermark, beyond_teacher, outranked
from stillwatch.lab.evaluation import Outcome, evaluate, probes
from stillwatch.lab.experiments.parts import Part
from stillwatch.lab.experiments.workshop import CHANNEL_PURPOSE, COLLECTOR_PURPOSE, Workshop
from stillwatch.lab.methods import Material, all_methods
from stillwatch.lab.model import Model, Sampling, generate, initial
from stillwatch.lab.teacher import right_replies
from stillwatch.lab.training import generators
from stillwatch.lab.transcript import Transcript

TEACHER = "entropic"
PASSIVE, ADAPTIVE = "passive", "adaptive"
ONLY_SKILL = QueryMix(shares={"safeguard": 0.0, "safeguard_by_reward": 0.0, "control": 0.0})
PROXY_EXCHANGES = 800
RIGHT_REPLIES = 256  # right replies by which a proxy's loss is measured
SUSPECT_REPLIES = 256  # replies of a model that is tested for the watermark
OTHER_KEYS = 199
FIRST_KEY, FIRST_OTHER_KEY = 5_000, 9_000
PROXY_SEED = 20_000
PROXY_PURPOSE, SUSPECT_PURPOSE = 63, 64


@dataclass(frozen=True, slots=True)
class Arm:
    """A channel with a countermeasure, and who learns from it."""

    countermeasure: Countermeasure = NONE
    top: bool = False
    """Whether log-probabilities of five words are shown before the countermeasure."""
    elicits: bool = False
    """Whether the adaptive student asks for a rationale here."""

    @property
    def adaptive(self) -> bool:
        """Whether there is an adaptive student; there is no way round log-probabilities that are not shown."""
        return not self.top


NOTHING, TOP, ELICITED = "nothing", "five-log-probabilities", "hiding"
ARMS: Mapping[str, Arm] = {
    NOTHING: Arm(),
    "temperature-1.2": Arm(Temperature(least=1.2)),
    "temperature-1.6": Arm(Temperature(least=1.6)),
    "hiding": Arm(Hiding(), elicits=True),
    "summary": Arm(Summary(), elicits=True),
    "rewriting": Arm(Rewriting(), elicits=True),
    "antidistillation": Arm(Antidistillation(weight=0.6)),
    "watermark": Arm(Watermark(delta=1.0)),
    TOP: Arm(top=True),
    "rounding": Arm(Rounding(step=1.0), top=True),
    "capping": Arm(Capping(alternatives=1), top=True),
}
TEMPERATURES = (NOTHING, "temperature-1.2", "temperature-1.6")
DEFENDED = {
    "hiding": "reasoning hidden",
    "summary": "reasoning summarised",
    "rewriting": "trace rewritten",
    "antidistillation": "antidistillation sampling",
    "watermark": "watermark",
    "rounding": "log-probabilities rounded to whole nats",
    "capping": "log-probabilities of one word instead of five",
}


def user(arm: str) -> Part:
    """The honest user of an arm."""
    return Part(TEACHER, "teacher", arm)


def student(arm: str, habit: str, exchanges: int) -> Part:
    """The student of an arm."""
    method = "top_k" if ARMS[arm].top else "traces" if habit == ADAPTIVE else "imitation"
    # Who asks for a rationale reads no trace, so that it is the same student whatever is done to traces.
    read = ELICITED if habit == ADAPTIVE and ARMS[arm].elicits else arm
    return Part(TEACHER, method, f"{read}-{habit}", exchanges)


class CountermeasureWorkshop(Workshop):
    """Makes users and students of every arm."""

    def depends_on(self) -> tuple[str, object]:
        """The arms too."""
        return "countermeasures", (self.setting, ARMS, PROXY_EXCHANGES, RIGHT_REPLIES)

    def measured(self, part: Part) -> tuple[list[Outcome], int]:
        """Right answers, and where it matters whether the watermark is in the text."""
        if part.method == "teacher":
            return self._used(part.mix), 0
        arm, habit = part.mix.rsplit("-", 1)
        transcript = self._collected(arm, habit, part.exchanges)
        material = Material(self.setting.world, self.seeds, transcript)
        fitted = all_methods()[part.method].train(self.novices(), material, self.setting.plan)
        world = self.setting.world
        asked = [
            each for each in probes(world, self.setting.prompts, ("plain",)) if each.behaviour == "skill"
        ]
        found = evaluate(fitted.model, world, asked, ("greedy", "sampled"))
        if arm in (NOTHING, "watermark"):
            prompts = self._suspect_prompts()
            how = Sampling(world.reply_tokens)
            replies = generate(fitted.model, prompts, how, generators(self.seeds, SUSPECT_PURPOSE))
            found.append(self._tested(prompts, replies))
        return found, fitted.steps

    def _used(self, arm: str) -> list[Outcome]:
        """What honest users get, asking as the evaluation asks."""
        world = self.setting.world
        channel = self._channel(arm)
        asked = next(
            each for each in probes(world, self.setting.prompts, ("plain",)) if each.behaviour == "skill"
        )
        shown = channel.ask([asked.prompts] * len(self.seeds))
        hits = np.stack([world.verify(asked.prompts, replies.numpy()) for replies in shown.replies])
        found = [Outcome("skill", "plain", "sampled", hits)]
        if arm in (NOTHING, "watermark"):
            collected = Collector(ONLY_SKILL).collect(
                channel, SUSPECT_REPLIES, generators(self.seeds, SUSPECT_PURPOSE)
            )
            found.append(self._tested(collected.prompts, collected.replies))
        return found

    def _suspect_prompts(self) -> torch.Tensor:
        sources = generators(self.seeds, SUSPECT_PURPOSE)
        world = self.setting.world
        skill = np.array(world.behaviours[0].asked)
        drawn = [world.prompts(source, source.choice(skill, SUSPECT_REPLIES)) for source in sources]
        return torch.from_numpy(np.stack([each.tokens for each in drawn]))

    def _tested(self, prompts: torch.Tensor, replies: torch.Tensor) -> Outcome:
        """Which other keys the true key outranks."""
        more = beyond_teacher(self.teacher(TEACHER), prompts, replies)
        others = range(FIRST_OTHER_KEY, FIRST_OTHER_KEY + OTHER_KEYS)
        return Outcome(
            "watermark", "plain", "sampled", outranked(more, self._keys(), others, Watermark().green)
        )

    def _keys(self) -> tuple[int, ...]:
        return tuple(FIRST_KEY + seed for seed in self.seeds)

    def _channel(self, arm: str) -> Channel:
        countermeasure = ARMS[arm].countermeasure
        if isinstance(countermeasure, Watermark):
            countermeasure = replace(countermeasure, keys=self._keys())
        elif isinstance(countermeasure, Antidistillation):
            countermeasure = replace(countermeasure, proxies=self._proxies())
        return Channel(
            self.setting.world,
            self.teacher(TEACHER),
            Terms(log_probabilities="top" if ARMS[arm].top else "none"),
            generators(self.seeds, CHANNEL_PURPOSE),
            countermeasure=countermeasure,
        )

    def _collected(self, arm: str, habit: str, count: int) -> Transcript:
        adapts = habit == ADAPTIVE
        mix = replace(ONLY_SKILL, explain=1.0) if adapts and ARMS[arm].elicits else ONLY_SKILL
        collector = Collector(mix, drop_wrong=adapts)
        return collector.collect(self._channel(arm), count, generators(self.seeds, COLLECTOR_PURPOSE))

    def _proxies(self) -> Proxies:
        """Proxy students that the owner trained on its own text, and their gradients on right replies."""
        setting = self.setting

        def make() -> Model:
            channel = self._channel(NOTHING)
            transcript = Collector(ONLY_SKILL).collect(
                channel, PROXY_EXCHANGES, generators(self.seeds, PROXY_PURPOSE)
            )
            start = initial(self.shape, [PROXY_SEED + seed for seed in self.seeds])
            material = Material(setting.world, self.seeds, transcript)
            return all_methods()["imitation"].train(start, material, setting.plan).model

        proxy = self.kept("proxy", make, self.shape)
        right = right_replies(setting.world, self.seeds, replace(setting.schooling, examples=RIGHT_REPLIES))
        return proxies_of(proxy, right)
