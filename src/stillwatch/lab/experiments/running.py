"""Run an experiment, part by part, and write its result."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import fields, replace
from pathlib import Path

import pyarrow as pa

from stillwatch.lab import LabError
from stillwatch.lab.experiments import Experiment
from stillwatch.lab.experiments.outcomes import Outcomes
from stillwatch.lab.experiments.parts import Conclusion, Picture
from stillwatch.outputs import staged, write_json, write_table
from stillwatch.report.charts import draw_experiment
from stillwatch.report.experiment import render_experiment

SEALS = ("summary.json", "index.html")
PARTS = "parts"
WIDTH = 720
PNG_SCALE = 2


class SettingError(LabError):
    """An experiment that was given what it has no use for."""


def run_experiment(
    experiment: Experiment, out: Path, tell: Callable[[int, int, str], None]
) -> list[Conclusion]:
    """Make what is missing of an experiment's parts, draw the conclusions and write them into ``out``.

    A run that was killed goes on where it was: parts lie in ``out/parts`` and are shared by experiments of one
    setting; the result goes into ``out/NAME``.

    Args:
        experiment: what to run.
        out: folder of results.
        tell: told the parts that are done, all parts, and the name of the next; where several processes train together,
            in the first.
    """
    if not first_process():
        tell = _silent
    workshop = experiment.made_by(experiment.setting, out / PARTS)
    parts = experiment.parts()
    tables = []
    for done, part in enumerate(parts):
        tell(done, len(parts), part.name)
        tables.append(workshop.outcomes(part))
    tell(len(parts), len(parts), "")
    outcomes = Outcomes(pa.concat_tables(tables))
    conclusions, pictures = experiment.conclude(outcomes), experiment.pictures(outcomes)
    if first_process():
        _write(experiment, outcomes, conclusions, pictures, out / experiment.name)
    return conclusions


def _silent(done: int, total: int, name: str) -> None:
    """Tell nobody."""


def first_process() -> bool:
    """Whether this process writes: the only one, or the first of those that `accelerate launch` started."""
    return int(os.environ.get("RANK", "0")) == 0


def _write(
    experiment: Experiment,
    outcomes: Outcomes,
    conclusions: list[Conclusion],
    pictures: list[Picture],
    out: Path,
) -> None:
    command = f"stillwatch lab run {experiment.name} --seeds {experiment.setting.seeds}"
    records = [conclusion.record(command) for conclusion in conclusions]
    facts = {
        "command": command,
        "setting": str(experiment.setting),
        "seeds": "each seed is a world of its own: teacher, transcript and student",
    }
    with staged(out, what=f"the result of {experiment.name} into {out}", seals=SEALS) as stage:
        write_table(outcomes.table, stage / "results.parquet")
        for picture in pictures:
            drawn = draw_experiment(picture.name, picture.data, WIDTH)
            (stage / f"{picture.name}.svg").write_text(drawn, encoding="utf-8")
            (stage / f"{picture.name}.png").write_bytes(_png(drawn))
        told = [
            {"name": picture.name, "caption": picture.caption, "data": picture.data} for picture in pictures
        ]
        page = render_experiment(experiment.claim, records, told, facts)
        (stage / "index.html").write_text(page, encoding="utf-8")
        write_json(records, stage / "summary.json")


def _png(drawn: str) -> bytes:
    import resvg_py

    return bytes(
        resvg_py.svg_to_bytes(svg_string=drawn, zoom=PNG_SCALE, background="white", font_family="sans-serif")
    )


def changed(experiment: Experiment, given: Mapping[str, object]) -> Experiment:
    """The same experiment with other values of its setting, such as ``seeds``.

    Raises:
        SettingError: its setting has no such value.
    """
    known = {each.name for each in fields(experiment.setting)}
    for name in given:
        if name not in known:
            raise SettingError(f"{experiment.name} takes no --{name}; leave it out")
    made: Experiment = replace(experiment, setting=replace(experiment.setting, **given))  # type: ignore[type-var]
    return made
