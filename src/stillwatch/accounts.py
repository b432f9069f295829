"""The rows of ``accounts.parquet``: every account, and every end user with a verdict of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stillwatch.distinct import distinct
from stillwatch.judging import LOOKED_ALIKE, SHOWN, Judged
from stillwatch.outputs import ACCOUNTS, to_table
from stillwatch.verdict import Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.examine import Scanned

COVERED = "the registry covers this account"

OF_FRONT = 0.9
"""Share of an account's end users in one campaign from which the account itself takes part."""


def account_rows(
    scanned: Scanned, groups: list[Judged], campaign_ids: list[str], suspicion: float
) -> list[Mapping[str, Any]]:
    """One row for each account of which a principal takes part in a group, and one for each end user with a verdict of
    its own.

    An innocent cause is named only for streams whose probability reaches ``suspicion``: those without it would
    have been shown. Of an everyday phrase nothing is said.
    """
    best = _best_rulings(groups, suspicion)
    order, bounds = _by_account(scanned)
    rows: list[Mapping[str, Any]] = []
    for account in distinct(scanned.principals.account[np.fromiter(best, np.int64, len(best))]).tolist():
        own = order[bounds[account] : bounds[account + 1]]
        rows.extend(_rows_of_account(scanned, own, best, groups, campaign_ids))
    return rows


