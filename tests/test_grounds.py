"""Whose principals send a stream: keys, and the organizations that they declare."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from stillwatch.grounds import _houses, _paid_by_one


def scanned(organizations: list[str | None], end_users: list[str | None]) -> Any:
    return SimpleNamespace(
        principals=SimpleNamespace(
            organization_id=pa.array(organizations, pa.string()), end_user_id=pa.array(end_users, pa.string())
        )
    )


def test_accounts_of_one_organization_count_once_and_end_users_each() -> None:
    log = scanned(["x", "x", "x", "y", None, "y", "z"], [None, None, None, None, None, "one", "two"])
    pairs = np.array([*range(7), 1 << 32 | 0, 1 << 32 | 4])
    found = _houses(log, pairs, 3)
    # Three accounts of x are one; y has one account and one end user, z one end user; one principal names nobody.
    assert found.independent.tolist() == [5, 2, 0]
    assert found.most.tolist() == [3, 1, 0]


def test_who_declares_nothing_counts_each() -> None:
    log = scanned([None] * 4, [None] * 4)
    found = _houses(log, np.arange(4), 1)
    assert (found.independent.tolist(), found.most.tolist()) == ([4], [0])


def paying(accounts: list[int], pairs: list[tuple[int, int]]) -> Any:
    owner, value = np.array(sorted(pairs), np.int64).reshape(-1, 2).T
    return SimpleNamespace(
        principals=SimpleNamespace(
            account=np.array(accounts, np.int32),
            payments=(owner.astype(np.int32), value),
            count=len(accounts),
        )
    )


def test_one_payer_is_counted_by_accounts() -> None:
    # Four accounts, three of which one card pays for; the second of them has a card of its own too.
    log = paying([0, 1, 2, 3], [(0, 70), (1, 70), (1, 71), (2, 70), (3, 72)])
    pairs = np.array([0, 1, 2, 3, 1 << 32 | 1, 1 << 32 | 3])
    assert _paid_by_one(log, pairs, 3).tolist() == [0.75, 0.5, 0.0]


def test_end_users_are_paid_for_by_whose_they_are() -> None:
    log = paying([0, 0, 0, 1], [(0, 70), (1, 70), (2, 70), (3, 70)])
    assert _paid_by_one(log, np.arange(4), 1).tolist() == [0.0]


def test_without_payments_nobody_is_the_payer() -> None:
    assert _paid_by_one(paying([0, 1], []), np.arange(2), 1).tolist() == [0.0]
