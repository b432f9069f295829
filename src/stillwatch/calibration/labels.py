"""``labels.parquet``: what people decided about campaigns, families and principals, read back by a scan.

One row is one decision. A later decision on the same subject takes the place of an earlier one. Nobody's name is
kept: a column that the schema does not have is refused.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

DECISIONS = ("extraction", "innocent", "licensed", "unsure")
APPEALS = ("upheld", "reversed")
SOURCES = ("review", "shadow", "appeal", "registry")


@dataclass(frozen=True, slots=True)
class LabelColumn:
    """One column of ``labels.parquet``."""

    name: str
    type: pa.DataType
    required: bool
    """The column must be there and hold a value in every row."""

    meaning: str
    allowed: tuple[str, ...] = ()
    """Values that it may have, where it is one of a few words."""


COLUMNS = (
    LabelColumn("decision", pa.string(), True, "what was decided of the subject", DECISIONS),
    LabelColumn(
        "appeal",
        pa.string(),
        False,
        "outcome of an appeal: the decision stands, or it does not; null: none",
        APPEALS,
    ),
    LabelColumn("source", pa.string(), True, "what the decision came from", SOURCES),
    LabelColumn(
        "campaign_id",
        pa.string(),
        False,
        "the campaign that was decided on; not read where family_id is given",
    ),
    LabelColumn(
        "family_id", pa.string(), False, "the family that was decided on, or by which a principal was accused"
    ),
    LabelColumn(
        "account_id",
        pa.string(),
        False,
        "the account that was decided on; null: the whole campaign or family",
    ),
    LabelColumn("end_user_id", pa.string(), False, "that account's end user, where the principal is one"),
    LabelColumn("decided_at", pa.timestamp("us", tz="UTC"), True, "when it was decided"),
    LabelColumn(
        "inclusion_probability",
        pa.float64(),
        False,
        "of a `shadow` row: copied from `shadow.parquet`, in (0, 1]",
    ),
)
"""Columns in order; a row names a campaign, a family or an account."""

LABELS = pa.schema([(column.name, column.type) for column in COLUMNS])


class LabelsError(Exception):
    """Labels that cannot be read; the text names file, row and remedy."""


class Standing(StrEnum):
    """What a decision amounts to after its appeal."""

    EXTRACTION = "extraction"
    INNOCENT = "innocent"
    LICENSED = "licensed"
    UNSURE = "unsure"
    OVERTURNED = "overturned"
    """A decision other than extraction that was reversed: nothing is decided."""


CLEARED = (Standing.INNOCENT, Standing.LICENSED)
"""Decisions that stand against an accusation."""

SUBJECT = ("campaign_id", "family_id", "account_id", "end_user_id")
"""Columns that name what was decided on; an empty text names nothing, as null does."""

Subject = tuple[str | None, str | None, str | None, str | None]
"""Campaign, family, account and end user. Of campaign and family one is given at most: the family is the narrower."""


@dataclass(frozen=True, slots=True)
class Label:
    """One decision."""

    decision: str
    appeal: str | None
    source: str
    subject: Subject
    decided_at: dt.datetime
    inclusion_probability: float | None

    @property
    def standing(self) -> Standing:
        """The decision after its appeal: who was accused and won is innocent."""
        if self.appeal != "reversed":
            return Standing(self.decision)
        return Standing.INNOCENT if self.decision == "extraction" else Standing.OVERTURNED

    @property
    def clears(self) -> bool:
        """Whether it stands against an accusation."""
        return self.standing in CLEARED

    @property
    def order(self) -> tuple[dt.datetime, bool, str, str]:
        """Decisions on the same people in this order: the last one stands, and of several at one time one that clears."""
        return self.decided_at, self.clears, self.standing, self.appeal or ""


@dataclass(frozen=True, slots=True)
class Labels:
    """The standing decisions of a file: the last one on each subject."""

    labels: tuple[Label, ...]

    def about_groups(self) -> list[Label]:
        """Decisions on campaigns and families as a whole, the one that stands over the others last."""
        return sorted(
            (label for label in self.labels if label.subject[2] is None), key=lambda label: label.order
        )

    def about_principals(self) -> list[Label]:
        """Decisions on accounts and end users, the one that stands over the others last."""
        return sorted(
            (label for label in self.labels if label.subject[2] is not None), key=lambda label: label.order
        )


def read_labels(path: Path) -> Labels:
    """The standing decisions of a Parquet file. Raises :class:`LabelsError` with row and remedy.

    Of two decisions on one subject the later one stands; at the same time they must agree.
    """
    last: dict[Subject, tuple[int, Label]] = {}
    for row, values in enumerate(_table(path).to_pylist(), 1):
        label = _label(f"{path}, row {row}", values)
        earlier = last.get(label.subject)
        if earlier is not None and earlier[1].decided_at == label.decided_at and earlier[1] != label:
            raise LabelsError(
                f"{path}, rows {earlier[0]} and {row}: two decisions on one subject at the same time; keep the one that "
                "stands, or give the later one a later decided_at"
            )
        if earlier is None or earlier[1].decided_at <= label.decided_at:
            last[label.subject] = row, label
    return Labels(tuple(label for _, label in last.values()))


def write_labels(rows: list[Mapping[str, Any]], path: Path) -> None:
    """Write decisions as a file that :func:`read_labels` reads; a missing key is null."""
    columns = {column.name: [row.get(column.name) for row in rows] for column in COLUMNS}
    pq.write_table(pa.table(columns, schema=LABELS), path, compression="zstd", store_schema=False)


def _table(path: Path) -> pa.Table:
    try:
        table = pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise LabelsError(
            f"cannot read the labels {path}: give a Parquet file of the documented columns"
        ) from error
    known = {column.name for column in COLUMNS}
    if unknown := sorted(set(table.column_names) - known):
        raise LabelsError(
            f"{path}: unknown column {', '.join(unknown)}; allowed are {', '.join(sorted(known))}. Leave the others out: "
            "who decided is not kept"
        )
    columns = {}
    for column in COLUMNS:
        if column.name not in table.column_names:
            if column.required:
                raise LabelsError(f"{path}: the column {column.name} is missing; add it as {column.type}")
            columns[column.name] = pa.nulls(table.num_rows, column.type)
            continue
        columns[column.name] = _cast(path, column, table[column.name])
    return pa.table(columns, schema=LABELS)


def _cast(path: Path, column: LabelColumn, values: pa.ChunkedArray) -> pa.ChunkedArray:
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    fits = {
        pa.string(): pa.types.is_string(kind) or pa.types.is_large_string(kind),
        pa.float64(): pa.types.is_floating(kind),
        pa.timestamp("us", tz="UTC"): pa.types.is_timestamp(kind) and kind.tz is not None,
    }[column.type]
    if not fits and not pa.types.is_null(kind):
        raise LabelsError(f"{path}: the column {column.name} is {kind}; write it as {column.type}")
    return values.cast(column.type, safe=False)


def _label(where: str, row: Mapping[str, Any]) -> Label:
    for column in COLUMNS:
        value = row[column.name]
        if value is None and column.required:
            raise LabelsError(f"{where}: {column.name} is null; every label needs one")
        if column.allowed and value is not None and value not in column.allowed:
            raise LabelsError(
                f"{where}: {column.name} is none of the allowed words; write {', '.join(column.allowed)}"
                + ("" if column.required else " or null")
            )
    campaign, family, account, user = (row[name] or None for name in SUBJECT)
    if not (campaign or family or account):
        raise LabelsError(f"{where}: it names no subject; give a campaign_id, a family_id or an account_id")
    if user is not None and account is None:
        raise LabelsError(f"{where}: an end_user_id without the account_id that it belongs to; give both")
    probability = row["inclusion_probability"]
    if (row["source"] == "shadow") != (probability is not None):
        raise LabelsError(
            f"{where}: rows from shadow, and only they, have an inclusion_probability; copy it from shadow.parquet"
        )
    if probability is not None and (family is None or account is not None):
        raise LabelsError(
            f"{where}: a row from shadow is about a family as a whole; give family_id and no account_id"
        )
    if probability is not None and not (0 < probability <= 1 and math.isfinite(probability)):
        raise LabelsError(f"{where}: inclusion_probability is {probability:g}; it must lie in (0, 1]")
    subject = (None if family else campaign), family, account, user
    return Label(row["decision"], row["appeal"], row["source"], subject, row["decided_at"], probability)
