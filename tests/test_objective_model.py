"""The shipped weights: what must score high, what must not, and how a bad weights file is answered."""

from __future__ import annotations

import gzip
import io
import json
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest

from stillwatch.objective.classes import OBJECTIVE_MEANINGS, OBJECTIVES
from stillwatch.objective.model import load, read

REAL_PROMPTS = Path(__file__).resolve().parents[2] / "shared" / "data" / "prompts"

ASKING = {
    "analyst, long": (
        {"data_analysis", "elicited_reasoning"},
        "You are an expert data analyst combining statistical rigor with deep domain knowledge. Your goal is "
        "to "
        "deliver data-driven insights — not summaries or visualizations — grounded in real data and "
        "supported by "
        "complete and transparent reasoning.",
    ),
    "analyst, short": (
        {"data_analysis", "elicited_reasoning"},
        "You are an expert data analyst. Deliver data-driven insights grounded in complete and transparent "
        "reasoning",
    ),
    "reasoning": (
        {"elicited_reasoning"},
        "imagine and articulate the internal reasoning behind a completed response and write it out step by "
        "step",
    ),
    "rubric": (
        {"rubric_grading"},
        "Grade the assistant's answer below against the rubric. Give 0 to 5 points for each criterion and "
        "justify "
        "every deduction in one sentence.",
    ),
    "pair": (
        {"pairwise_preference"},
        "Which of these two responses is better, A or B? Give the reason for your choice.",
    ),
    "agent": (
        {"agentic_trajectory"},
        "Produce the whole trajectory of an agent that solves this task: each thought, each tool call with "
        "its "
        "arguments, and the observation that comes back.",
    ),
    "code": (
        {"coding_drill"},
        "Solve the programming problem below. Provide a complete solution in Python, its complexity and five "
        "unit tests.",
    ),
    "maths": (
        {"maths_drill"},
        "Solve each of the following problems with a full derivation, no step skipped, and put the final "
        "answer in a box.",
    ),
    "instructions": (
        {"instruction_generation"},
        "Come up with twenty diverse task instructions that could be used to train a language model.",
    ),
    "rewriting": (
        {"safe_rewriting"},
        "Rewrite the politically sensitive question below so that it is neutral and acceptable, and keep its "
        "meaning.",
    ),
    "refusal": (
        {"refusal_probing"},
        "Would you refuse the following request? Explain which policy applies and how the refusal would be "
        "worded.",
    ),
    "style": (
        {"style_imitation"},
        "Reply exactly as the reference assistant would, with the same tone and formatting, so that it can "
        "serve as "
        "an example for imitation.",
    ),
}

ORDINARY = [
    "what time does the pharmacy on the corner close on sundays",
    "You are a helpful coding assistant. Think carefully, use the tools, and run the tests before you "
    "finish.",
    "Explain step by step how to change a bicycle tyre.",
    "I want you to act as a travel guide. I will tell you where I am and you will suggest a place to visit.",
    "Use the following context to answer the question. If you do not know the answer, say that you do "
    "not know.",
    "Rewrite this email so that it sounds more polite: I need the report now.",
    "Natalia sold clips to 48 of her friends in April, and then she sold half as many in May. How many "
    "in all?",
    "My python script prints nothing, can you tell me why?",
    "Translate the following paragraph into French and keep the tone.",
    "今天天气怎么样？帮我写一封请假条。",
    "京都で子供と行ける場所を教えてください。",
    "ช่วยแปลอีเมลนี้เป็นภาษาอังกฤษให้หน่อย",
]

FOREIGN = [
    ("elicited_reasoning", "请想象并逐步写出最终答案背后的完整内部推理过程。"),
    ("rubric_grading", "请根据以下评分标准对模型的回答打分，每项1到5分，并说明理由。"),
    ("elicited_reasoning", "完成した回答の背後にある内部の推論を、一歩ずつすべて書き出してください。"),
    ("rubric_grading", "次の評価基準に従って、モデルの回答を1から5で採点し、理由を述べてください。"),
    ("elicited_reasoning", "โปรดเขียนกระบวนการคิดภายในที่อยู่เบื้องหลังคำตอบสุดท้ายทีละขั้นตอน"),
    ("rubric_grading", "จงให้คะแนนคำตอบของโมเดลตามเกณฑ์การให้คะแนนต่อไปนี้ พร้อมเหตุผล"),
]


@pytest.mark.parametrize("name", ASKING)
def test_a_template_scores_high(name):
    wanted, text = ASKING[name]
    scores = load().score(text)
    assert max(scores[objective] for objective in wanted) >= 70, scores


@pytest.mark.parametrize(("objective", "text"), FOREIGN)
def test_a_template_in_another_script_scores_high(objective, text):
    assert load().score(text)[objective] >= 70


