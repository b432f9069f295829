"""``stillwatch watch``: traffic in, cases out, and an answer for gateways to what they ask."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import typer

from stillwatch.cli.replay import CALIBRATION, LOOKS, MARGIN, SOONER, STEP, WINDOW, looking_of
from stillwatch.cli.review import POLICY, STORE
from stillwatch.cli.scan import CROWD, KEY, LABELS, MEMORY, MIN_PRINCIPALS, PRIOR, REGISTRY, options_of

LISTEN = typer.Option("127.0.0.1:8470", "--listen", metavar="HOST:PORT", help="Address to listen on.")
TOKENS = typer.Option(
    None,
    "--tokens",
    metavar="FILE",
    envvar="STILLWATCH_TOKENS",
    help="Tokens of those who may ask, made with `stillwatch token add`. Without, this machine alone may, and all of it.",
)
IDENTITIES = typer.Option(
    None,
    "--identities",
    metavar="FILE",
    help="Mapping from what a gateway calls an account to the account; the one that scans are given.",
)
ACCOUNT_HEADER = typer.Option(
    "x-stillwatch-account", "--account-header", help="Header in which Envoy names the account."
)
END_USER_HEADER = typer.Option(
    "x-stillwatch-end-user", "--end-user-header", help="Header in which Envoy names the end user."
)
BODY = typer.Option(8 << 20, "--most-bytes", min=1024, help="Largest body of a question, in bytes.")
RATE = typer.Option(20_000, "--most-per-second", min=1, help="Requests of one token in a second at most.")
STATE = typer.Option(
    None,
    "--state",
    metavar="DIR",
    help="Take exchanges in, and keep their sketches in this folder. Without, decisions alone are answered.",
)
FORMAT = typer.Option("auto", "--format", metavar="NAME", help="Format of what is tailed, and of the topic.")
TAIL = typer.Option([], "--tail", metavar="FILE", help="Follow a file that a program appends to. May repeat.")
KAFKA = typer.Option(
    None, "--kafka", metavar="HOST:PORT,...", help="Read a topic of this Kafka; needs confluent-kafka."
)
TOPIC = typer.Option("exchanges", "--topic", help="The topic.")
GROUP = typer.Option("stillwatch", "--group", help="The group of consumers.")


def watch(
    listen: str = LISTEN,
    store: str = STORE,
    tokens: Path | None = TOKENS,
    key: Path | None = KEY,
    identities: Path | None = IDENTITIES,
    state: Path | None = STATE,
    format: str = FORMAT,
    tail: list[Path] = TAIL,
    kafka: str | None = KAFKA,
    topic: str = TOPIC,
    group: str = GROUP,
    step: str = STEP,
    sooner: int = SOONER,
    window: str = WINDOW,
    margin: float | None = MARGIN,
    looks: int = LOOKS,
    registry: Path | None = REGISTRY,
    prior: float = PRIOR,
    min_principals: int = MIN_PRINCIPALS,
    crowd: int = CROWD,
    memory: str = MEMORY,
    calibration: Path | None = CALIBRATION,
    labels: Path | None = LABELS,
    policy: Path | None = POLICY,
    account_header: str = ACCOUNT_HEADER,
    end_user_header: str = END_USER_HEADER,
    most_bytes: int = BODY,
    most_per_second: int = RATE,
) -> None:
    """Take traffic in, look at it as time goes on, and answer gateways what was decided."""
    if state is None and (tail or kafka):
        raise typer.BadParameter("what is taken in needs a folder to be kept in", param_hint="--state")
    looking = looking_of(step, sooner, window, margin, looks, calibration is not None, least_step_s=1)
    from stillwatch.live.extra import require

    require(kafka=kafka is not None)
    from stillwatch import keys
    from stillwatch.bodies import check_format
    from stillwatch.calibration.record import check
    from stillwatch.live.serving import Kafka, Setting, address, serve
    from stillwatch.response.policy import Policy, read_policy

    host, port = address(listen)
    loaded = keys.load(key)
    ticking = None
    if state is not None:
        from stillwatch.live.ticking import Ticking

        options = replace(
            options_of(registry, prior, min_principals, crowd, calibration=calibration, labels=labels),
            memory=memory,
        )
        if options.calibration is not None:
            check(options.calibration, options, looking.cadence)
        limits = read_policy(policy) if policy else Policy()
        ticking = Ticking(state, store, loaded, options, looking, limits)
    serve(
        Setting(
            store, tokens, host, port, identities, account_header, end_user_header, most_bytes, most_per_second,
            ticking=ticking, format=check_format(format), tails=tuple(tail),
            kafka=Kafka(kafka, topic, group) if kafka else None,
        ),
        loaded,
    )  # fmt: skip
