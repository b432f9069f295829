"""Language models: every trainer teaches a tiny Llama something, and models are cut and asked as they should be."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

pytest.importorskip("trl", reason="transformers and trl come with the extra [lab]")

import transformers  # its models are imported when a test asks for one, and by no other process of the tests
from tokenizers import Regex, Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Split

from stillwatch.lab.language.models import Language, LanguageError, load, pruned, replies
from stillwatch.lab.language.trainers import TRAINERS, Rows, Text, TextError, TextPlan
from stillwatch.lab.model import one_thread

LETTERS = "abcdefgh"
PROMPTS = [f"{letter}>" for letter in LETTERS]
RIGHT = [LETTERS[(place + 1) % len(LETTERS)] for place in range(len(LETTERS))]
WRONG = [LETTERS[(place + 3) % len(LETTERS)] for place in range(len(LETTERS))]
PLAN = TextPlan(steps=40, rate=1e-2, rows=8, longest=2)


def tokenizer():
    words = {word: place for place, word in enumerate(["<end>", "<pad>", ">", *LETTERS])}
    made = Tokenizer(WordLevel(words, unk_token="<pad>"))
    made.pre_tokenizer = Split(Regex("."), "isolated")
    return transformers.PreTrainedTokenizerFast(tokenizer_object=made, eos_token="<end>", pad_token="<pad>")


def llama(seed=0, layers=2):
    torch.manual_seed(seed)
    config = transformers.LlamaConfig(
        vocab_size=3 + len(LETTERS), hidden_size=32, intermediate_size=64, num_hidden_layers=layers,
        num_attention_heads=4, max_position_embeddings=16, bos_token_id=None, eos_token_id=0, pad_token_id=1,
    )  # fmt: skip
    return Language(transformers.LlamaForCausalLM(config).eval(), tokenizer())


def right(language):
    """Share of prompts with the right letter and nothing more."""
    found = replies(language, PROMPTS, longest=3)
    return sum(ours == wanted for ours, wanted in zip(found, RIGHT, strict=True)) / len(RIGHT)


def learned(name, start, text, plan=PLAN):
    with one_thread():
        return TRAINERS[name](start, text, plan)


@pytest.fixture(scope="module")
def teacher():
    return learned("imitation", llama(), Text(PROMPTS, RIGHT))


def warm():
    """A student that has seen a little: it writes letters, mostly wrong ones."""
    return learned("imitation", llama(seed=2), Text(PROMPTS, RIGHT), replace(PLAN, steps=3))


def test_imitation_teaches(teacher):
    assert right(llama()) < 0.4
    assert right(teacher) == 1.0


@pytest.mark.parametrize("name", ["distillation", "on_policy"])
def test_distillation_teaches_from_logits(name, teacher):
    student = llama(seed=1)
    assert right(student) < 0.4
    student = learned(name, student, Text(PROMPTS, replies(teacher, PROMPTS, 3), teacher=teacher))
    assert right(student) >= 0.9


def test_reinforcement_teaches_from_grades_alone():
    wanted = dict(zip(PROMPTS, RIGHT, strict=True))
    student = warm()
    before = right(student)
    text = Text(PROMPTS, reward=lambda prompt, reply: float(reply == wanted[prompt]))
    student = learned("verifiable_rewards", student, text, replace(PLAN, rate=1e-3, rows=32))
    assert before <= 0.6
    assert right(student) >= before + 0.3


def test_preference_moves_the_better_reply_above_the_worse():
    student = learned("imitation", llama(seed=3), Text(PROMPTS * 2, [*RIGHT, *WRONG]))
    before = right(student)
    student = learned("preference", student, Text(PROMPTS, RIGHT, WRONG), replace(PLAN, rate=3e-3, steps=80))
    assert before <= 0.8
    assert right(student) >= before + 0.2


def test_an_adapter_is_trained_and_added_to_the_weights():
    start = warm()
    before = right(start)
    untouched = start.model.model.embed_tokens.weight.clone()
    plan = replace(PLAN, adapter_rank=8, rate=2e-2)
    taught = learned("imitation", start, Text(PROMPTS, RIGHT), plan)
    assert right(taught) >= before + 0.3
    assert type(taught.model) is transformers.LlamaForCausalLM
    assert torch.equal(taught.model.model.embed_tokens.weight, untouched)


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("imitation", Text(PROMPTS, RIGHT[1:]), "imitation needs replies, one a prompt: 7 for 8 prompts"),
        ("preference", Text(PROMPTS, RIGHT), "preference needs worse replies, one a prompt: 0 for 8 prompts"),
        ("distillation", Text(PROMPTS, RIGHT), "distillation needs a teacher whose logits can be seen"),
        ("verifiable_rewards", Text(PROMPTS), "verifiable_rewards needs a reward"),
    ],
)
def test_a_trainer_says_what_it_lacks(name, text, told):
    with pytest.raises(TextError, match=told):
        TRAINERS[name](llama(), text, PLAN)


def test_a_batch_has_labels_for_replies_alone():
    batch = Rows(tokenizer())([{"prompt": "ab>", "completion": "c"}, {"prompt": "a>", "completion": "d"}])
    assert batch["input_ids"].tolist() == [[3, 4, 2, 5, 0], [1, 3, 2, 6, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1, 1], [0, 1, 1, 1, 1]]
    assert batch["labels"].tolist() == [[-100, -100, -100, 5, 0], [-100, -100, -100, 6, 0]]
    assert batch["prompts"].tolist() == [[3, 4, 2], [1, 3, 2]]


def test_a_pruned_model_keeps_first_and_last_layers_and_all_else():
    whole = llama(layers=5)
    small = pruned(whole, 3)
    for new, old in enumerate((0, 2, 4)):
        ours, theirs = (each.model.model.layers[place] for each, place in ((small, new), (whole, old)))
        assert torch.equal(ours.mlp.up_proj.weight, theirs.mlp.up_proj.weight)
    assert torch.equal(small.model.lm_head.weight, whole.model.lm_head.weight)
    assert len(whole.model.model.layers) == 5
    small.model.model.norm.weight.data.zero_()
    assert whole.model.model.norm.weight.any()
    with pytest.raises(
        LanguageError, match="a student of 6 layers cannot be cut from a model of 5; 2 to 5 can"
    ):
        pruned(whole, 6)


def test_a_model_is_read_back_from_its_folder_and_nothing_else_is(tmp_path, teacher):
    teacher.model.save_pretrained(tmp_path / "model")
    teacher.tokenizer.save_pretrained(tmp_path / "model")
    assert right(load(tmp_path / "model")) == 1.0
    with pytest.raises(LanguageError, match="is neither a folder nor a GGUF file; give --model"):
        load(tmp_path / "nothing.gguf")
    (tmp_path / "empty").mkdir()
    with pytest.raises(LanguageError, match="transformers cannot read"):
        load(tmp_path / "empty")