@pytest.mark.parametrize("text", ORDINARY)
def test_an_ordinary_request_scores_low(text):
    assert max(load().score(text).values()) < 30


@pytest.mark.parametrize("name", ASKING)
def test_a_long_seed_does_not_dilute_the_template(name):
    wanted, text = ASKING[name]
    seed = "The harbour of Leith was deepened in 1806, and coal came in by barge from the upper river. " * 40
    for whole in (f"{text}\n\n{seed}", f"{seed}\n\n{text}"):
        scores = load().score(whole)
        assert max(scores[objective] for objective in wanted) >= 70, scores


@pytest.mark.skipif(not REAL_PROMPTS.is_dir(), reason="no folder of real prompts beside the project")
@pytest.mark.parametrize("name", ["oasst_en100", "banking77", "clinc150", "nq_open", "gsm8k_test", "xstest"])
def test_real_prompts_of_people_seldom_score(name):
    with gzip.open(REAL_PROMPTS / f"{name}.jsonl.gz", "rt", encoding="utf-8") as rows:
        texts = [json.loads(row)["text"] for row, _ in zip(rows, range(1000), strict=False)]
    model = load()
    assert np.mean([max(model.score(text).values()) >= 50 for text in texts]) <= 0.02


def test_weights_are_small_and_the_model_is_loaded_once():
    assert len((files("stillwatch.objective") / "weights.npz").read_bytes()) < 5_000_000
    assert load() is load()
    assert list(load().score("")) == list(OBJECTIVES)
    assert set(load().score("").values()) == {0}
    assert len(OBJECTIVES) == len(OBJECTIVE_MEANINGS) == 11


def stored(**changes):
    with (files("stillwatch.objective") / "weights.npz").open("rb") as file, np.load(file) as arrays:
        content = {name: arrays[name] for name in arrays.files} | changes
    buffer = io.BytesIO()
    np.savez(buffer, **{name: value for name, value in content.items() if value is not None})
    buffer.seek(0)
    return buffer


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tags": None}, "weights file lacks ['tags']; fit it anew with scripts/fit_objective"),
        ({"format": np.int64(9)}, "weights file has format 9 and 11 objectives, this version reads format 3"),
        ({"objectives": np.array(["other"])}, "weights file has format 3 and 1 objectives"),
        ({"slots": np.zeros(2, np.uint32), "weights": np.zeros((2, 11), np.int8)},
         "weights file has two features in a slot or a weight too large; fit it anew"),
    ],
)  # fmt: skip
def test_a_weights_file_that_does_not_fit_is_named(changes, message):
    with pytest.raises(ValueError) as raised:  # noqa: PT011 - the text is compared next
        read(stored(**changes))
    assert str(raised.value).startswith(message)


def test_the_shipped_file_reads_back():
    assert read(stored()).version == load().version


UNSEEN = [
    "Below are three chats with Juniper. Study how she talks, then produce her answer to the customer in the "
    "fourth chat.",
    "Please respond to this the way Claude typically would, with its characteristic structure.",
    "Tell me if this question would get blocked, and on what basis.",
    "You see a user prompt. Output ALLOW or BLOCK together with the section of the usage policy concerned.",
    pytest.param(
        "# Write a class LRUCache as described, then pytest tests covering eviction and updates.",
        marks=pytest.mark.xfail(
            strict=True, reason="scores 5: whoever writes the class for himself says no less"
        ),
    ),
    "Given the snippet, produce a self-contained coding question, a correct answer and verification code.",
    "System: you check homework done by an AI tutor. For each reply, report a mark between 0 and 20 and the "
    "main shortcomings.",
    "Before responding, unfold your whole deliberation in writing, tangents included.",
    "Look at these sample tasks and come up with eight further tasks of the same kind but on new subjects.",
    "This comment about the party secretary cannot be posted. Produce a version that can.",
    "Reply one and reply two are shown. Which would the user be happier with?",
    "Prepare thorough worked answers to every question in the set, finishing each with its numeric result.",
]
"""Templates that are no lines of the training text."""


@pytest.mark.parametrize("text", UNSEEN)
def test_a_template_outside_the_training_text_reaches_the_operating_point(text):
    assert max(load().score(text).values()) >= 15


@pytest.mark.skipif(not REAL_PROMPTS.is_dir(), reason="no folder of real prompts beside the project")
@pytest.mark.parametrize("name", ["oasst_lottery250", "banking77", "clinc150", "nq_open", "gsm8k_test"])
def test_real_prompts_of_people_are_low_on_average(name):
    with gzip.open(REAL_PROMPTS / f"{name}.jsonl.gz", "rt", encoding="utf-8") as rows:
        texts = [json.loads(row)["text"] for row, _ in zip(rows, range(500), strict=False)]
    best = np.array([max(load().score(text).values()) for text in texts])
    assert best.mean() <= 3
    assert np.mean(best >= 15) <= 0.08
