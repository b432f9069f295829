"""``stillwatch calibrate``: clean traffic in, a bar with a bounded error rate out."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from stillwatch.cli.given import refuse_without
from stillwatch.cli.replay import duration_us
from stillwatch.cli.scan import (
    CROWD,
    FORMAT,
    IDENTITIES,
    KEY,
    MEMORY,
    MIN_PRINCIPALS,
    PRIOR,
    REGISTRY,
    REJECT_SHARE,
    RELEASE,
    UNSUPPORTED,
    options_of,
)
from stillwatch.cli.secret import key_of
from stillwatch.cli.stopping import tidily

if TYPE_CHECKING:
    from stillwatch.calibration.blocks import Scored
    from stillwatch.calibration.record import Calibration

CLEAN = typer.Argument(
    ..., metavar="LOG...", help="Clean traffic: each file, folder, quoted pattern or sketch is a block."
)
BAR = typer.Option(..., "--out", metavar="FILE", help="JSON file for the calibration.")
ALPHA = typer.Option(
    0.05, "--alpha", help="Bound on the chance that any innocent campaign is accused in a scan."
)
STEP = typer.Option(
    None,
    "--step",
    metavar="TIME",
    help="For `replay` and `watch`: look at every block so often, as they will.",
)
SOONER = typer.Option(
    6, "--sooner", min=1, help="With --step: how many looks more where evidence comes near."
)
WINDOW = typer.Option("30d", "--window", metavar="TIME", help="With --step: the window of those looks.")
DAYS = typer.Option(
    None, "--days", metavar="D", min=1 / 24, help="Cut every log into consecutive blocks of D days."
)


def calibrate(
    context: typer.Context,
    logs: list[str] = CLEAN,
    out: Path = BAR,
    alpha: float = ALPHA,
    days: float | None = DAYS,
    step: str | None = STEP,
    sooner: int = SOONER,
    window: str = WINDOW,
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
    memory: str = MEMORY,
) -> None:
    """Calibrate the bar on blocks of clean traffic that are like the logs that will be scanned."""
    if days is not None and not math.isfinite(days):
        raise typer.BadParameter(f"{days:g} is no number of days; give one such as 7", param_hint="--days")
    looking = None
    if step is None:
        refuse_without(context, "--step", "sooner", "window")
    else:
        from stillwatch.live.step import Looking

        looking = Looking(duration_us(step, "--step"), duration_us(window, "--window", 86_400), sooner=sooner)
    from stillwatch.calibration import record
    from stillwatch.calibration.blocks import scanned_once, score_blocks
    from stillwatch.calibration.conformal import exactly
    from stillwatch.cli.progress import looking_at, reading
    from stillwatch.outputs import OutputError, staged
    from stillwatch.rejects import RejectLog
    from stillwatch.sketching import Source, paths_of

    paths = paths_of(logs)
    cadence = looking.cadence if looking else None
    exactly(alpha)  # before anything is read
    if days is None:
        record.refuse_too_few(len(paths), alpha, cadence)
    options = replace(
        options_of(
            registry, prior, min_principals, crowd, release=release, unsupported_region=unsupported_region
        ),
        reject_share=reject_share,
        memory=memory,
    )
    secret = key_of(key)
    if out.is_dir():
        raise OutputError(f"cannot write the calibration {out}: it is a folder; name a file in it with --out")
    rejected = out.with_name(out.name + ".rejected.jsonl")
    source = Source(paths, format, identities)
    source.spare([out, rejected])
    with (
        tidily(),
        reading("Reading the log") as progress,
        looking_at() as looked,
        staged(out.parent, what=f"the calibration {out}", seals=()) as stage,
        RejectLog(rejected, limit=reject_share, stage=stage) as rejects,
    ):
        scored: Scored = scanned_once
        if looking is not None:
            from stillwatch.live.clean import looked_at

            scored = looked_at(secret, looking, looked)
        shown = progress if looking is None else None
        blocks = score_blocks(paths, days, source, secret, options, rejects, shown, scored)
        made = record.calibrate(blocks, alpha, secret.name, options, cadence)
        record.write(made, stage / out.name)
    if not rejects.rejected:
        rejected.unlink(missing_ok=True)
    typer.echo(_summary(made, out))


def _summary(made: Calibration, out: Path) -> str:
    over = " over all looks" if made.cadence else ""
    lines = [
        f"{made.n} blocks of clean traffic, alpha {made.alpha:g}{over}: an accusation takes {made.threshold_bits:+.1f} "
        "bits, and more where something is in doubt",
        *(f"left out: {block.traffic.name}: {block.left_out}" for block in made.blocks if block.left_out),
        str(out),
    ]
    return "\n".join(lines)
