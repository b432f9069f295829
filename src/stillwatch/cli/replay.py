"""``stillwatch replay``: a log in, who would have been flagged when out."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from stillwatch.cli.scan import (
    CROWD,
    FORMAT,
    IDENTITIES,
    KEY,
    LABELS,
    LOGS,
    MEMORY,
    MIN_PRINCIPALS,
    OUT,
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
    from stillwatch.live.step import Looking

STEP = typer.Option("1h", "--step", metavar="TIME", help="Time between two looks: 30m, 1h, 1d.")
SOONER = typer.Option(
    6,
    "--sooner",
    min=1,
    help="Looks in that time where evidence comes near the bar and grows fast; 1 for no more than elsewhere.",
)
WINDOW = typer.Option(
    "30d", "--window", metavar="TIME", help="How far back exchanges are known; what is older is forgotten."
)
MARGIN = typer.Option(
    None,
    "--margin",
    metavar="BITS",
    min=0.0,
    help="Bits beyond the bar of a scan that an accusation takes, since there are many looks: 6, and none with a "
    "calibration.",
)
LOOKS = typer.Option(
    2, "--looks", min=1, help="Looks in a row at which it takes them, of a campaign and of who takes part."
)
CALIBRATION = typer.Option(
    None,
    "--calibration",
    metavar="FILE",
    help="Bar that `stillwatch calibrate --step` made on clean traffic, for all looks.",
)

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def duration_us(text: str, option: str, least_s: int = 60) -> int:
    """Microseconds of a duration such as ``90m``.

    >>> duration_us("1h", "--step")
    3600000000
    """
    found = re.fullmatch(r"(\d{1,6})([smhd])", text)
    seconds = int(found[1]) * _UNITS[found[2]] if found else 0
    if seconds < least_s:
        raise typer.BadParameter(
            f"{text!r} is no time of {least_s} s or more, such as 30m, 1h or 7d", param_hint=option
        )
    return seconds * 1_000_000


def looking_of(
    step: str, sooner: int, window: str, margin: float | None, looks: int, calibrated: bool,
    least_step_s: int = 60,
) -> Looking:  # fmt: skip
    """How to look, by the options of the command line: prudence where nothing is calibrated."""
    step_us, window_us = duration_us(step, "--step", least_step_s), duration_us(window, "--window", 86_400)
    from stillwatch.live.step import Looking

    usual = 0.0 if calibrated else Looking().margin_bits
    return Looking(step_us, window_us, usual if margin is None else margin, looks, sooner)


def replay(
    logs: list[str] = LOGS,
    out: Path = OUT,
    step: str = STEP,
    sooner: int = SOONER,
    window: str = WINDOW,
    margin: float | None = MARGIN,
    looks: int = LOOKS,
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
    calibration: Path | None = CALIBRATION,
    labels: Path | None = LABELS,
) -> None:
    """Look at a log as if it were happening, and write who is flagged when."""
    looking = looking_of(step, sooner, window, margin, looks, calibration is not None)
    from stillwatch.cli.progress import looking_at, reading
    from stillwatch.engine.memory import amount
    from stillwatch.live.replay import replay as run
    from stillwatch.live.replay import summary
    from stillwatch.sketching import Source, paths_of

    amount(memory)  # a size that is none should not cost the time of reading the log
    options = replace(
        options_of(
            registry, prior, min_principals, crowd, release=release, unsupported_region=unsupported_region,
            calibration=calibration, labels=labels,
        ),
        reject_share=reject_share,
        memory=memory,
    )  # fmt: skip
    with tidily(), reading("Reading the log") as progress, looking_at() as looked:
        result = run(
            Source(paths_of(logs), format, identities), out, key_of(key), options, looking, progress,
            looked,
        )  # fmt: skip
    typer.echo(summary(result))
    typer.echo(f"\n{out / 'flags.parquet'}")
