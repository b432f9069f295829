"""``stillwatch scan``: a log in, campaigns with their evidence out."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from stillwatch.cli.given import given, refuse_without
from stillwatch.cli.secret import key_of
from stillwatch.cli.stopping import tidily
from stillwatch.engine.memory import DEFAULT

if TYPE_CHECKING:
    from stillwatch.examine import Options
    from stillwatch.findings import Result
    from stillwatch.keys import Keys
    from stillwatch.peers import Peers
    from stillwatch.state import Taken

CAMPAIGN_FOUND = 3
"""Exit code of ``--exit-code`` where an extraction campaign was found."""


def _number(value: float) -> float:
    """Refuse NaN, which lies within any bounds and makes every verdict none."""
    if math.isnan(value):
        raise typer.BadParameter("nan is no number; give one within the bounds")
    return value


LOGS = typer.Argument(
    ...,
    metavar="LOG...",
    help="Files, folders or patterns, on disk or s3://BUCKET/KEY: a log, or sketches of one, but not both.",
)
OUT = typer.Option(..., "--out", metavar="DIR", help="Folder for the result; made if need be.")
OUT_OR_NONE = typer.Option(
    None,
    "--out",
    metavar="DIR",
    help="Folder for the result; made if need be. With --state it may be left out: the log is then taken in and no more.",
)
FORMAT = typer.Option("auto", "--format", help="Format of the log; found by itself.")
KEY = typer.Option(None, "--key", metavar="FILE", help="Secret key; made at first use, mode 0600.")
IDENTITIES = typer.Option(
    None, "--identities", metavar="FILE", help="Table that maps keys of the log to accounts."
)
REGISTRY = typer.Option(
    None, "--registry", metavar="FILE", help="TOML: which organizations may do what until when."
)
RELEASE = typer.Option(
    [],
    "--release",
    metavar="MODEL=TIME",
    help="When a model was released (ISO 8601): who moves to it at once is compared, and timelines mark it; may "
    "repeat. Without, the first use of a model that comes up well inside the log counts.",
)
UNSUPPORTED = typer.Option(
    [],
    "--unsupported-region",
    metavar="CC",
    help="Country that is not served, ISO 3166-1 alpha-2; calls from it count in reach. May repeat.",
)
PRIOR = typer.Option(
    5e-2,
    "--prior",
    min=1e-9,
    max=0.5,
    callback=_number,
    help="P(extraction) of a shared text that asks for training data, before it is measured.",
)
MIN_PRINCIPALS = typer.Option(8, "--min-principals", min=2, help="Principals that make a text shared.")
CROWD = typer.Option(
    20_000, "--crowd", min=1,
    help="Principals of a log beyond which more make a text shared, as the cube root, and texts that can be no campaign are "
    "not measured in full.",
)  # fmt: skip
REJECT_SHARE = typer.Option(
    0.01,
    "--reject-share",
    min=0.0,
    max=1.0,
    callback=_number,
    help="Share of malformed records that ends the run.",
)
SHOW_TEXT = typer.Option(
    False,
    "--show-text",
    help="Print what fills the templates in the report, unmasked; addresses, keys and numbers stay redacted.",
)
SKETCH_ONLY = typer.Option(
    False, "--sketch-only", help="Write nothing of any text: the report has no examples."
)
MEMORY = typer.Option(DEFAULT, "--memory", help="Memory that the run may take, such as 4GB.")
STATE = typer.Option(
    None,
    "--state",
    metavar="DIR",
    help="Folder that keeps what was scanned, made if need be: the next run reads its own day's log alone, and the "
    "result is of all that was taken in.",
)
CALIBRATION = typer.Option(
    None, "--calibration", metavar="FILE", help="Bar that `stillwatch calibrate` made on clean traffic."
)
LABELS = typer.Option(None, "--labels", metavar="FILE", help="Parquet: what people decided before.")
SHADOW = typer.Option(
    0, "--shadow", metavar="N", min=0, help="Families below the threshold that are drawn for review."
)
EXIT_CODE = typer.Option(
    False,
    "--exit-code",
    help=f"Leave with code {CAMPAIGN_FOUND} where an extraction campaign was found, for scripts.",
)
CIRCLE_KEY = typer.Option(
    None,
    "--circle-key",
    metavar="FILE",
    help="Key that is shared with peers; the result can then be exported to them.",
)
PEERS = typer.Option(
    [], "--peers", metavar="FILE", help="What `stillwatch import` kept of peers' bundles; may repeat."
)
PEER_BITS = typer.Option(
    4.0, "--peer-bits", min=0.0, max=4.0, callback=_number, help="Bits that a peer's word weighs at most."
)
ENGINE = typer.Option("duckdb", "--engine", help="duckdb, or spark for a cluster that reads and measures.")


LOOKING = (
    "registry", "release", "unsupported_region", "prior", "crowd", "show_text", "sketch_only", "calibration", "labels",
    "shadow", "peers", "peer_bits",
)  # fmt: skip
"""Parameters of a look, which taking in alone has no use for."""


def scan(
    context: typer.Context,
    logs: list[str] = LOGS,
    out: Path | None = OUT_OR_NONE,
    format: str = FORMAT,
    key: Path | None = KEY,
    identities: Path | None = IDENTITIES,
    registry: Path | None = REGISTRY,
    release: list[str] = RELEASE,
    unsupported_region: list[str] = UNSUPPORTED,
    prior: float = PRIOR,
    min_principals: int = MIN_PRINCIPALS,
    crowd: int = CROWD,
    reject_share: float = REJECT_SHARE,
    show_text: bool = SHOW_TEXT,
    sketch_only: bool = SKETCH_ONLY,
    memory: str = MEMORY,
    state: Path | None = STATE,
    calibration: Path | None = CALIBRATION,
    labels: Path | None = LABELS,
    shadow: int = SHADOW,
    circle_key: Path | None = CIRCLE_KEY,
    peers: list[Path] = PEERS,
    peer_bits: float = PEER_BITS,
    exit_code: bool = EXIT_CODE,
    engine: str = ENGINE,
) -> None:
    """Find extraction campaigns in a log and write the result into a folder."""
    if out is None and state is None:
        raise typer.BadParameter("name a folder for the result, or one with --state", param_hint="--out")
    check(engine, memory)
    if out is None:
        refuse_without(context, "--out", "exit_code")
    if not peers:
        refuse_without(context, "--peers", "peer_bits")
    if show_text and sketch_only:
        raise typer.BadParameter(
            "--sketch-only writes no text and --show-text shows it; give one of them",
            param_hint="--sketch-only",
        )
    from stillwatch import keys
    from stillwatch.cli.progress import reading
    from stillwatch.engine.memory import amount
    from stillwatch.scan import scan as run
    from stillwatch.scan import take_in
    from stillwatch.sketching import Source, paths_of

    amount(memory)  # a size that is none should not cost the time of reading the log
    told = options_of(
        registry, prior, min_principals, crowd, release=release, unsupported_region=unsupported_region,
        calibration=calibration, labels=labels,
    )  # fmt: skip
    secrets = keys.with_circle(key_of(key), circle_key)
    options = replace(
        told,
        reject_share=reject_share,
        show_text=show_text,
        sketch_only=sketch_only,
        memory=memory,
        engine=engine,
        shadow=shadow,
        peers=heard(peers, secrets),
        peer_bits=peer_bits,
    )
    source = Source(paths_of(logs), format, identities)
    with tidily(), reading("Reading the log") as progress:
        if out is not None:
            result = run(source, out, secrets, options, progress, state)
        elif state is not None:
            taken = take_in(source, secrets, options, state, progress)
    if out is None:
        typer.echo(f"{len(taken.rows):,} exchanges were taken in; {state} holds {taken.held:,}")
        if unused := given(context, LOOKING):
            typer.echo(f"without --out nothing is looked at; {', '.join(unused)} had no effect")
        _tell_of_repetition(taken)
        from stillwatch.notices import of_tables

        for notice in of_tables(taken.tables):
            typer.echo(f"stillwatch: {notice}", err=True)
        return
    _tell(result, out)
    if exit_code and any(campaign["verdict"] == "extraction" for campaign in result.campaigns):
        raise typer.Exit(CAMPAIGN_FOUND)


def _tell(result: Result, out: Path) -> None:
    """Print what was found, and where."""
    from stillwatch.report.summary import summary

    typer.echo(summary(result.overview, result.campaigns))
    typer.echo(f"\n{out / 'report.html'}")
    if result.taken is not None:
        _tell_of_repetition(result.taken)
    if (unlike := result.overview["guarantee"]["calibration"]) and unlike["differences"]:
        typer.echo(f"stillwatch: warning: {result.overview['guarantee']['statement']}", err=True)


def _tell_of_repetition(taken: Taken) -> None:
    if taken.before:
        typer.echo(
            f"stillwatch: {taken.before:,} of the {taken.files:,} files of the log had been taken in before, "
            "or hold the same as another, and count once",
            err=True,
        )


def heard(files: list[Path], secrets: Keys) -> Peers | None:
    """What peers said, of one or several files, without what this house said itself."""
    from stillwatch.peers import identity_of, merge, read_peers

    if not files:
        return None
    parts = [read_peers(file, secrets.circle_name) for file in files]
    return merge(parts[0].circle, parts, identity_of(secrets.name))


def check(engine: str, memory: str) -> None:
    """Refuse what can be told to be wrong before the log is read."""
    from stillwatch.engine.duckdb import DuckDBEngine
    from stillwatch.engine.named import ENGINES

    if engine not in ENGINES:
        raise typer.BadParameter(
            f"{engine!r} is not here; the engines are: {', '.join(ENGINES)}", param_hint="--engine"
        )
    DuckDBEngine(memory).close()  # a size that is none should not cost the time of reading the log


def options_of(
    registry: Path | None, prior: float, min_principals: int, crowd: int, *, release: Sequence[str] = (),
    unsupported_region: Sequence[str] = (), calibration: Path | None = None, labels: Path | None = None,
) -> Options:  # fmt: skip
    """What an examination is told by the options that commands have in common, with their files read."""
    from stillwatch.calibration.labels import read_labels
    from stillwatch.calibration.record import read as read_calibration
    from stillwatch.examine import Options
    from stillwatch.families.assign import Rule
    from stillwatch.registry import Registry, read_registry
    from stillwatch.verdict import Bar

    return Options(
        rule=Rule(least_principals=min_principals, crowd=crowd),
        bar=Bar(prior=prior),
        registry=read_registry(registry) if registry else Registry(),
        releases=releases_of(release),
        unsupported_regions=frozenset(map(_region, unsupported_region)),
        calibration=read_calibration(calibration) if calibration else None,
        labels=read_labels(labels) if labels else None,
    )


def releases_of(texts: Sequence[str]) -> dict[str, datetime]:
    """When models were released; each at one time."""
    found: dict[str, datetime] = {}
    for model, at in map(release_of, texts):
        if found.setdefault(model, at) != at:
            raise typer.BadParameter(
                f"{model} is given two times of release, {found[model].isoformat()} and {at.isoformat()}; give one",
                param_hint="--release",
            )
    return found


def _region(text: str) -> str:
    from stillwatch.countries import code_of

    try:
        return code_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--unsupported-region") from None


def release_of(text: str) -> tuple[str, datetime]:
    """Model and time of a release, as the command line gives them."""
    model, separator, time = text.partition("=")
    try:
        at = datetime.fromisoformat(time)
    except ValueError:
        separator = ""
    if not separator or not model:
        raise typer.BadParameter(
            f"{text!r} is not MODEL=TIME, such as large-2=2026-03-01T17:00:00Z", param_hint="--release"
        )
    return model, at if at.tzinfo else at.replace(tzinfo=UTC)
