"""Whose principals send a stream: keys, and the organizations that they declare."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa

from stillwatch.grounds import _houses


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
