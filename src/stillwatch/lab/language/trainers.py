"""TRL's trainers behind one interface, under the names of the small world's methods.

Everything is plain text: a request as the model reads it, and the reply. On a machine without a GPU training is in
float32 on the CPU (TRL would use bfloat16 there as well), and where there are GPUs in bfloat16. Several processes
share the rows where a run is started by ``accelerate launch``.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from stillwatch.lab.language.models import Language

IGNORED = -100  # label of tokens that are no part of the loss


@dataclass(frozen=True, slots=True)
class TextPlan:
    """How long and how fast a language model learns."""

    steps: int
    rate: float = 5e-4
    rows: int = 8
    """Rows of a batch in each process; of reinforcement, replies."""
    longest: int = 24
    """Most tokens of a reply that the student draws itself."""
    adapter_rank: int = 0
    """Rank of a LoRA adapter (Hu et al. 2022) that is trained instead of the weights, and then added to them; 0: none."""
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Text:
    """What a student may learn from; each trainer says what it needs."""

    prompts: Sequence[str]
    """As :meth:`~stillwatch.lab.language.models.Language.written` gives them."""
    replies: Sequence[str] = ()
    """One a prompt; of two, the better one."""
    worse: Sequence[str] = ()
    """The other one, where a teacher compared two."""
    teacher: Language | None = None
    """For trainers that look at its logits."""
    reward: Callable[[str, str], float] | None = None
    """Grades a reply to a prompt, for reinforcement."""


class TextError(Exception):
    """A trainer was given less than it needs."""


class Trainer(Protocol):
    """Trains a model in place and returns it; with an adapter the returned one is new."""

    def __call__(self, student: Language, text: Text, plan: TextPlan) -> Language:
        """Train on ``text``."""


def imitation(student: Language, text: Text, plan: TextPlan) -> Language:
    """Supervised fine-tuning on sampled replies (Kim & Rush 2016): cross-entropy of the reply's tokens."""
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    _need(text, "imitation", replies=True)
    rows = Dataset.from_dict({"prompt": list(text.prompts), "completion": list(text.replies)})
    return _run(SFTTrainer, SFTConfig, student, plan, train_dataset=rows, peft_config=_adapter(plan))


def distillation(student: Language, text: Text, plan: TextPlan) -> Language:
    """Knowledge distillation on all logits of the teacher's replies: forward divergence, GKD without own replies."""
    return _gkd(student, text, plan, "distillation", own=0.0)


def on_policy(student: Language, text: Text, plan: TextPlan) -> Language:
    """On-policy distillation (Agarwal et al. 2024): forward divergence on replies that the student draws itself."""
    return _gkd(student, text, plan, "on_policy", own=1.0)


def verifiable_rewards(student: Language, text: Text, plan: TextPlan) -> Language:
    """Reinforcement by groups of replies and a program that grades them (GRPO, Shao et al. 2024)."""
    from datasets import Dataset
    from trl import GRPOConfig, GRPOTrainer

    reward = text.reward
    if reward is None:
        raise TextError("verifiable_rewards needs a reward")

    def graded(prompts: list[str], completions: list[str], **_: object) -> list[float]:
        return [reward(prompt, reply) for prompt, reply in zip(prompts, completions, strict=True)]

    rows = Dataset.from_dict({"prompt": list(text.prompts)})
    own = {"num_generations": min(8, plan.rows), "max_completion_length": plan.longest, "temperature": 1.0}
    return _run(
        GRPOTrainer,
        GRPOConfig,
        student,
        plan,
        own,
        train_dataset=rows,
        reward_funcs=graded,
        peft_config=_adapter(plan),
    )


def preference(student: Language, text: Text, plan: TextPlan) -> Language:
    """Direct preference optimisation on pairs that a teacher compared (DPO, Rafailov et al. 2023)."""
    from datasets import Dataset
    from trl import DPOConfig, DPOTrainer

    _need(text, "preference", replies=True, worse=True)
    rows = Dataset.from_dict(
        {"prompt": list(text.prompts), "chosen": list(text.replies), "rejected": list(text.worse)}
    )
    before = None if plan.adapter_rank else deepcopy(student.model)
    return _run(
        DPOTrainer, DPOConfig, student, plan, train_dataset=rows, ref_model=before, peft_config=_adapter(plan)
    )


