"""Which rows of benchmarks/results/leak.csv are told of: those of each scenario's newest run by the newest evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

Row = Mapping[str, str]


def newest(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """The rows of each scenario's newest run, by scenario and number of looks in a row; ``rows`` are in order of time.

    A run is of one commit: other rules give other figures, and no median of both. Campaigns that begin with the log are told
    of; those that come after days of ordinary traffic are another question.
    """
    told = [row for row in rows if row["evidence"] == rows[-1]["evidence"] and not _waited(row)]
    run = {row["scenario"]: _run_of(row) for row in told}
    found: dict[tuple[str, str], list[Row]] = {}
    for row in told:
        if _run_of(row) == run[row["scenario"]]:
            found.setdefault((row["scenario"], row["looks_in_a_row"]), []).append(row)
    return found


def _run_of(row: Row) -> tuple[str, str]:
    return row["commit"], row["sooner"]


def _waited(row: Row) -> bool:
    return float(row.get("watched_before") or 0) > 0
