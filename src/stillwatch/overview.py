"""What the log was, and what was found in it as a whole."""

from __future__ import annotations

import os
from collections import Counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stillwatch.distinct import distinct
from stillwatch.dossier import CLOSEST, Context, innocent_family, releases
from stillwatch.evidence import load_weights, posterior
from stillwatch.hashing import hash_strings
from stillwatch.history import iso
from stillwatch.spool import chunks_of
from stillwatch.verdict import needed

if TYPE_CHECKING:
    from stillwatch.examine import Scanned
    from stillwatch.family_rows import FamilyRows
    from stillwatch.rejects import RejectLog
    from stillwatch.verdict import Bar


def overview(
    context: Context,
    rejects: RejectLog,
    family_rows: FamilyRows,
    accounts: pa.Table,
    version: str,
    files: int,
) -> dict[str, Any]:
    """What the log was and what was found in it as a whole, as it stands in ``overview.json``."""
    scanned, options = context.scanned, context.options
    at = scanned.sketches["at_us"].to_numpy()
    return {
        "stillwatch": version,
        "log": {
            "files": files,
            "exchanges": scanned.sketches.num_rows,
            "accounts": len(distinct(scanned.principals.account)),
            "principals": scanned.principals.count,
            "first": iso(int(at.min())),
            "last": iso(int(at.max())),
            "models": context.models,
            "rejected": rejects.rejected,
            "skipped": dict(sorted(rejects.skipped.items())),
            "nulled": dict(sorted(rejects.nulled.items())),
            "zoneless": rejects.zoneless,
            "unmapped": rejects.unmapped,
            "duplicates": _duplicates(scanned),
            "columns_missing": sorted(context.missing),
        },
        "prior": options.bar.prior,
        "threshold_probability": _asked(options.bar),
        "evidence_version": load_weights().version,
        "releases": releases(context),
        "families": {
            "total": len(family_rows),
            "by_verdict": _count(map(family_rows.verdict, range(len(family_rows)))),
        },
        "accounts_by_verdict": _count(
            accounts.filter(accounts["end_user_id"].is_null())["verdict"].to_pylist()
        ),
        "caps": _caps(scanned),
        "innocent": [innocent_family(context, *one) for one in context.innocent[: 2 * CLOSEST]],
    }


def _asked(bar: Bar) -> float:
    """Posterior that an accusation takes, at the prior of the bar."""
    return bar.probability if bar.excess <= 0 else posterior(needed(bar), bar.prior)


def _count(values: Any) -> dict[str, int]:
    return dict(sorted(Counter(values).items()))


def _duplicates(scanned: Scanned) -> int:
    """Exchanges with an id that an earlier one has, told by hashes of 64 bits."""
    pair = (int.from_bytes(os.urandom(8)), int.from_bytes(os.urandom(8)))
    ids = [hash_strings(chunk, pair) for chunk in chunks_of(scanned.sketches, "exchange_id")]
    hashes = np.sort(np.concatenate(ids)) if ids else np.empty(0, np.int64)
    return int((hashes[1:] == hashes[:-1]).sum())


def _caps(scanned: Scanned) -> list[dict[str, Any]]:
    unread = int(pa.compute.sum(scanned.sketches["truncated"]).as_py() or 0)
    return (
        [{"what": "bytes of overlong texts that were not read", "limit": 65_536, "cut": unread}]
        if unread
        else []
    )
