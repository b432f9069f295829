"""``stillwatch policy``: rules that propose, tried on the past first."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from stillwatch.cli.replay import CALIBRATION, LOOKS, MARGIN, SOONER, STEP, WINDOW, looking_of
from stillwatch.cli.review import AS_JSON, BY, STORE, WHY, now, opened_store, who
from stillwatch.cli.scan import (
    CROWD,
    FORMAT,
    IDENTITIES,
    KEY,
    LABELS,
    LOGS,
    MIN_PRINCIPALS,
    PRIOR,
    REGISTRY,
    REJECT_SHARE,
    options_of,
)

if TYPE_CHECKING:
    from stillwatch.response.policy import Policy

app = typer.Typer(
    no_args_is_help=True,
    rich_markup_mode=None,
    help="Rules that propose what to do about which case: checked, tried on the past, and taken up by people.",
)

FILE = typer.Argument(..., metavar="FILE", help="policy.toml.")
POLICY = typer.Option(..., "--policy", metavar="FILE", help="policy.toml with [[rules]].")
NUMBER = typer.Argument(..., metavar="NUMBER", help="Number of the proposal.")
TRUTH = typer.Option(
    [],
    "--truth",
    metavar="FILE",
    help="Parquet with exchange_id, operator_id and extraction, one for each log, in their order.",
)
DELAY = typer.Option(
    "4h", "--decided-within", metavar="TIME", help="Time that people take from a proposal to a decision."
)


@app.command("check")
def check(file: Path = FILE) -> None:
    """Read a policy, and say what it holds."""
    from stillwatch.response.policy import read_policy

    policy = read_policy(file)
    typer.echo(f"{file}: {len(policy.rules)} rules, hash {policy.digest}")
    for rule in policy.rules:
        typer.echo(f"  {rule.mode:7}  {rule.action:14}  {rule.name}")


@app.command("backtest")
def backtest(
    logs: list[str] = LOGS,
    policy: Path = POLICY,
    truth: list[Path] = TRUTH,
    labels: Path | None = LABELS,
    decided_within: str = DELAY,
    step: str = STEP,
    sooner: int = SOONER,
    window: str = WINDOW,
    margin: float | None = MARGIN,
    looks: int = LOOKS,
    format: str = FORMAT,
    key: Path | None = KEY,
    identities: Path | None = IDENTITIES,
    registry: Path | None = REGISTRY,
    prior: float = PRIOR,
    min_principals: int = MIN_PRINCIPALS,
    crowd: int = CROWD,
    reject_share: float = REJECT_SHARE,
    calibration: Path | None = CALIBRATION,
    as_json: bool = AS_JSON,
) -> None:
    """Say what the rules would have done over past logs: campaigns answered, leak fraction, innocents hit.

    A log is replayed first; the folder of a replay is taken as it is.
    """
    from stillwatch import keys
    from stillwatch.calibration.labels import read_labels
    from stillwatch.live.past import is_replay, past_of_log, past_of_replay
    from stillwatch.response import backtest as run
    from stillwatch.response.policy import span
    from stillwatch.sketching import Source, paths_of

    if truth and (len(truth) != len(logs) or any(is_replay(Path(log)) for log in logs)):
        raise typer.BadParameter(
            "give one truth for each log, and logs instead of replays", param_hint="--truth"
        )
    rules = _with_rules(policy)
    looking = looking_of(step, sooner, window, margin, looks, calibration is not None)
    options = replace(
        options_of(registry, prior, min_principals, crowd, calibration=calibration), reject_share=reject_share
    )
    loaded, truths = keys.load(key), dict(enumerate(truth))
    past = [
        past_of_replay(Path(log))
        if is_replay(Path(log))
        else past_of_log(
            Source(paths_of([log]), format, identities), loaded, options, looking, truths.get(place)
        )
        for place, log in enumerate(logs)
    ]
    decided = read_labels(labels) if labels else None
    tested = run.backtest(past, rules, span(decided_within), decided)
    if as_json:
        typer.echo(json.dumps(run.as_json(tested), indent=1))
    else:
        typer.echo("\n".join(run.lines(tested)))


@app.command("propose")
def propose(policy: Path = POLICY, store: str = STORE, by: str | None = BY, as_json: bool = AS_JSON) -> None:
    """Let the rules look at the open cases; what they propose waits for people, what is in the shadow is counted."""
    from stillwatch.store.proposals import propose as run

    rules = _with_rules(policy)
    with opened_store(store) as opened:
        made = run(opened, rules, who(by), now())
    if as_json:
        typer.echo(json.dumps(made, indent=1, default=str))
        return
    for one in made:
        typer.echo(_line(one))
    typer.echo(f"{len(made)} new")


@app.command("list")
def list_proposals(store: str = STORE, as_json: bool = AS_JSON) -> None:
    """List the proposals that wait for a person, and what each rule came to so far."""
    from stillwatch.store.proposals import counted, waiting

    with opened_store(store) as opened:
        rows, counts = waiting(opened), counted(opened)
    if as_json:
        typer.echo(json.dumps({"waiting": rows, "counts": counts}, indent=1, default=str))
        return
    for row in rows:
        typer.echo(_line(row))
    for one in counts:
        typer.echo(
            f"{one['rule']} of policy {one['digest'][:12]}: {one['proposals']:,} {one['state']}, "
            f"{one['principals']:,} principals, {one['expected_innocent']:.2g} innocent by expectation"
        )


@app.command("accept")
def accept(
    number: int = NUMBER, reason: str = WHY, policy: Path = POLICY, store: str = STORE, by: str | None = BY
) -> None:
    """Decide what a proposal says; a large one waits for a second person."""
    from stillwatch.response.policy import read_policy
    from stillwatch.store.proposals import accept as run

    with opened_store(store) as opened:
        decision = run(opened, number, who(by), reason, read_policy(policy), now())
    typer.echo(f"decision {decision}; see `stillwatch review show`")


@app.command("dismiss")
def dismiss(number: int = NUMBER, reason: str = WHY, store: str = STORE, by: str | None = BY) -> None:
    """Turn a proposal down."""
    from stillwatch.store.proposals import dismiss as run

    with opened_store(store) as opened:
        run(opened, number, who(by), reason, now())
    typer.echo(f"proposal {number} is turned down")


def _with_rules(path: Path) -> Policy:
    from stillwatch.response import ResponseError
    from stillwatch.response.policy import read_policy

    policy = read_policy(path)
    if not policy.rules:
        raise ResponseError(f"{path} has no rules; write at least one [[rules]]")
    return policy


def _line(one: dict[str, Any]) -> str:
    mark = "would have proposed" if one["state"] == "shadow" else "proposes"
    if one["state"] == "done":
        mark = "did" if one.get("decision_id") else "left alone"
    return (
        f"{one['id']}  {one['case_id']}  rule {one['rule']} {mark} {one['action']}: {one['principals']:,} "
        f"principals, {one['expected_innocent']:.2g} innocent by expectation"
    )
