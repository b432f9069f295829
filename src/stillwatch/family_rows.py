"""The rows of ``families.parquet``: made when they are asked for, since a large log has a great many."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import pyarrow as pa

from stillwatch.fingerprint import ROLES
from stillwatch.judging import SHOWN, Judged
from stillwatch.outputs import FAMILIES, to_table

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.examine import Scanned

AT_ONCE = 20_000
"""Rows that are held while the table is made."""


@dataclass(frozen=True, slots=True)
class FamilyRows(Sequence[dict[str, Any]]):
    """One row a family, in order of number."""

    scanned: Scanned
    judged: Sequence[Judged]
    groups: Sequence[Judged]
    names: Sequence[str]
    campaign_ids: Sequence[str]
    exchanges: NDArray[np.int64]
    first_us: NDArray[np.int64]
    last_us: NDArray[np.int64]
    objective: Sequence[str]
    """The one with the highest mean score in each family."""

    intent: float
    """Least value of the objective signal from which the objective is named."""

    def verdict(self, family: int) -> str:
        """Verdict of a family: that of its group, or its own where it is in none."""
        group = int(self.scanned.groups.label[family])
        return str((self.groups[group] if group >= 0 else self.judged[family]).ruling.verdict)

    def __len__(self) -> int:
        """Families."""
        return len(self.names)

    @overload
    def __getitem__(self, family: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, family: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, family: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        """The row of a family, or the rows of several."""
        if isinstance(family, slice):
            return [self._row(one) for one in range(*family.indices(len(self)))]
        if not 0 <= family < len(self):
            raise IndexError(f"family {family} of {len(self)}")
        return self._row(family)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        """Every row."""
        return map(self._row, range(len(self)))

    def _row(self, family: int) -> dict[str, Any]:
        judged, measured = self.judged[family], self.scanned.by_family
        group = int(self.scanned.groups.label[family])
        ruling = self.groups[group].ruling if group >= 0 else judged.ruling
        values = zip(measured.signals, measured.value[family].tolist(), strict=True)
        return {
            "family_id": self.names[family],
            "role": ROLES[self.scanned.families.role[family]],
            "verdict": str(ruling.verdict),
            "campaign_id": self.campaign_ids[group] if group >= 0 and ruling.verdict in SHOWN else None,
            "exchanges": int(self.exchanges[family]),
            "principals": judged.case.principals,
            "accounts": judged.case.accounts,
            "evidence_bits": float(measured.total[family]),
            "first_seen": int(self.first_us[family]),
            "last_seen": int(self.last_us[family]),
            "objective": self.objective[family] if judged.case.objective >= self.intent else None,
            "reasons": list(ruling.reasons),
            "signals": [(name, value) for name, value in values if not math.isnan(value)],
        }

    def table(self) -> pa.Table:
        """All rows, as they stand in the result."""
        starts = range(0, max(len(self), 1), AT_ONCE)
        return pa.concat_tables([to_table(self[start : start + AT_ONCE], FAMILIES) for start in starts])
