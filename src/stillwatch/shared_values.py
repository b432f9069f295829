"""What a campaign's principals have in common beside the text: means of payment, addresses, organizations, devices.

No value is told, only that it is shared: each goes by a keyed hash, which says nothing to who lacks the key. A value is
weighed by its rarity, log2(principals of the log / its holders) (Fellegi & Sunter 1969), and those that one in eight
holds, such as the client that everybody has, are only counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import log2
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stillwatch.distinct import distinct, distinct_pairs
from stillwatch.families.fragments import Dictionary
from stillwatch.hashing import hash_strings
from stillwatch.spool import chunks_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from stillwatch.keys import Keys
    from stillwatch.principals import Principals
    from stillwatch.spool import Columns

KINDS: Mapping[str, str] = {
    "payment": "payment",
    "ip": "address",
    "network": "network",
    "organization_id": "organization",
    "tls": "device",
    "user_agent": "client",
}
"""Columns of the sketch, and what each is called."""
LEAST_BITS = 3.0
VALUES, GROUPS, NAMED = 16, 12, 8
"""Values, groups of principals, and names of each group, that are told at most."""


@dataclass(frozen=True, slots=True)
class _Value:
    """A value that at least two of a campaign's principals have."""

    kind: str
    hash: int
    inside: NDArray[np.int32]
    """Principals of the campaign that have it, ascending."""
    holders: int
    """Principals of the log that do."""
    bits: float

    @property
    def weight(self) -> float:
        return (len(self.inside) - 1) * self.bits


def shared_values(
    sketches: Columns, principals: Principals, parts: Sequence[NDArray[np.int32]], keys: Keys
) -> list[dict[str, Any]]:
    """For each campaign, whose principals are one of ``parts``, what they share.

    ``values``: the weightiest, with ``kind``, ``name`` (ten digits of its keyed hash), ``principals`` of the campaign,
    ``others`` of the log and ``bits``. ``groups``: principals that share just the same of them: ``principals``,
    ``values`` (places in the list above) and the first ``names``. ``alone``: principals that share none. ``common``: shared
    values by kind that too many of the log hold. What the limits left out is counted in ``values_cut`` and ``groups_cut``.
    """
    found: list[list[_Value]] = [[] for _ in parts]
    if parts:
        everybody = distinct(np.concatenate([np.empty(0, np.int32), *parts]))
        for column in KINDS:
            for number, value in _of_kind(sketches, principals, parts, everybody, column, keys):
                found[number].append(value)
    return [_told(values, part, principals) for values, part in zip(found, parts, strict=True)]


def _of_kind(
    sketches: Columns, principals: Principals, parts: Sequence[NDArray[np.int32]],
    everybody: NDArray[np.int32], column: str, keys: Keys,
) -> Iterator[tuple[int, _Value]]:  # fmt: skip
    """Values of a column that two of one campaign share, with the number of the campaign."""
    inside = np.zeros(principals.count, bool)
    inside[everybody] = True
    holder, held_value = _held(sketches, principals, column, keys)
    theirs = inside[holder]
    owner, value = distinct_pairs(holder[theirs], held_value[theirs])
    wanted: list[tuple[int, int, NDArray[np.int32]]] = []
    for number, part in enumerate(parts):
        own = np.isin(owner, part)
        order = np.lexsort((owner[own], value[own]))
        held, who = value[own][order], owner[own][order]
        values, first, count = np.unique(held, return_index=True, return_counts=True)
        for place in np.flatnonzero(count >= 2).tolist():
            start = int(first[place])
            wanted.append((number, int(values[place]), who[start : start + int(count[place])]))
    if not wanted:
        return
    numbering = Dictionary()
    numbering.encode(np.array([value for _, value, _ in wanted], np.int64))
    code = numbering.find(held_value)
    known = code >= 0
    pairs = distinct(code[known].astype(np.int64) << 32 | holder[known])
    counts = np.bincount(pairs >> 32, minlength=numbering.size)
    holders = dict(zip(numbering.values().tolist(), counts.tolist(), strict=True))
    for number, name, who in wanted:
        bits = max(log2(principals.count / holders[name]), 0.0)
        yield number, _Value(KINDS[column], name, who, holders[name], bits)


def _held(
    sketches: Columns, principals: Principals, column: str, keys: Keys
) -> tuple[NDArray[np.int32], NDArray[np.int64]]:
    """Principal and value of each exchange in which a column is known."""
    owners, values, start = [np.empty(0, np.int32)], [np.empty(0, np.int64)], 0
    for chunk in chunks_of(sketches, column):
        named = chunk.is_valid().to_numpy(zero_copy_only=False)
        owners.append(principals.of_row[start : start + len(chunk)][named])
        # A column of a batch keeps the memory of the whole batch.
        values.append(_hashed(chunk.drop_null(), column, keys).copy())
        start += len(chunk)
    return np.concatenate(owners), np.concatenate(values)


def _hashed(values: pa.Array, column: str, keys: Keys) -> NDArray[np.int64]:
    """The keyed hashes that the sketch holds; of the organization, which it holds in words, they are made here."""
    if column != "organization_id":
        hashes: NDArray[np.int64] = values.to_numpy(zero_copy_only=False).astype(np.int64)
        return hashes
    encoded = values.dictionary_encode()
    made = hash_strings(encoded.dictionary, keys.pair("organization"))
    organizations: NDArray[np.int64] = made[encoded.indices.to_numpy(zero_copy_only=False)]
    return organizations


def _told(found: Sequence[_Value], part: NDArray[np.int32], principals: Principals) -> dict[str, Any]:
    rare = [value for value in found if value.bits >= LEAST_BITS]
    ordered = sorted(rare, key=lambda value: (-value.weight, value.kind, value.hash))
    rank = {kind: place for place, kind in enumerate(KINDS.values())}
    values = sorted(ordered[:VALUES], key=lambda value: (rank[value.kind], -value.weight, value.hash))
    holds = np.zeros((len(part), len(values)), bool)
    for number, value in enumerate(values):
        holds[:, number] = np.isin(part, value.inside)
    patterns, place = np.unique(holds, axis=0, return_inverse=True)
    groups: list[dict[str, Any]] = [
        {
            "principals": int((place == number).sum()),
            "values": np.flatnonzero(pattern).tolist(),
            "names": [
                dict(zip(("account_id", "end_user_id"), principals.name(principal), strict=True))
                for principal in _by_name(part[place == number], principals)[:NAMED]
            ],
        }
        for number, pattern in enumerate(patterns)
        if pattern.any()
    ]
    groups.sort(key=lambda group: (-group["principals"], group["values"]))
    kinds = [value.kind for value in found if value.bits < LEAST_BITS]
    return {
        "values": [
            {
                "kind": value.kind,
                "name": f"{value.hash & 0xFFFFFFFFFF:010x}",
                "principals": len(value.inside),
                "others": value.holders - len(value.inside),
                "bits": round(value.bits, 2),
            }
            for value in values
        ],
        "groups": groups[:GROUPS],
        "alone": int((~holds.any(axis=1)).sum()),
        "common": {kind: kinds.count(kind) for kind in KINDS.values() if kind in kinds},
        "values_cut": len(rare) - len(values),
        "groups_cut": len(groups) - len(groups[:GROUPS]),
    }


def _by_name(part: NDArray[np.int32], principals: Principals) -> list[int]:
    """Principals in order of their names, so that the order of a log's rows and its key say nothing."""
    return sorted(part.tolist(), key=lambda one: tuple(name or "" for name in principals.name(one)))