def account_table(scanned: Scanned, rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """``rows``, and one for every other account, in order of account and end user."""
    order, bounds = _by_account(scanned)
    names = scanned.principals.account_id.take(pa.array(order[bounds[:-1]]))
    told = pa.array([row["account_id"] for row in rows], pa.string())
    others = pa.compute.invert(pa.compute.is_in(names, value_set=told)).to_numpy(zero_copy_only=False)
    table = pa.concat_tables([to_table(rows, ACCOUNTS), _others(scanned, order, bounds[:-1], others)])
    users = table["end_user_id"]
    keys = pa.table({"account": table["account_id"], "user": users.is_valid(), "name": users.fill_null("")})
    return table.take(pa.compute.sort_indices(keys, [(name, "ascending") for name in keys.column_names]))


def _by_account(scanned: Scanned) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Principals in order of account, and where those of each account begin."""
    account = scanned.principals.account
    order = np.argsort(account, kind="stable")
    return order, np.searchsorted(account[order], np.arange(int(account.max(initial=-1)) + 2))


def _others(
    scanned: Scanned, order: NDArray[np.int64], starts: NDArray[np.int64], chosen: NDArray[np.bool_]
) -> pa.Table:
    """The rows of accounts that take part in nothing. ``order``: principals by account, which begin at ``starts``."""
    principals, count = scanned.principals, int(chosen.sum())
    if not count:
        return ACCOUNTS.empty_table()
    covered = np.logical_or.reduceat(scanned.licensed[order], starts)[chosen]
    reasons = pa.ListArray.from_arrays(
        pa.array(np.r_[0, np.cumsum(covered)], pa.int32()),
        pa.array([COVERED] * int(covered.sum()), pa.string()),
    )
    verdicts = pa.array([str(Verdict.NONE), str(Verdict.LICENSED)]).take(pa.array(covered.astype(np.int8)))
    columns: dict[str, Any] = {
        "account_id": principals.account_id.take(pa.array(order[starts[chosen]])),
        "verdict": verdicts,
        "probability": np.zeros(count),
        "evidence_bits": np.zeros(count),
        "exchanges": np.add.reduceat(principals.exchanges[order], starts)[chosen],
        "extraction_exchanges": np.zeros(count, np.int64),
        "first_seen": np.minimum.reduceat(principals.first_us[order], starts)[chosen],
        "last_seen": np.maximum.reduceat(principals.last_us[order], starts)[chosen],
        "reasons": reasons,
    }
    return pa.table(
        [
            pa.array(columns[field.name]).cast(field.type)
            if field.name in columns
            else pa.nulls(count, field.type)
            for field in ACCOUNTS
        ],
        schema=ACCOUNTS,
    )


_RANK = {
    Verdict.EXTRACTION: 0,
    Verdict.LICENSED: 1,
    Verdict.UNDETERMINED: 2,
    Verdict.EVALUATION: 3,
    Verdict.INTEGRATOR: 4,
    Verdict.SHARED_CLIENT: 5,
    Verdict.POPULAR_PROMPT: 6,
}


def _best_rulings(groups: list[Judged], suspicion: float) -> dict[int, tuple[int, int]]:
    """For each principal who takes part in a group: that group and the exchanges in it; the gravest verdict
    counts."""
    best: dict[int, tuple[int, int]] = {}
    ranked = sorted(
        (
            number
            for number, judged in enumerate(groups)
            if judged.ruling.verdict not in LOOKED_ALIKE or judged.ruling.probability >= suspicion
        ),
        key=lambda number: (_RANK[groups[number].ruling.verdict], -groups[number].ruling.probability, number),
    )
    for number in ranked:
        judged = groups[number]
        for principal, count in zip(
            judged.taking_part.tolist(), judged.exchanges[judged.part].tolist(), strict=True
        ):
            best.setdefault(principal, (number, count))
    return best


def _rows_of_account(
    scanned: Scanned,
    own: NDArray[np.int64],
    best: dict[int, tuple[int, int]],
    groups: list[Judged],
    campaign_ids: list[str],
) -> list[Mapping[str, Any]]:
    principals = scanned.principals
    account = principals.account_id[int(own[0])].as_py()
    rows: list[Mapping[str, Any]] = []
    taking = [(int(p), *best[int(p)]) for p in own if int(p) in best]
    accused = [entry for entry in taking if groups[entry[1]].ruling.verdict is Verdict.EXTRACTION]
    whole = next((entry for entry in taking if principals.end_user_id[entry[0]].as_py() is None), None)
    if whole is None and (front := _front(accused, len(own))) is not None:
        whole = front
    covered = bool(scanned.licensed[own].any())
    rows.append(_row(scanned, account, None, own, whole, groups, campaign_ids, covered))
    for entry in taking:
        user = principals.end_user_id[entry[0]].as_py()
        if user is not None:
            rows.append(
                _row(scanned, account, user, np.array([entry[0]]), entry, groups, campaign_ids, False)
            )
    return rows


def _front(accused: list[tuple[int, int, int]], users: int) -> tuple[int, int, int] | None:
    """What nearly all end users of an account take part in: with hardly another customer it is the operator's own. Where a
    reseller has others, operators among its end users are theirs to answer for."""
    if not accused:
        return None
    group, count = Counter(entry[1] for entry in accused).most_common(1)[0]
    if count < OF_FRONT * users:
        return None
    own = [entry for entry in accused if entry[1] == group]
    return own[0][0], group, sum(entry[2] for entry in own)


def _row(
    scanned: Scanned,
    account: str,
    user: str | None,
    own: NDArray[np.int64],
    entry: tuple[int, int, int] | None,
    groups: list[Judged],
    campaign_ids: list[str],
    covered: bool,
) -> dict[str, Any]:
    principals = scanned.principals
    row: dict[str, Any] = {
        "account_id": account,
        "end_user_id": user,
        "verdict": str(Verdict.LICENSED if covered else Verdict.NONE),
        "campaign_id": None,
        "probability": 0.0,
        "evidence_bits": 0.0,
        "exchanges": int(principals.exchanges[own].sum()),
        "extraction_exchanges": 0,
        "first_seen": int(principals.first_us[own].min()),
        "last_seen": int(principals.last_us[own].max()),
        "reasons": [COVERED] if covered else [],
    }
    if entry is None or covered:
        return row
    _, group, count = entry
    ruling = groups[group].ruling
    shown = ruling.verdict in SHOWN
    row |= {
        "verdict": str(ruling.verdict),
        "campaign_id": campaign_ids[group] if shown else None,
        "probability": ruling.probability,
        "evidence_bits": groups[group].case.bits,
        "extraction_exchanges": count if ruling.verdict is Verdict.EXTRACTION else 0,
        "reasons": [
            (
                f"{count:,} of its {row['exchanges']:,} exchanges belong to a stream that was judged "
                f"{ruling.verdict}"
            ),
            *ruling.reasons,
        ],
    }
    return row
