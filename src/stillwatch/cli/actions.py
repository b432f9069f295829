"""``stillwatch review actions``: what holds by now, for whoever enforces."""

from __future__ import annotations

from pathlib import Path

import typer

from stillwatch.cli.review import BY, STORE, noted, now, opened_store, who

OUT = typer.Option(..., "--out", metavar="FILE", help="JSON, for whoever enforces.")


def actions(out: Path = OUT, store: str = STORE, by: str | None = BY) -> None:
    """Write the actions that hold, for a gateway to read and keep."""
    from stillwatch.outputs import staged, write_json
    from stillwatch.report.wording import quantity
    from stillwatch.store.reading import snapshot

    with opened_store(store) as opened:
        held = snapshot(opened, now())
        with staged(out.parent, what=f"the actions {out}", seals=()) as stage:
            write_json(held.as_json(), stage / out.name)
        noted(opened, who(by), "actions.written", {"actions": len(held.actions)})
    typer.echo(f"{quantity(len(held.actions), 'action')} in {out}")
