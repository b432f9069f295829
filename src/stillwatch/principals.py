"""Who is in the log: every principal with its account, and which of them a registry covers."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from stillwatch.distinct import distinct
from stillwatch.families.fragments import Dictionary
from stillwatch.spool import chunks_of, texts_at

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.registry import Registry
    from stillwatch.spool import Columns


DAY_US = 86_400_000_000


@dataclass(frozen=True, slots=True)
class Principals:
    """The p principals of a log of n exchanges, in order of their keyed hash."""

    hashes: NDArray[np.int64]
    of_row: NDArray[np.int32]
    """int32[n]: principal of each exchange."""

    account_id: pa.Array
    end_user_id: pa.Array
    organization_id: pa.Array
    exchanges: NDArray[np.int64]
    first_us: NDArray[np.int64]
    last_us: NDArray[np.int64]
    account: NDArray[np.int32]
    """int32[p]: number of the account, so that end users of one key are seen to share it."""

    begun_us: NDArray[np.int64]
    """int64[p]: when the account was opened; without ages in the log, when the principal was first seen, -1 on the first
    day, since then it may be of any age."""

    payments: tuple[NDArray[np.int32], NDArray[np.int64]]
    """Principal and means of payment of each distinct pair of them; empty where the log names none."""

    @property
    def count(self) -> int:
        """Number of principals."""
        return len(self.hashes)

    def name(self, principal: int) -> tuple[str, str | None]:
        """Account and end user of one principal."""
        return self.account_id[principal].as_py(), self.end_user_id[principal].as_py()


def describe_principals(sketches: Columns) -> Principals:
    """Principals of n sketches."""
    numbering = Dictionary()
    codes = [numbering.encode(chunk.to_numpy()) for chunk in chunks_of(sketches, "principal")]
    of_row = np.concatenate(codes) if codes else np.empty(0, np.int32)
    values = numbering.values()
    order = np.argsort(values)
    hashes = values[order]
    rank = np.empty(len(hashes), np.int32)
    rank[order] = np.arange(len(hashes), dtype=np.int32)
    of_row = rank[of_row]
    first_row = np.empty(len(hashes), np.int64)
    first_row[of_row[::-1]] = np.arange(len(of_row))[::-1]
    at = sketches["at_us"].to_numpy()
    first_us, last_us = (
        np.full(len(hashes), np.iinfo(np.int64).max),
        np.full(len(hashes), np.iinfo(np.int64).min),
    )
    np.minimum.at(first_us, of_row, at)
    np.maximum.at(last_us, of_row, at)
    account_id = texts_at(sketches, "account_id", first_row)
    return Principals(
        hashes, of_row, account_id,
        texts_at(sketches, "end_user_id", first_row), _organizations(sketches, of_row, len(hashes)),
        np.bincount(of_row, minlength=len(hashes)), first_us, last_us,
        account_id.dictionary_encode().indices.to_numpy().astype(np.int32),
        _begun(sketches, of_row, first_us), _payments(sketches, of_row),
    )  # fmt: skip


def _begun(sketches: Columns, of_row: NDArray[np.int32], first_us: NDArray[np.int64]) -> NDArray[np.int64]:
    column = sketches["account_created_us"].combine_chunks()
    if column.null_count == len(column):
        start = first_us.min() if len(first_us) else 0
        return np.where(first_us - start >= DAY_US, first_us, -1)
    unknown = np.iinfo(np.int64).max
    opened = np.full(len(first_us), unknown)
    np.minimum.at(opened, of_row, column.fill_null(unknown).to_numpy())
    return np.where(opened == unknown, -1, opened)


def _payments(sketches: Columns, of_row: NDArray[np.int32]) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    column = sketches["payment"].combine_chunks()
    named = column.is_valid().to_numpy(zero_copy_only=False)
    if not named.any():
        return np.empty(0, np.int32), np.empty(0, np.int64)
    means = Dictionary()
    codes = means.encode(column.drop_null().to_numpy().astype(np.int64))
    pairs = distinct(of_row[named].astype(np.int64) << 32 | codes)
    owner, value = (pairs >> 32).astype(np.int32), means.values()[pairs & 0xFFFFFFFF]
    order = np.lexsort((value, owner))
    return owner[order], value[order]


def _organizations(sketches: Columns, of_row: NDArray[np.int32], count: int) -> pa.Array:
    """The last organization, in order of text, that any exchange of a principal names; whatever the order of
    rows."""
    column = sketches["organization_id"].combine_chunks()
    if column.null_count == len(column):
        return pa.nulls(count, pa.string())
    encoded = column.dictionary_encode()
    names = np.array(encoded.dictionary.to_pylist(), dtype=object)
    order = np.argsort(names, kind="stable")
    rank = np.empty(len(names) + 1, np.int64)
    rank[order], rank[-1] = np.arange(len(names)), -1
    best = np.full(count, -1, np.int64)
    np.maximum.at(best, of_row, rank[encoded.indices.fill_null(-1).to_numpy()])
    return pa.array([names[order[index]] if index >= 0 else None for index in best.tolist()], pa.string())


def covered(principals: Principals, registry: Registry) -> NDArray[np.bool_]:
    """Principals whose account holds a licence on the day of the account's last exchange: bool[p]."""
    result = np.zeros(principals.count, bool)
    if not registry.licences:
        return result
    last_us = np.zeros(int(principals.account.max(initial=-1)) + 1, np.int64)
    np.maximum.at(last_us, principals.account, principals.last_us)
    for index, (account, organization) in enumerate(
        zip(principals.account_id.to_pylist(), principals.organization_id.to_pylist(), strict=True)
    ):
        day = dt.datetime.fromtimestamp(last_us[principals.account[index]] / 1e6, dt.UTC).date()
        result[index] = registry.licence(account, organization, day) is not None
    return result
