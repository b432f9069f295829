"""The rows of ``accounts.parquet``: every account, and every end user with a verdict of its own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from stillwatch.judging import LOOKED_ALIKE, SHOWN, Judged
from stillwatch.verdict import Verdict

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.examine import Scanned


def account_rows(
    scanned: Scanned, groups: list[Judged], campaign_ids: list[str], suspicion: float
) -> list[Mapping[str, Any]]:
    """One row an account, and one for each end user with a verdict of its own, in order of account and end
    user.

    An innocent cause is named only for streams whose probability reaches ``suspicion``: those without it would
    have been shown. Of an everyday phrase nothing is said.
    """
    best = _best_rulings(groups, suspicion)
    principals = scanned.principals
    order = np.argsort(principals.account, kind="stable")
    bounds = np.searchsorted(
        principals.account[order], np.arange(int(principals.account.max(initial=-1)) + 2)
    )
    rows: list[Mapping[str, Any]] = []
    for start, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        own = order[start:stop]
        rows.extend(_rows_of_account(scanned, own, best, groups, campaign_ids))
    return sorted(
        rows, key=lambda row: (row["account_id"], row["end_user_id"] is not None, row["end_user_id"] or "")
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
    if whole is None and 2 * len(accused) > len(own):
        # Most users of this account run the campaign, so the account does.
        whole = (accused[0][0], accused[0][1], sum(entry[2] for entry in accused))
    covered = bool(scanned.licensed[own].any())
    rows.append(_row(scanned, account, None, own, whole, groups, campaign_ids, covered))
    for entry in taking:
        user = principals.end_user_id[entry[0]].as_py()
        if user is not None:
            rows.append(
                _row(scanned, account, user, np.array([entry[0]]), entry, groups, campaign_ids, False)
            )
    return rows


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
        "reasons": ["the registry covers this account"] if covered else [],
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
