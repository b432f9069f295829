"""Templates of families: kept with the scan that found them, given out for the families that a decision names."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pyarrow.parquet as pq
import sqlalchemy as sa
from sqlalchemy.engine import Connection

from stillwatch.response.template import Template
from stillwatch.store.tables import templates

FILE = "templates.parquet"
ROWS = 500
"""Templates that are written at once."""


def write_templates(connection: Connection, folder: Path, scan_id: int) -> None:
    """Keep the templates of a result; one of an earlier release has none, and decisions on its families hit nothing."""
    if not (folder / FILE).exists():
        return
    with pq.ParquetFile(folder / FILE) as file:
        for batch in file.iter_batches(ROWS):
            told = [
                {"scan_id": scan_id, "family_id": row["family_id"], "template": template_of(row).as_json()}
                for row in batch.to_pylist()
            ]
            if told:
                connection.execute(templates.insert(), told)


def read_templates(connection: Connection, family_ids: Iterable[str]) -> tuple[Template, ...]:
    """The template of each family by the latest scan that has one."""
    found = []
    for family_id in sorted(set(family_ids)):
        query = (
            sa.select(templates.c.template)
            .where(templates.c.family_id == family_id)
            .order_by(templates.c.scan_id.desc())
        )
        told = connection.execute(query.limit(1)).scalar()
        if told is not None:
            found.append(Template.from_json(family_id, told))
    return tuple(found)


def template_of(row: dict[str, object]) -> Template:
    """The template of a row of ``templates.parquet``."""
    fragments, weights = row["fragments"], row["weights"]
    assert isinstance(fragments, list)
    assert isinstance(weights, list)
    return Template(
        str(row["family_id"]),
        str(row["key"]),
        float(str(row["least_weight"])),
        int(str(row["least_fragments"])),
        dict(zip(fragments, weights, strict=True)),
    )
