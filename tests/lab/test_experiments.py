"""Experiments resume, repeat, and write what they promise; their numbers in the tree are those of the code."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
from dataclasses import replace
from html import unescape
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stillwatch.lab.countermeasures import all_countermeasures
from stillwatch.lab.experiments import all_experiments
from stillwatch.lab.experiments.outcomes import Outcomes
from stillwatch.lab.experiments.parts import OUTCOMES, Part, Setting
from stillwatch.lab.experiments.running import changed, run_experiment
from stillwatch.lab.experiments.workshop import Workshop
from stillwatch.lab.methods import all_methods
from stillwatch.lab.teacher import Schooling
from stillwatch.lab.training import Plan
from stillwatch.lab.world import CONDITIONS
from tests.lab.small import WORLD

ROOT = Path(__file__).resolve().parent.parent.parent
BRIEF = Plan(steps=12, rows=8, check_every=6)
TINY = Setting(
    seeds=2,
    world=WORLD,
    schooling=Schooling(
        width=16,
        layers=1,
        examples=80,
        explain=0.0,
        imitation=BRIEF,
        entropic=BRIEF,
        judge=BRIEF,
        reward=Plan(steps=3, rows=8),
    ),
    width=16,
    layers=1,
    plan=BRIEF,
    reinforcement=Plan(steps=2, rows=8),
    prompts=6,
    longest=60,
)
NAMES = sorted(name for name, each in all_experiments().items() if isinstance(each.setting, Setting))


def tiny(name):
    return replace(all_experiments()[name], setting=TINY, grid=(20, 40, 60))


def quiet(done, total, name):
    pass


class KilledError(Exception):
    pass


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """Results of runs in one piece, each made once; experiments share no parts here."""
    made = {}

    def result(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp(name)
            run_experiment(tiny(name), made[name], quiet)
        return made[name]

    return result


@pytest.mark.parametrize("name", NAMES)
def test_a_run_that_was_stopped_goes_on_and_ends_where_one_in_one_piece_ends(name, tmp_path, whole):
    last = len(tiny(name).parts()) - 1

    def stop(done, total, part):
        if done == min(4, last):
            raise KilledError

    with pytest.raises(KilledError):
        run_experiment(tiny(name), tmp_path, stop)
    assert not (tmp_path / name).exists()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "parts").rglob("*.*")}
    run_experiment(tiny(name), tmp_path, quiet)
    for path, at in kept.items():
        assert path.name == "setting.txt" or path.stat().st_mtime_ns == at
    for file in ("results.parquet", "summary.json", "index.html"):
        assert (tmp_path / name / file).read_bytes() == (whole(name) / name / file).read_bytes()


CHILD = """
import sys
from pathlib import Path
from stillwatch.lab.experiments.running import run_experiment
from tests.lab.test_experiments import tiny

