"""``stillwatch stream``: a folder that fills, or a topic, read by a cluster batch after batch."""

from __future__ import annotations

import signal
import threading
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from stillwatch.cli.given import refuse_without
from stillwatch.cli.replay import duration_us
from stillwatch.cli.scan import (
    CALIBRATION,
    CIRCLE_KEY,
    CROWD,
    IDENTITIES,
    KEY,
    LABELS,
    MEMORY,
    MIN_PRINCIPALS,
    PRIOR,
    REGISTRY,
    RELEASE,
    UNSUPPORTED,
    check,
    options_of,
)
from stillwatch.cli.secret import key_of

if TYPE_CHECKING:
    from stillwatch.streaming import Batch, Folder, Topic

LOG = typer.Argument(
    None, metavar="[FOLDER]", help="Folder into which files of a log are put. Workers see it under this name."
)
KAFKA = typer.Option(
    None, "--kafka", metavar="HOST:PORT,...", help="Read a topic of this Kafka; needs confluent-kafka."
)
TOPIC = typer.Option("exchanges", "--topic", help="The topic.")
STATE = typer.Option(
    ..., "--state", metavar="DIR",
    help="Folder that keeps what was taken in, as with `scan --state`; workers see it under this name.",
)  # fmt: skip
CHECKPOINT = typer.Option(
    ..., "--checkpoint", metavar="DIR",
    help="Folder in which Spark keeps which batches are done; belongs to the state.",
)  # fmt: skip
OUT = typer.Option(..., "--out", metavar="DIR", help="Folder for the result; made if need be.")
INTERVAL = typer.Option("10m", "--interval", metavar="TIME", help="Time between two batches: 30s, 10m, 1h.")
LOOK_EVERY = typer.Option(6, "--look-every", metavar="N", min=1, help="Batches from one look to the next.")
ONCE = typer.Option(
    False,
    "--once",
    help="Take in what there is now, look once, and end: for a scheduler that starts it again.",
)
MOST_FILES = typer.Option(1000, "--most-files", min=1, help="Files of a batch at most.")
MOST_RECORDS = typer.Option(1_000_000, "--most-records", min=1, help="Records of a topic in a batch at most.")
SPLIT = typer.Option(50_000, "--split", min=1, help="Records of a topic that one worker reads at a time.")
SET_ASIDE = typer.Option(
    False, "--set-aside",
    help="Go on where a file cannot be read at all: it is named in rejected.jsonl, and nothing of it counts.",
)  # fmt: skip
ENGINE = typer.Option("duckdb", "--engine", help="What measures at a look: duckdb, or spark for the cluster.")
FORMAT = typer.Option(
    "auto", "--format", help="Format of the log, or of the topic's records; found by itself."
)


def stream(
    context: typer.Context,
    log: Path | None = LOG,
    state: Path = STATE,
    checkpoint: Path = CHECKPOINT,
    out: Path = OUT,
    kafka: str | None = KAFKA,
    topic: str = TOPIC,
    interval: str = INTERVAL,
    look_every: int = LOOK_EVERY,
    once: bool = ONCE,
    most_files: int = MOST_FILES,
    most_records: int = MOST_RECORDS,
    split: int = SPLIT,
    set_aside: bool = SET_ASIDE,
    format: str = FORMAT,
    key: Path | None = KEY,
    identities: Path | None = IDENTITIES,
    registry: Path | None = REGISTRY,
    release: list[str] = RELEASE,
    unsupported_region: list[str] = UNSUPPORTED,
    prior: float = PRIOR,
    min_principals: int = MIN_PRINCIPALS,
    crowd: int = CROWD,
    memory: str = MEMORY,
    calibration: Path | None = CALIBRATION,
    labels: Path | None = LABELS,
    circle_key: Path | None = CIRCLE_KEY,
    engine: str = ENGINE,
) -> None:
    """Read a folder or a topic on a cluster as it fills, and keep the result of all of it up to date."""
    if (log is None) == (kafka is None):
        raise typer.BadParameter(
            "name a folder, or a topic with --kafka; one of the two", param_hint="FOLDER"
        )
    if kafka is None:
        refuse_without(context, "--kafka", "topic", "most_records", "split")
    else:
        refuse_without(context, "a folder", "most_files", "set_aside")
    interval_s = None if once else duration_us(interval, "--interval", 1) // 1_000_000
    check(engine, memory)
    from stillwatch import keys
    from stillwatch.bodies import check_format
    from stillwatch.identities import read_identities
    from stillwatch.streaming import Folder, Plan, Reading, Stream, Topic

    if identities is not None:
        read_identities(identities)  # a table that is none should not end the first batch
    source: Folder | Topic = (
        Folder(log, most_files) if log is not None else Topic(str(kafka), topic, most_records, split)
    )
    options = replace(
        options_of(
            registry, prior, min_principals, crowd, release=release, unsupported_region=unsupported_region,
            calibration=calibration, labels=labels,
        ),
        memory=memory,
        engine=engine,
    )  # fmt: skip
    reading = Reading(source, check_format(format), identities and identities.resolve(), set_aside)
    plan = Plan(state, checkpoint, out, interval_s, look_every)
    following = Stream(reading, plan, keys.with_circle(key_of(key), circle_key), options, _tell)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    result = following.run(stop)
    if once and result is not None:
        from stillwatch.report.summary import summary

        typer.echo(summary(result.overview, result.campaigns))
        typer.echo(f"\n{out / 'report.html'}")


def _tell(batch: Batch) -> None:
    """Print what became of a batch, on standard error."""
    what = "had been taken in before" if batch.again else f"{batch.exchanges:,} exchanges"
    looked = ""
    if batch.result is not None:
        found = sum(campaign["verdict"] == "extraction" for campaign in batch.result.campaigns)
        looked = f"; looked: {found:,} extraction campaign{'s' if found != 1 else ''}"
    typer.echo(
        f"stillwatch: batch {batch.number} of {batch.parts:,} parts: {what}, {batch.held:,} in all{looked}",
        err=True,
    )
