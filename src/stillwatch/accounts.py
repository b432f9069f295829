"""The rows of ``accounts.parquet``: every account, and every end user with a verdict of its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

USERS_CLEARED = "people cleared end users without whom it would not be accused"

Entry = tuple[int, int, int]
"""A principal who takes part, the group, and the exchanges in it."""


@dataclass(frozen=True, slots=True)
class Cleared:
    """Whom a group would accuse, had people not cleared them: why it does not."""

    principals: Mapping[tuple[int, int], str]
    """By group and principal."""

    accounts: Mapping[tuple[int, int], str]
    """By group and account, of accounts that are accused through their end users alone."""


@dataclass(frozen=True, slots=True)
class Told:
    """What the rows of accounts are made of."""

    scanned: Scanned
    groups: list[Judged]
    """As ruled, everybody who takes part still in."""

    campaign_ids: list[str]
    cleared: Cleared
    matched: NDArray[np.int64]
    """int64[p]: exchanges of each principal that are in extraction campaigns."""


def account_rows(told: Told, suspicion: float) -> list[Mapping[str, Any]]:
    """One row for each account of which a principal takes part in a group, and one for each end user with a verdict of
    its own.

    An innocent cause is named only for streams whose probability reaches ``suspicion``: those without it would
    have been shown. Of an everyday phrase nothing is said.
    """
    best = _best_rulings(told.groups, suspicion, told.cleared)
    order, bounds = _by_account(told.scanned)
    rows: list[Mapping[str, Any]] = []
    accounts = told.scanned.principals.account[np.fromiter(best, np.int64, len(best))]
    for account in distinct(accounts).tolist():
        own = order[bounds[account] : bounds[account + 1]]
        rows.extend(_rows_of_account(told, own, best))
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


def _best_rulings(groups: list[Judged], suspicion: float, cleared: Cleared) -> dict[int, tuple[int, int]]:
    """For each principal who takes part in a group: that group and the exchanges in it; the gravest verdict
    counts, and that of an accusation of which the principal was cleared as undetermined."""
    ranked = []
    clearing = {group for group, _ in cleared.principals}
    for number, judged in enumerate(groups):
        verdict, probability = judged.ruling.verdict, judged.ruling.probability
        if verdict in LOOKED_ALIKE and probability < suspicion:
            continue
        ranked.append((_RANK[verdict], -probability, number, False))
        if number in clearing:
            ranked.append((_RANK[Verdict.UNDETERMINED], -probability, number, True))
    best: dict[int, tuple[int, int]] = {}
    for _, _, number, spared in sorted(ranked):
        judged = groups[number]
        for principal, count in zip(
            judged.taking_part.tolist(), judged.exchanges[judged.part].tolist(), strict=True
        ):
            if ((number, principal) in cleared.principals) is spared:
                best.setdefault(principal, (number, count))
    return best


def _rows_of_account(
    told: Told, own: NDArray[np.int64], best: dict[int, tuple[int, int]]
) -> list[Mapping[str, Any]]:
    principals = told.scanned.principals
    account = principals.account_id[int(own[0])].as_py()
    users = {int(p): principals.end_user_id[int(p)].as_py() for p in own if int(p) in best}
    taking: list[Entry] = [(p, *best[p]) for p in users]
    whole = next((entry for entry in taking if users[entry[0]] is None), None)
    covered = bool(told.scanned.licensed[own].any())
    because = _cleared(told, whole)
    if whole is None:
        whole, because = _through_users(told, taking, int(principals.account[own[0]]), len(own))
    rows: list[Mapping[str, Any]] = [_row(told, account, None, own, None if covered else whole, because)]
    if covered:
        rows[0] = {**rows[0], "verdict": str(Verdict.LICENSED), "reasons": [COVERED]}
    rows += [
        _row(told, account, users[entry[0]], own[own == entry[0]], entry, _cleared(told, entry))
        for entry in taking
        if users[entry[0]] is not None
    ]
    return rows


def _cleared(told: Told, entry: Entry | None) -> str | None:
    """Why a principal is not accused who takes part, where people cleared it."""
    return told.cleared.principals.get((entry[1], entry[0])) if entry else None


def _through_users(
    told: Told, taking: list[Entry], account: int, users: int
) -> tuple[Entry | None, str | None]:
    """What an account is accused of through its end users, and why it is not where people cleared it or enough of them."""
    accused = [entry for entry in taking if told.groups[entry[1]].ruling.verdict is Verdict.EXTRACTION]
    if (front := _front(accused, users)) is None:
        return None, None
    left = _front([entry for entry in accused if _cleared(told, entry) is None], users)
    shown = left or front
    because = None if left else USERS_CLEARED
    return shown, told.cleared.accounts.get((shown[1], account), because)


def _front(accused: list[Entry], users: int) -> Entry | None:
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
    told: Told,
    account: str,
    user: str | None,
    own: NDArray[np.int64],
    entry: Entry | None,
    cleared: str | None,
) -> dict[str, Any]:
    """The row of an account or one of its end users. ``own``: its principals; ``cleared``: why it is not accused."""
    principals = told.scanned.principals
    row: dict[str, Any] = {
        "account_id": account,
        "end_user_id": user,
        "verdict": str(Verdict.NONE),
        "campaign_id": None,
        "probability": 0.0,
        "evidence_bits": 0.0,
        "exchanges": int(principals.exchanges[own].sum()),
        "extraction_exchanges": 0,
        "first_seen": int(principals.first_us[own].min()),
        "last_seen": int(principals.last_us[own].max()),
        "reasons": [],
    }
    if entry is None:
        return row
    _, group, count = entry
    ruling = told.groups[group].ruling
    accused = ruling.verdict is Verdict.EXTRACTION
    spared = accused and cleared is not None
    return row | {
        "verdict": str(Verdict.UNDETERMINED if spared else ruling.verdict),
        "extraction_exchanges": int(told.matched[own].sum()) if accused and not spared else 0,
        "campaign_id": told.campaign_ids[group] if ruling.verdict in SHOWN else None,
        "probability": ruling.probability,
        "evidence_bits": told.groups[group].case.bits,
        "reasons": [
            *([cleared] if spared else []),
            (
                f"{count:,} of its {row['exchanges']:,} exchanges belong to a stream that was judged "
                f"{ruling.verdict}"
            ),
            *ruling.reasons,
        ],
    }
