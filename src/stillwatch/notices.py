"""What a scan was told and could make no use of: said in the terminal, in the report and in ``overview.json``.

An option without effect looks like one that was heeded. What is surely a mistake is refused; what may be meant, such as
a list of regions that a log happens to have no call from, is said.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from stillwatch.spool import chunks_of

if TYPE_CHECKING:
    from stillwatch.examine import Options, Scanned
    from stillwatch.principals import Principals
    from stillwatch.registry import Registry
    from stillwatch.sketching import Source


def notices(
    scanned: Scanned, options: Options, source: Source, overview: Mapping[str, Any], tables: int
) -> list[str]:
    """A sentence for each option that changed nothing. ``overview``: what the log was, and what its labels came to;
    ``tables``: mappings of identities that a state was read with."""
    return [
        *_of_releases(scanned.principals, options, {row["model"] for row in overview["log"]["models"]}),
        *_of_regions(scanned, options),
        *_of_registry(scanned.principals, options.registry),
        *_of_labels(overview["labels"]),
        *_of_identities(source, overview["log"]),
        *of_tables(tables),
    ]


def of_tables(tables: int) -> Iterator[str]:
    """That a state holds logs whose accounts were named by ``tables`` different mappings of identities."""
    if tables > 1:
        yield (
            f"--identities: what the state holds was read with {tables:,} different tables, and an account that only a "
            "later one names counts under both names. Take all logs in again with another --state to have it as one."
        )


def _of_releases(principals: Principals, options: Options, models: set[str]) -> Iterator[str]:
    first, last = (
        dt.datetime.fromtimestamp(us / 1e6, dt.UTC)
        for us in (int(principals.first_us.min()), int(principals.last_us.max()))
    )
    for model, at in sorted(options.releases.items()):
        if model not in models:
            yield f"--release {model}: nobody in the log asked for this model."
        elif at <= first:
            yield f"--release {model}: the log begins later, so that nobody can be seen to move to the model."
        elif at > last:
            yield f"--release {model}: the log ends earlier, so that nobody can be seen to move to the model."


def _of_regions(scanned: Scanned, options: Options) -> Iterator[str]:
    if not options.unsupported_regions:
        return
    seen: set[str | None] = set()
    for chunk in chunks_of(scanned.sketches, "country"):
        seen.update(pc.unique(chunk).to_pylist())
    if unseen := sorted(options.unsupported_regions - seen):
        why = "no exchange comes from there" if seen - {None} else "the log names no country"
        yield f"--unsupported-region {', '.join(unseen)}: {why}."


def _of_registry(principals: Principals, registry: Registry) -> Iterator[str]:
    accounts = {account for licence in registry.licences for account in licence.accounts}
    organizations = {licence.organization_id for licence in registry.licences} - {None}
    named = ((principals.account_id, accounts), (principals.organization_id, organizations))
    if registry.licences and not any(_holds(column, names) for column, names in named):
        yield "--registry: the log has none of its organizations and accounts."


def _holds(column: pa.Array, names: set[Any]) -> bool:
    return bool(pc.any(pc.is_in(column, value_set=pa.array(sorted(names), pa.string()))).as_py())


def _of_labels(labels: Mapping[str, Any] | None) -> Iterator[str]:
    if labels is None or not labels["unmatched"]:
        return
    if labels["unmatched"] < labels["read"]:
        yield f"--labels: {labels['unmatched']:,} of {labels['read']:,} decisions are about nothing in this log."
        return
    yield (
        f"--labels: none of {labels['read']:,} decisions is about anything in this log, and whoever was cleared may be "
        "accused again. Campaigns and families have other names under another key: give the --key of the scan that was "
        "decided on."
    )


def _of_identities(source: Source, log: Mapping[str, Any]) -> Iterator[str]:
    if source.identities is not None and log["unmapped"] == log["exchanges"]:
        yield "--identities: the table has none of the keys of the log."