run_experiment(tiny("attribution"), Path(sys.argv[1]), lambda done, total, name: print(done, flush=True))
"""


def test_a_process_that_is_killed_leaves_parts_that_the_next_one_goes_on_from(tmp_path, whole):
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    for line in child.stdout:
        if int(line) == 6:
            child.kill()
            break
    assert child.wait() == -signal.SIGKILL
    assert not (tmp_path / "attribution").exists()
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "parts").rglob("*.parquet")}
    assert len(kept) >= 6
    told = []
    run_experiment(tiny("attribution"), tmp_path, lambda done, total, name: told.append(done))
    assert all(path.stat().st_mtime_ns == at for path, at in kept.items())
    for file in ("results.parquet", "summary.json", "index.html"):
        assert (tmp_path / "attribution" / file).read_bytes() == (
            whole("attribution") / "attribution" / file
        ).read_bytes()


@pytest.mark.parametrize("name", NAMES)
def test_a_result_has_its_table_pictures_page_and_summary(name, whole):
    experiment = tiny(name)
    out = whole(name) / name
    table = pq.read_table(out / "results.parquet")
    assert table.schema.names == OUTCOMES.names
    assert set(table["seed"].to_pylist()) == {0, 1}
    records = json.loads((out / "summary.json").read_text("utf-8"))
    assert len(records) == len(experiment.conclude(Outcomes(table))) > 0
    for record in records:
        assert set(record) == {"claim", "seeds", "estimate", "low", "high", "verdict", "command"}
        assert record["low"] <= record["estimate"] <= record["high"]
        assert record["verdict"] == "undecided: 2 seeds, 9 are needed"
    pictures = experiment.pictures(Outcomes(table))
    for picture in pictures:
        drawn = (out / f"{picture.name}.svg").read_text("utf-8")
        seeds = sum(len(values) for series in picture.data["series"] for values in series["seeds"])
        hollow = [
            dot
            for dot in ElementTree.fromstring(drawn).iter("{http://www.w3.org/2000/svg}circle")
            if dot.get("fill") == "none"
        ]
        assert len(hollow) == seeds  # every seed is plotted
        assert (out / f"{picture.name}.png").read_bytes().startswith(b"\x89PNG")
    page = unescape((out / "index.html").read_text("utf-8"))
    assert experiment.claim in page
    assert page.count("<figure>") == len(pictures)
    assert "http://www.w3.org" not in page
    assert "://" not in page.replace("http-equiv", "")


def test_experiments_of_one_setting_share_their_parts_and_another_setting_has_its_own(tmp_path):
    workshop = Workshop(TINY, tmp_path)
    assert Workshop(TINY, tmp_path).students == workshop.students
    longer = Workshop(replace(TINY, plan=Plan(steps=13)), tmp_path)
    assert longer.students != workshop.students
    assert longer.teachers == workshop.teachers
    other = Workshop(replace(TINY, schooling=Schooling(width=8)), tmp_path)
    assert other.teachers != workshop.teachers


def test_both_arms_of_a_comparison_learn_from_the_same_exchanges(tmp_path):
    workshop = Workshop(TINY, tmp_path)
    whole = workshop.transcript("sharp", "10%")
    assert len(whole) == TINY.longest
    assert whole.values is not None
    assert whole.top_values is not None
    text, logits = (
        workshop.outcomes(Part("sharp", method, exchanges=40)) for method in ("imitation", "distillation")
    )
    assert text["seed"] == logits["seed"]
    assert text["hits"] != logits["hits"]


def test_an_experiment_keeps_everything_but_the_seeds():
    experiment = all_experiments()["logits-and-tokens"]
    other = changed(experiment, {"seeds": 3})
    assert other.setting == replace(experiment.setting, seeds=3)
    assert len(other.parts()) == len(experiment.parts())


RUN = [name for name in NAMES if (ROOT / "experiments" / "lab" / name / "summary.json").is_file()]


@pytest.mark.parametrize("name", RUN)
def test_a_committed_summary_is_what_the_committed_outcomes_say(name):
    folder = ROOT / "experiments" / "lab" / name
    experiment = all_experiments()[name]
    stored = json.loads((folder / "summary.json").read_text("utf-8"))
    outcomes = Outcomes(pq.read_table(folder / "results.parquet"))
    command = f"stillwatch lab run {name} --seeds {experiment.setting.seeds}"
    found = [conclusion.record(command) for conclusion in experiment.conclude(outcomes)]
    assert [record["claim"] for record in found] == [record["claim"] for record in stored]
    for ours, theirs in zip(found, stored, strict=True):
        assert ours["verdict"] == theirs["verdict"]
        assert ours["seeds"] == theirs["seeds"] >= 9
        for number in ("estimate", "low", "high"):
            assert ours[number] == pytest.approx(theirs[number], abs=2e-4)
    for picture in experiment.pictures(outcomes):
        assert (folder / f"{picture.name}.svg").exists()


def test_the_page_of_the_lab_names_every_method_and_experiment():
    page = (ROOT / "docs" / "lab.md").read_text("utf-8")
    methods, defences = (
        page.split(f"## {head}")[1].split("\n## ")[0] for head in ("Ways to train", "Countermeasures")
    )
    assert set(re.findall(r"^\| `(\w+)` \|", methods, re.MULTILINE)) == set(all_methods())
    assert set(re.findall(r"^\| `(\w+)` \|", defences, re.MULTILINE)) == set(all_countermeasures())
    for name in RUN:
        assert f"### {name}" in page
    assert set(NAMES) == set(RUN)


def test_what_the_control_loses_too_is_not_counted_against_the_safeguard():
    experiment = all_experiments()["skill-and-safeguard"]
    rng = np.random.default_rng(4)

    def planted(rates):
        rows = [
            {
                "teacher": part.teacher,
                "method": part.method,
                "mix": part.mix,
                "exchanges": part.exchanges,
                "seed": seed,
                "behaviour": behaviour,
                "condition": condition,
                "decoding": "greedy",
                "hits": (rng.random(64) < (rate if condition != "plain" else 0.95)).tolist(),
            }
            for part in experiment.parts()
            for behaviour, rate in rates.items()
            for condition in CONDITIONS
            for seed in range(9)
        ]
        table = Outcomes(pa.Table.from_pylist(rows, schema=OUTCOMES))
        return {
            one.claim.split(": ", 1)[1]: one for one in experiment.conclude(table) if "10% of" in one.claim
        }

    means = "safeguard less {}, change from plain, mean over all perturbations; 3200 exchanges, "
    setup = "10% of the exchanges to each safeguard and the control"
    losing = {"safeguard": 0.3, "safeguard_by_reward": 0.3}
    coverage = planted({"skill": 0.9, **losing, "control": 0.3})
    special = planted({"skill": 0.9, **losing, "control": 0.9})
    for found in (coverage, special):
        assert found[means.format("skill") + setup].estimate.value == pytest.approx(-0.6, abs=0.03)
        assert found[means.format("skill") + setup].verdict == "holds"
    same = coverage[means.format("matched control") + setup]
    assert same.verdict == "does not hold: no difference within 0.1"
    assert special[means.format("matched control") + setup].verdict == "holds"
