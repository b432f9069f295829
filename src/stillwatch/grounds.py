"""What the verdict on each stream rests on: its evidence, and whose principals send it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from stillwatch.distinct import distinct
from stillwatch.doubts import doubts_of
from stillwatch.engine.memory import COUNTED_AT_ONCE
from stillwatch.evidence import DOSE, INTENT
from stillwatch.ranges import places
from stillwatch.verdict import Case

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from stillwatch.evidence import Measured
    from stillwatch.examine import Scanned

PAID_BY_ONE = 0.7
"""Share of a stream's accounts that one means of payment pays for, from which there is one payer."""


def cases_of(
    scanned: Scanned, label: NDArray[np.int32], measured: Measured, pairs: NDArray[np.int64]
) -> list[Case]:
    """The case of each stream.

    ``label``: int32[families], stream of each family, -1 for none; ``pairs``: distinct pairs of stream and principal,
    ``stream << 32 | principal``, in order.
    """
    streams = len(measured.total)
    principals = np.bincount(pairs >> 32, minlength=streams)
    keys, houses = _key_shares(scanned, pairs, streams), _houses(scanned, pairs, streams)
    shares = np.maximum(principals, 1)
    of_key = np.where(keys.most > 1, keys.most, 0)
    columns = {
        "bits": measured.total,
        "objective": np.nan_to_num(measured.of(INTENT)),
        "coordination": measured.bits.sum(axis=1) - measured.bits_of(INTENT),
        "conduct": measured.conduct,
        "against": measured.against,
        "returning": np.nan_to_num(measured.of(DOSE)),
        "silent": measured.silent,
        "principals": principals,
        "accounts": keys.accounts,
        "key_principals": of_key / shares,
        "key_share": of_key / np.maximum(keys.users, 1),
        "organization": np.where(keys.accounts > 1, houses.most / shares, 0.0),
        "independent": houses.independent,
        "licensed": _licensed(scanned, label, streams),
        "partition": measured.of("partition"),
        "role": _roles(scanned, label, streams),
    }
    rows = zip(*(values.tolist() for values in columns.values()), strict=True)
    paid = _paid_by_one(scanned, pairs[asked_who_pays(measured.total)[pairs >> 32]], streams) >= PAID_BY_ONE
    return [
        Case(**dict(zip(columns, row, strict=True)), doubts=doubts)
        for row, doubts in zip(rows, doubts_of(measured, paid), strict=True)
    ]


