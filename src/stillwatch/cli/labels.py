"""``stillwatch review labels``: what people decided, for the next scan."""

from __future__ import annotations

from pathlib import Path

import typer

from stillwatch.cli.review import BY, STORE, noted, opened_store, who

OUT = typer.Option(..., "--out", metavar="FILE", help="Parquet, which a scan reads as its labels.")


def labels(out: Path = OUT, store: str = STORE, by: str | None = BY) -> None:
    """Write the decisions for the next scan, so that nobody who was cleared is accused again."""
    from stillwatch.calibration.labels import write_labels
    from stillwatch.outputs import staged
    from stillwatch.report.wording import quantity
    from stillwatch.store.reading import label_rows

    with opened_store(store) as opened:
        rows = label_rows(opened)
        with staged(out.parent, what=f"the labels {out}", seals=()) as stage:
            write_labels([*rows], stage / out.name)
        noted(opened, who(by), "labels.written", {"rows": len(rows)})
    typer.echo(f"{quantity(len(rows), 'decision')} in {out}")