TRAINERS: Mapping[str, Trainer] = {
    "imitation": imitation,
    "distillation": distillation,
    "on_policy": on_policy,
    "verifiable_rewards": verifiable_rewards,
    "preference": preference,
}
"""By the name of the method."""


def _gkd(student: Language, text: Text, plan: TextPlan, name: str, own: float) -> Language:
    from datasets import Dataset
    from trl.experimental.gkd import GKDConfig, GKDTrainer

    _need(text, name, replies=True)
    if text.teacher is None:
        raise TextError(f"{name} needs a teacher whose logits can be seen")
    rows = Dataset.from_dict({"prompt": list(text.prompts), "completion": list(text.replies)})
    more = {"lmbda": own, "beta": 0.0, "temperature": 1.0, "max_new_tokens": plan.longest}
    return _run(
        GKDTrainer, GKDConfig, student, plan, more, train_dataset=rows, teacher_model=text.teacher.model,
        data_collator=Rows(student.tokenizer), peft_config=_adapter(plan),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rows:
    """Puts prompts and replies into one batch, padded on the left, as GKD's trainer wants them."""

    tokenizer: Any

    def __call__(self, rows: Sequence[Mapping[str, str]]) -> dict[str, torch.Tensor]:
        """Tokens, what is no padding, labels of the replies alone, and the prompts by themselves."""
        prompts = [self._tokens(row["prompt"]) for row in rows]
        replies = [[*self._tokens(row["completion"]), self.tokenizer.eos_token_id] for row in rows]
        whole = [prompt + reply for prompt, reply in zip(prompts, replies, strict=True)]
        labels = [[IGNORED] * len(prompt) + reply for prompt, reply in zip(prompts, replies, strict=True)]
        pad = self.tokenizer.pad_token_id
        return {
            "input_ids": _left(whole, pad),
            "attention_mask": _left([[1] * len(row) for row in whole], 0),
            "labels": _left(labels, IGNORED),
            "prompts": _left(prompts, pad),
            "prompt_attention_mask": _left([[1] * len(row) for row in prompts], 0),
        }

    def _tokens(self, text: str) -> list[int]:
        found: list[int] = self.tokenizer(text, add_special_tokens=False)["input_ids"]
        return found


def _left(rows: Sequence[Sequence[int]], padding: int) -> torch.Tensor:
    longest = max(map(len, rows))
    return torch.tensor([[padding] * (longest - len(row)) + list(row) for row in rows])


def _run(
    trainer: Any,
    config: Any,
    student: Language,
    plan: TextPlan,
    own: Mapping[str, Any] | None = None,
    **given: Any,
) -> Language:
    """Make all steps and return the model, with its adapter added where it has one."""
    cpu = not torch.cuda.is_available()
    with tempfile.TemporaryDirectory(prefix="stillwatch-lab-") as folder:
        settings = config(
            output_dir=folder, max_steps=plan.steps, learning_rate=plan.rate, per_device_train_batch_size=plan.rows,
            lr_scheduler_type="cosine", use_cpu=cpu, bf16=not cpu, seed=plan.seed, report_to="none",
            save_strategy="no", logging_strategy="no", disable_tqdm=True, gradient_checkpointing=False,
            dataloader_pin_memory=not cpu, **(own or {}),
        )  # fmt: skip
        student.model.train()
        made = trainer(model=student.model, args=settings, processing_class=student.tokenizer, **given)
        made.train()
    model = made.accelerator.unwrap_model(made.model)
    if plan.adapter_rank:
        model = model.merge_and_unload()
    return Language(model.eval(), student.tokenizer)


def _adapter(plan: TextPlan) -> Any:
    if not plan.adapter_rank:
        return None
    from peft import LoraConfig

    return LoraConfig(
        r=plan.adapter_rank, lora_alpha=2 * plan.adapter_rank, lora_dropout=0.0, target_modules="all-linear",
        task_type="CAUSAL_LM",
    )  # fmt: skip


def _need(text: Text, name: str, *, replies: bool = False, worse: bool = False) -> None:
    for wanted, values, what in ((replies, text.replies, "replies"), (worse, text.worse, "worse replies")):
        if wanted and len(values) != len(text.prompts):
            raise TextError(
                f"{name} needs {what}, one a prompt: {len(values)} for {len(text.prompts)} prompts"
            )
