"""``stillwatch fingerprint``: sketches at the edge, free of text."""

from __future__ import annotations

from pathlib import Path

import typer

from stillwatch.cli.scan import CIRCLE_KEY, FORMAT, IDENTITIES, KEY, LOGS, REJECT_SHARE
from stillwatch.cli.secret import key_of
from stillwatch.cli.stopping import tidily

SKETCHES = typer.Option(..., "--out", metavar="SKETCHES", help="Parquet file for the sketches.")


def fingerprint(
    logs: list[str] = LOGS,
    out: Path = SKETCHES,
    format: str = FORMAT,
    key: Path | None = KEY,
    identities: Path | None = IDENTITIES,
    reject_share: float = REJECT_SHARE,
    circle_key: Path | None = CIRCLE_KEY,
) -> None:
    """Write keyed sketches of a log, without its text; `scan` reads them like a log."""
    from stillwatch import keys
    from stillwatch.cli.progress import reading
    from stillwatch.outputs import OutputError, staged
    from stillwatch.rejects import RejectLog
    from stillwatch.sketching import Source, paths_of, write_sketches

    if out.is_dir():
        raise OutputError(f"cannot write the sketches {out}: it is a folder; name a file in it with --out")
    rejected = out.with_name(out.name + ".rejected.jsonl")
    secrets = keys.with_circle(key_of(key), circle_key)
    source = Source(paths_of(logs), format, identities)
    source.spare([out, rejected])
    with (
        tidily(),
        reading("Reading the log") as progress,
        staged(out.parent, what=f"the sketches {out}", seals=()) as stage,
        RejectLog(rejected, limit=reject_share, stage=stage) as rejects,
    ):
        rows = write_sketches(source, secrets, stage / out.name, rejects, progress)
    if not rejects.rejected:
        rejected.unlink(missing_ok=True)
    typer.echo(f"{rows:,} exchanges sketched into {out}; {rejects.rejected:,} records rejected")
