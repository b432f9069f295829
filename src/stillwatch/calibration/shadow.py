"""The shadow sample: families below the threshold that people should look at, so that recall can be estimated.

Families are stratified by bits, and the same number is drawn from each stratum as far as it has so many: what is
close to the threshold is rare and most likely to be a campaign that was missed. Within a stratum every family has
the same chance, which is recorded (Horvitz & Thompson 1952): a total over all families is estimated without bias
by the sum of sampled values over their chances.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from typing import Any

import pyarrow as pa

EDGES = (-15.0, -10.0, -5.0, 0.0, 5.0, 10.0)
"""Bits at which one stratum ends and the next begins."""

CLOSED = ("extraction", "licensed")
"""Verdicts of families that need no look: they are accused already, or may do what they do."""

MEANINGS = {
    "family_id": "the family, as in `families.parquet`",
    "role": "part of the request in which its template stands",
    "evidence_bits": "evidence of the family by itself",
    "exchanges": "exchanges that belong to it",
    "principals": "principals who sent them",
    "stratum": "bits between which the families lie that it was drawn from",
    "stratum_families": "how many they are",
    "inclusion_probability": "chance with which each of them was drawn",
    "seed": "seed of the sample, from the log's families",
}
"""What the columns of the sample say."""

SHADOW = pa.schema(
    [
        ("family_id", pa.string()),
        ("role", pa.string()),
        ("evidence_bits", pa.float64()),
        ("exchanges", pa.int64()),
        ("principals", pa.int64()),
        ("stratum", pa.string()),
        ("stratum_families", pa.int64()),
        ("inclusion_probability", pa.float64()),
        ("seed", pa.string()),
    ]
)


def draw(families: Sequence[Mapping[str, Any]], number: int) -> list[dict[str, Any]]:
    """Draw ``number`` of the families below the threshold, or all where they are fewer.

    ``families``: rows of ``families.parquet``. The seed comes from them, so one log gives one sample under one
    key. The verdict is not in the sample: a reviewer should not be told what to find.
    """
    frame = [family for family in families if family["verdict"] not in CLOSED]
    seed = _seed(families)
    drawn = []
    for name, stratum, size in _strata(frame, number):
        ranked = sorted(stratum, key=lambda family: _lot(seed, family["family_id"]))
        drawn += [
            {
                column: family[column]
                for column in ("family_id", "role", "evidence_bits", "exchanges", "principals")
            }
            | {
                "stratum": name,
                "stratum_families": len(ranked),
                "inclusion_probability": size / len(ranked),
                "seed": seed,
            }
            for family in ranked[:size]
        ]
    return sorted(drawn, key=lambda row: (-row["evidence_bits"], row["family_id"]))


def _strata(
    frame: Sequence[Mapping[str, Any]], number: int
) -> list[tuple[str, list[Mapping[str, Any]], int]]:
    """The strata that hold families, the highest first, with how many are drawn of each.

    Where fewer are to be drawn than there are strata, the lowest are joined, so that each family has a chance.
    """
    held: dict[int, list[Mapping[str, Any]]] = {}
    for family in frame:
        held.setdefault(bisect_right(EDGES, family["evidence_bits"]), []).append(family)
    places = sorted(held)
    groups = [[place] for place in places]
    while len(groups) > max(number, 1):
        groups[:2] = [groups[0] + groups[1]]
    bounds = ("", *(f"{edge:g}" for edge in EDGES), "")
    strata = []
    for group in reversed(groups):
        low, high = bounds[group[0]], bounds[group[-1] + 1]
        name = (
            f"{low} to {high} bits"
            if low and high
            else f"{low} bits or more"
            if low
            else f"below {high} bits"
        )
        strata.append((name if low or high else "all", [family for place in group for family in held[place]]))
    sizes = _allocate([len(families) for _, families in strata], number)
    return [(name, families, size) for (name, families), size in zip(strata, sizes, strict=True) if size]


def _allocate(sizes: Sequence[int], number: int) -> list[int]:
    """Equal shares, what a small stratum leaves going to the others, the first first.

    >>> _allocate([2, 100, 100], 10), _allocate([5, 5], 3), _allocate([1, 1], 9)
    ([2, 4, 4], [2, 1], [1, 1])
    """
    drawn = [0] * len(sizes)
    left = min(number, sum(sizes))
    while left:
        for place, size in enumerate(sizes):
            if left and drawn[place] < size:
                drawn[place] += 1
                left -= 1
    return drawn


def _seed(families: Sequence[Mapping[str, Any]]) -> str:
    """A seed that the content of the log determines, in hexadecimal."""
    digest = hashlib.blake2b(digest_size=8, person=b"sw shadow")
    for family in sorted(families, key=lambda family: family["family_id"]):
        digest.update(f"{family['family_id']} {family['exchanges']} {family['principals']}\n".encode())
    return digest.hexdigest()


def _lot(seed: str, family: str) -> bytes:
    return hashlib.blake2b(family.encode(), key=seed.encode(), digest_size=16).digest()