def asked_who_pays(bits: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Streams of which a case says whether one means of payment pays for them, by their bits: bool[s]. Of who has no
    evidence nobody is accused, and they are nearly all."""
    return bits > 0


def paid_by_one(scanned: Scanned, sets: Sequence[NDArray[np.int32]]) -> NDArray[np.bool_]:
    """Whether one means of payment pays for each of s streams, whatever its evidence: bool[s]; ``sets``: the principals of
    each, ascending."""
    pairs = [np.int64(stream) << 32 | own.astype(np.int64) for stream, own in enumerate(sets)]
    together = np.concatenate(pairs) if pairs else np.empty(0, np.int64)
    paid: NDArray[np.bool_] = _paid_by_one(scanned, together, len(sets)) >= PAID_BY_ONE
    return paid


def _paid_by_one(scanned: Scanned, pairs: NDArray[np.int64], streams: int) -> NDArray[np.float64]:
    """Largest share of each stream's accounts that one means of payment pays for; 0 where most principals are end users, who
    have their account's. ``pairs``: distinct pairs of stream and principal, ``stream << 32 | principal``.
    """
    owner, value = scanned.principals.payments
    most = np.zeros(streams)
    if not len(owner):
        return most
    account = scanned.principals.account
    starts = np.searchsorted(owner, np.arange(scanned.principals.count + 1))
    principal = pairs & 0xFFFFFFFF
    of_pair = np.repeat(np.arange(len(pairs)), np.diff(starts)[principal])
    paid = value[places(starts[principal], starts[principal + 1])]
    _, means = np.unique(paid, return_inverse=True)
    stream = pairs[of_pair] >> 32
    key, number = np.unique(stream << 32 | means, return_inverse=True)
    held = distinct(number << 32 | account[principal[of_pair]]) >> 32
    np.maximum.at(most, key >> 32, np.bincount(held, minlength=len(key)))
    every = np.bincount(distinct(pairs >> 32 << 32 | account[principal]) >> 32, minlength=streams)
    apart = 2 * every > np.bincount(pairs >> 32, minlength=streams)
    return np.where(apart, most / np.maximum(every, 1), 0.0)


def _licensed(scanned: Scanned, label: NDArray[np.int32], streams: int) -> NDArray[np.float64]:
    """Share of each stream's exchanges by principals whom the registry covers."""
    families, of_row = scanned.families, scanned.principals.of_row
    sizes, held = np.zeros((2, streams), np.int64)
    for first in range(0, len(families.family), COUNTED_AT_ONCE):
        part = slice(first, first + COUNTED_AT_ONCE)
        of_member = label[families.family[part]]
        inside = of_member >= 0
        of_member = of_member[inside]
        sizes += np.bincount(of_member, minlength=streams)
        covered = scanned.licensed[of_row[families.row[part][inside]]]
        held += np.bincount(of_member[covered], minlength=streams)
    share: NDArray[np.float64] = held / np.maximum(sizes, 1)
    return share


def _roles(scanned: Scanned, label: NDArray[np.int32], streams: int) -> NDArray[np.uint8]:
    """Part of the request in which the largest family of each stream stands."""
    role = np.zeros(streams, np.uint8)
    order = np.argsort(np.bincount(scanned.families.family, minlength=len(label)), kind="stable")
    inside = order[label[order] >= 0]
    role[label[inside]] = scanned.families.role[inside]
    return role


@dataclass(frozen=True, slots=True)
class _Keys:
    """The accounts of each of s streams, and what is owed to the one with most of its principals."""

    accounts: NDArray[np.int64]
    """int64[s]: distinct accounts."""

    most: NDArray[np.int64]
    """int64[s]: principals of the stream that are end users of that account."""

    users: NDArray[np.int64]
    """int64[s]: end users of that account, in the stream or not."""


def _key_shares(scanned: Scanned, pairs: NDArray[np.int64], streams: int) -> _Keys:
    """``pairs``: distinct pairs of stream and principal, ``stream << 32 | principal``, ascending."""
    account = scanned.principals.account
    users = np.bincount(account)
    found, held = np.unique(pairs >> 32 << 32 | account[pairs & 0xFFFFFFFF], return_counts=True)
    stream, of = found >> 32, found & 0xFFFFFFFF
    order = np.lexsort((of, -held, stream))
    first = order[np.r_[True, stream[order][1:] != stream[order][:-1]]] if len(order) else order
    most, all_users = np.zeros((2, streams), np.int64)
    most[stream[first]], all_users[stream[first]] = held[first], users[of[first]]
    return _Keys(np.bincount(stream, minlength=streams), most, all_users)


@dataclass(frozen=True, slots=True)
class _Houses:
    """What the principals of each of s streams declare of the organizations that they belong to."""

    most: NDArray[np.int64]
    """int64[s]: principals in the organization that most of the named ones belong to."""

    independent: NDArray[np.int64]
    """int64[s]: principals, where the accounts of one organization count once. End users are customers, and count each."""


def _houses(scanned: Scanned, pairs: NDArray[np.int64], streams: int) -> _Houses:
    """``pairs``: distinct pairs of stream and principal, ``stream << 32 | principal``."""
    most, independent = np.zeros(streams, np.int64), np.bincount(pairs >> 32, minlength=streams)
    column = scanned.principals.organization_id
    if column.null_count < len(column):
        principal = pairs & 0xFFFFFFFF
        organization = column.dictionary_encode().indices.fill_null(-1).to_numpy()[principal]
        named = organization >= 0
        house = (pairs >> 32 << 32 | organization)[named]
        held, counts = np.unique(house, return_counts=True)
        np.maximum.at(most, held >> 32, counts)
        accounts = scanned.principals.end_user_id.is_null().to_numpy(zero_copy_only=False)[principal[named]]
        held, counts = np.unique(house[accounts], return_counts=True)
        np.subtract.at(independent, held >> 32, counts - 1)
    return _Houses(most, independent)
