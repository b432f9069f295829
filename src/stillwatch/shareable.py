"""What a result keeps for peers: templates, addresses and networks of each campaign, under the circle's key.

``circle.json`` lies beside the other files of a result and is made where a scan was given a circle's key. It holds
nothing of the log in the clear but numbers of networks, and who holds the key can test guesses of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from stillwatch.circle import OWN, templates
from stillwatch.distinct import distinct
from stillwatch.history import iso
from stillwatch.judging import places_of
from stillwatch.memberships import only
from stillwatch.peers import SKETCH_SIZE
from stillwatch.stream_tables import in_order

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from stillwatch.examine import Scanned
    from stillwatch.judging import Judged
    from stillwatch.keys import Keys

VERSION = 1
USUAL = 0.05
"""Share of a template's exchanges that must hold a fragment of it: one of six wordings of a sentence does, and what
fills a slot does not."""
LEAST_FRAGMENTS = 3
"""Fragments that a template must have: fewer are a phrase."""
MOST_TEMPLATES = 32
"""Templates of a campaign that are kept, those with the most exchanges."""
ADDRESS_PRINCIPALS = 2
"""Principals of the campaign that must have called from an address, and be half of all who did."""
MOST_ADDRESSES = 256
MOST_NETWORKS = 16


def shareable(
    scanned: Scanned, groups: Sequence[Judged], shown: Sequence[int], campaign_ids: Sequence[str],
    family_rows: Sequence[Mapping[str, Any]], keys: Keys, least: int,
) -> dict[str, Any] | None:  # fmt: skip
    """The document of ``circle.json``, or None without a circle's key.

    ``shown``: groups that are campaigns of the result. ``least``: principals that make a text shared.
    """
    if keys.circle_name is None:
        return None
    judged = scanned.groups.judged
    chosen = np.isin(judged, np.array(shown, np.int32))
    members = only(in_order(scanned.every_family(), chosen), np.flatnonzero(chosen).astype(np.int32))
    found = dict(
        zip(
            np.flatnonzero(chosen).tolist(),
            templates(
                scanned.sketches["circle"],
                members,
                int(chosen.sum()),
                scanned.principals.of_row,
                least,
                usual=USUAL,
            ),
            strict=True,
        )
    )
    return {
        "version": VERSION,
        "circle": keys.circle_name,
        "key": keys.name,
        "campaigns": {
            campaign_ids[group]: _templates(np.flatnonzero(judged == group), found, family_rows)
            | _whence(scanned, scanned.merged.row[places_of(scanned, groups[group], group)])
            for group in shown
        },
    }


def _templates(
    families: NDArray[np.intp],
    found: Mapping[int, NDArray[np.int64]],
    family_rows: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    rows = [
        {key: family_rows[family][key] for key in ("role", "objective", "exchanges", "principals")}
        | {
            "size": len(found[family]),
            "sketch": [
                f"{value & 0xFFFFFFFFFFFFFFFF:016x}" for value in found[family][:SKETCH_SIZE].tolist()
            ],
        }
        for family in families.tolist()
        if len(found[family]) >= LEAST_FRAGMENTS
    ]
    rows.sort(key=lambda row: (-row["exchanges"], row["sketch"]))
    return {"templates": rows[:MOST_TEMPLATES], "templates_cut": max(0, len(rows) - MOST_TEMPLATES)}


def _whence(scanned: Scanned, rows: NDArray[np.int32]) -> dict[str, Any]:
    """Addresses that are the campaign's own, and networks, of its exchanges."""
    column = scanned.sketches["circle_ip"].combine_chunks().dictionary_encode()
    code = column.indices.fill_null(-1).to_numpy()
    owner, at = scanned.principals.of_row, scanned.sketches["at_us"].combine_chunks().to_numpy()
    held = rows[code[rows] >= 0]
    own = _callers(code[held], owner[held], len(column.dictionary))
    named = code >= 0
    all_callers = _callers(code[named], owner[named], len(column.dictionary))
    last = np.zeros(len(own), np.int64)
    np.maximum.at(last, code[held], at[held])
    kept = np.flatnonzero((own >= ADDRESS_PRINCIPALS) & (own >= OWN * all_callers))
    kept = kept[np.lexsort((kept, -own[kept]))]
    addresses = [
        {"mark": column.dictionary[code].as_py().hex(), "last_seen": iso(int(last[code]))}
        for code in kept[:MOST_ADDRESSES].tolist()
    ]
    counted = scanned.sketches["asn"].combine_chunks().take(pa.array(rows)).drop_null().value_counts()
    networks = sorted(counted.to_pylist(), key=lambda row: (-row["counts"], row["values"]))
    return {
        "addresses": sorted(addresses, key=lambda row: str(row["mark"])),
        "addresses_cut": max(0, len(kept) - MOST_ADDRESSES),
        "networks": [{"asn": row["values"], "exchanges": row["counts"]} for row in networks[:MOST_NETWORKS]],
        "networks_cut": max(0, len(networks) - MOST_NETWORKS),
    }


def _callers(code: NDArray[np.int32], owner: NDArray[np.int32], size: int) -> NDArray[np.intp]:
    """Principals who called from each address."""
    pairs = distinct(code.astype(np.int64) << 32 | owner)
    return np.bincount(pairs >> 32, minlength=size)
