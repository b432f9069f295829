"""The command line: one file a room, imported when its command runs, so that ``--help`` is quick."""

from __future__ import annotations

import sys

import typer

from stillwatch.cli import (
    actions,
    appeal,
    audit,
    calibrate,
    connect,
    demo,
    doctor,
    explain,
    fingerprint,
    lab,
    labels,
    policy,
    replay,
    retention,
    review,
    scan,
    serve,
    share,
    simulate,
    stream,
    token,
    watch,
    webhooks,
)

PURPOSE = (
    "Find the campaigns that are distilling your model through its API, prove it, and know what they took."
)

app = typer.Typer(
    name="stillwatch",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.command("scan")(scan.scan)
app.command("replay")(replay.replay)
app.command("watch")(watch.watch)
app.command("stream")(stream.stream)
app.command("calibrate")(calibrate.calibrate)
app.command("fingerprint")(fingerprint.fingerprint)
app.command("explain")(explain.explain)
app.command("simulate")(simulate.simulate)
app.command("demo")(demo.demo)
app.command("connect")(connect.connect)
app.command("doctor")(doctor.doctor)
app.command("export")(share.export)
app.command("import")(share.import_bundles)
app.command("serve")(serve.serve)
app.add_typer(lab.app, name="lab")
review.app.command("labels")(labels.labels)
review.app.command("actions")(actions.actions)
review.app.command("forget")(retention.forget)
review.app.command("expire")(retention.expire)
app.add_typer(review.app, name="review")
app.add_typer(policy.app, name="policy")
app.add_typer(webhooks.app, name="webhooks")
app.add_typer(appeal.app, name="appeal")
app.add_typer(audit.app, name="audit")
app.add_typer(token.app, name="token")


def _version(asked: bool) -> None:
    if asked:
        from stillwatch import __version__

        typer.echo(f"stillwatch {__version__}")
        raise typer.Exit


@app.callback(help=PURPOSE)
def _root(
    version: bool = typer.Option(
        False, "--version", callback=_version, is_eager=True, help="Print the version."
    ),
) -> None:
    """Take the options of the whole program."""


def main() -> None:
    """Run the command line; errors of ours become one line on standard error and exit code 2."""
    try:
        app()
    except Exception as error:
        from stillwatch.cli.errors import known_errors

        if not isinstance(error, known_errors()):
            raise
        typer.echo(f"stillwatch: {error}", err=True)
        sys.exit(2)
